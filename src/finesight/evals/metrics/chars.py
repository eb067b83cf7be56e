# SPDX-License-Identifier: Apache-2.0
"""Character and word error rates: edits over the length of the gold text.

They exceed 1 for answers that are much too long; the capped forms do not. Blanks count as characters.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from finesight.evals.metrics.texts import as_text


def cer(text: str, gold: str) -> float:
    """Character error rate, at least 0; with an empty gold text 0 for an empty answer, else 1."""
    return _rate(as_text(text), as_text(gold))


def wer(text: str, gold: str) -> float:
    """Word error rate, at least 0; with an empty gold text 0 for an empty answer, else 1."""
    return _rate(as_text(text).split(), as_text(gold).split())


def cer_capped(text: str, gold: str) -> float:
    """`cer`, at most 1."""
    return min(1.0, cer(text, gold))


def wer_capped(text: str, gold: str) -> float:
    """`wer`, at most 1."""
    return min(1.0, wer(text, gold))


def _rate(pred: Sequence[str], wanted: Sequence[str]) -> float:
    if not wanted:
        return float(bool(pred))
    return Levenshtein.distance(pred, wanted) / len(wanted)
