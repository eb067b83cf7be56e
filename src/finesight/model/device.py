# SPDX-License-Identifier: Apache-2.0
"""Devices: whether one can be used, and its free memory."""

from __future__ import annotations

import torch

from finesight.errors import ConfigError
from finesight.threads import memory_bytes


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


def available_bytes(device: torch.device | str) -> int:
    """Free memory of a device, in bytes; 0 if unknown."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return memory_bytes()[1]
