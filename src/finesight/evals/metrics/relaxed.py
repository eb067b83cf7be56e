# SPDX-License-Identifier: Apache-2.0
"""Relaxed accuracy of ChartQA: numbers within five percent, equality of other texts.

Known weaknesses of the published rule, kept: years are numbers (2019 matches 2020), "1,000" is not a number, a gold 0
is compared as text, and "5" does not match "5%".

Source: "ChartQA" (2022) and the metric of pix2struct.
"""

from __future__ import annotations

from math import isfinite

from finesight.evals.metrics.texts import as_float, as_text

TOLERANCE = 0.05


def relaxed_match(text: str, gold: str) -> bool:
    """Whether numbers are within the tolerance, or texts equal except for case."""
    text, gold = as_text(text), as_text(gold)
    pred, wanted = _number(text), _number(gold)
    if pred is not None and wanted:
        return abs(pred - wanted) / abs(wanted) <= TOLERANCE
    return text.lower() == gold.lower()


def _number(text: str) -> float | None:
    """A finite number, divided by 100 before a percent sign; None for other texts."""
    value = as_float(text.rstrip("%"), len(text))
    if value is None or not isfinite(value):
        return None
    return value / 100 if text.endswith("%") else value
