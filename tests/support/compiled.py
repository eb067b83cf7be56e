# SPDX-License-Identifier: Apache-2.0
"""The compiled CPU kernels, for tests; and tests without them."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import pytest

from finesight.kernels.library import library


def compiled():
    """The library; compiles it silently, and skips the test where it cannot be compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = library()
    if found is None:
        pytest.skip("this machine has no compiler, or no AVX2")
    return found


@contextmanager
def on_path(name):
    """Within the block the kernels use one instruction set; skips the test if the processor lacks it."""
    found = compiled()
    before = found.path
    if not found.use_path(name):
        pytest.skip(f"this processor lacks {name}")
    try:
        yield found
    finally:
        found.use_path(before)
