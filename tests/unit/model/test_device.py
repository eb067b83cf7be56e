# SPDX-License-Identifier: Apache-2.0
"""Only a device that computes is taken."""

from __future__ import annotations

import pytest

from finesight.errors import ConfigError
from finesight.model.device import checked_device


def test_a_device_that_computes_is_taken():
    assert checked_device("cpu") == "cpu"
    assert checked_device("auto") in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["meta", "abacus", "", "cpu:-1", "hpu", "vulkan", "x" * 5000])
def test_others_are_refused(name):
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        checked_device(name)
    assert len(caught.value.message) < 300
