# SPDX-License-Identifier: Apache-2.0
"""Types of the builders' options, and the cell size."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from finesight.errors import ConfigError

__all__ = ["CELL", "Range", "Share"]

CELL = 28
"""Side of the cell of one visual token, in pixels."""


def _check_range(values: tuple[int, int]) -> tuple[int, int]:
    low, high = values
    if not 1 <= low <= high:
        raise ConfigError(f"runs from {low} to {high}, expected two rising numbers from 1 on")
    return values


Range = Annotated[tuple[int, int], AfterValidator(_check_range)]
"""Smallest and largest allowed value, both included."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A probability, or a strength."""
