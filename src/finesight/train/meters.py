# SPDX-License-Identifier: Apache-2.0
"""Running means of named values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class Meters:
    """Means of values that may come at different times."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, values: Mapping[str, float]) -> None:
        """Count each value once."""
        for name, value in values.items():
            self._sums[name] += value
            self._counts[name] += 1

    def means(self) -> dict[str, float]:
        """Mean of each value since the start."""
        return {name: self._sums[name] / self._counts[name] for name in self._sums}
