# SPDX-License-Identifier: Apache-2.0
"""Means for the log, summed on the device and read once per log line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from finesight.train.parallel import Ranks


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

    def means(self, ranks: Ranks | None = None) -> dict[str, float]:
        """Mean of each sum with a positive number, read in one transfer; resets the sums.

        Args:
            ranks: the ranks of a run, whose sums are added; all of them must call it.
        """
        scalars = [scalar for value in self.sums.values() for scalar in value]
        device = next((one.device for one in scalars if isinstance(one, Tensor)), None)
        wide = [torch.as_tensor(one, dtype=torch.float64, device=device) for one in scalars]
        read = torch.stack(wide).tolist() if wide else []
        pairs = dict(zip(self.sums, zip(read[::2], read[1::2], strict=True), strict=True))
        self.sums = {}
        found: dict[str, Sum] = {}
        for of_rank in [pairs] if ranks is None else ranks.gathered(pairs):
            for name, (total, number) in of_rank.items():
                before = found.get(name, Sum(0.0, 0.0))
                found[name] = Sum(before.total + total, before.number + number)
        return {name: float(one.total / one.number) for name, one in found.items() if one.number}
