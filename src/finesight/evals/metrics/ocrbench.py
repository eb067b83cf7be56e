# SPDX-License-Identifier: Apache-2.0
"""OCRBench: an answer is correct if it contains a gold answer.

Known weakness of the published rule: "2012" contains "12".

Source: "OCRBench" (2023).
"""

from __future__ import annotations

from collections.abc import Sequence

from finesight.evals.metrics.texts import as_text

FORMULA_KINDS = frozenset({"HME100k", "Handwritten Mathematical Expression Recognition"})
"""Data sets whose answers are formulas, which are compared with case and without blanks."""


def ocrbench_hit(text: str, golds: Sequence[str], kind: str) -> bool:
    """Whether the answer contains any gold answer.

    Args:
        text: the answer.
        golds: accepted answers; empty ones are ignored.
        kind: the `dataset` or the `question_type` of the row.
    """
    tidy = _formula if kind in FORMULA_KINDS else _words
    pred = tidy(text)
    return any(gold in pred for gold in map(tidy, golds) if gold)


def _words(text: str) -> str:
    return as_text(text).lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return as_text(text).strip().replace("\n", " ").replace(" ", "")
