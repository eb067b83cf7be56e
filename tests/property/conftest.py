# SPDX-License-Identifier: Apache-2.0
"""How hard hypothesis searches: the same few examples every day, many and new ones in `make fuzz`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("steady", max_examples=50, deadline=None, derandomize=True)
settings.register_profile(
    "fuzz", max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")  # `--hypothesis-profile` on the command line comes later and wins
