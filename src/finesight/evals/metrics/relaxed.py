# SPDX-License-Identifier: Apache-2.0
"""Relaxed accuracy of ChartQA: five percent either way for numbers, equality for words.

Known weak spots, kept because they are the published rule: years are numbers (2019 passes for 2020), "1,000" is a
word, a gold 0 is compared as a word, and "5" is no answer to "5%".

Source: "ChartQA" (2022) and the metric of pix2struct.
"""

from __future__ import annotations

from math import isfinite

from finesight.evals.metrics.texts import as_text

TOLERANCE = 0.05


def relaxed_match(text: str, gold: str) -> bool:
    """Whether an answer is near enough; both are taken as written, case aside."""
    text, gold = as_text(text), as_text(gold)
    said, wanted = _number(text), _number(gold)
    if said is not None and wanted:
        return abs(said - wanted) / abs(wanted) <= TOLERANCE
    return text.lower() == gold.lower()


def _number(text: str) -> float | None:
    """A number, a trailing percent sign divided out; None for a word, and "nan" and "inf" are words."""
    try:
        value = float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None
