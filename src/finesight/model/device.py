# SPDX-License-Identifier: Apache-2.0
"""Checks that a device can be used."""

from __future__ import annotations

import torch

from finesight.errors import ConfigError


def checked_device(name: str) -> str:
    """The device of a name, after an allocation on it.

    Raises:
        ConfigError: torch does not know the device, or the machine does not have it.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" has no values to read
    except (
        RuntimeError,
        AssertionError,
        ImportError,
    ) as error:  # torch asserts that it was built with CUDA
        raise ConfigError(
            f"device {name[:40]!r} cannot be used: {str(error).splitlines()[0][:200]}",
            hint="`finesight doctor` lists what this machine has",
        ) from error
    return name
