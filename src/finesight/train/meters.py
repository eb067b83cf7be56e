# SPDX-License-Identifier: Apache-2.0
"""Means for the log, summed on the device and read once per log line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Sum(NamedTuple):
    """A sum and its number of values, from which a mean over packs and steps is computed.

    Attributes:
        total: scalar tensor or number.
        number: scalar tensor or number.
    """

    total: Tensor | float
    number: Tensor | float = 1.0


class Meters:
    """Named sums since the last call of `means`.

    Attributes:
        sums: current sums, on the device.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Sum] = {}

    def add(self, values: Mapping[str, Sum]) -> None:
        """Add values to the sums of the same names."""
        for name, value in values.items():
            before = self.sums.get(name, Sum(0.0, 0.0))
            self.sums[name] = Sum(before.total + value.total, before.number + value.number)

    def means(self) -> dict[str, float]:
        """Mean of each sum with a positive number, read in one transfer; resets the sums."""
        scalars = [scalar for value in self.sums.values() for scalar in value]
        device = next((one.device for one in scalars if isinstance(one, Tensor)), None)
        read = torch.stack(
            [torch.as_tensor(one, dtype=torch.float64, device=device) for one in scalars]
        ).tolist()
        names, self.sums = list(self.sums), {}
        pairs = zip(names, read[::2], read[1::2], strict=True)
        return {name: total / number for name, total, number in pairs if number}
