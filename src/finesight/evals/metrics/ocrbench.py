# SPDX-License-Identifier: Apache-2.0
"""OCRBench: an answer is right if a gold answer stands anywhere in it.

Known weak spot of the published rule: "12" stands in "2012".

Source: "OCRBench" (2023).
"""

from __future__ import annotations

from collections.abc import Sequence

from finesight.evals.metrics.texts import as_text

FORMULA_KINDS = frozenset({"HME100k", "Handwritten Mathematical Expression Recognition"})
"""Names of the part whose answers are formulas: case counts there and blanks do not."""


def ocrbench_hit(text: str, golds: Sequence[str], kind: str) -> bool:
    """Whether any gold answer is part of the answer.

    Args:
        text: the answer.
        golds: right answers; an empty one is passed over, since it is part of everything.
        kind: the `dataset` or the `question_type` of the row.
    """
    tidy = _formula if kind in FORMULA_KINDS else _words
    said = tidy(text)
    return any(gold in said for gold in map(tidy, golds) if gold)


def _words(text: str) -> str:
    return as_text(text).lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return as_text(text).strip().replace("\n", " ").replace(" ", "")
