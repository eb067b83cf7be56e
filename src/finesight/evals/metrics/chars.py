# SPDX-License-Identifier: Apache-2.0
"""Error rates of read text, by characters and by words.

Both are edits over the length of the truth, so they pass 1 where a model says far too much; the capped forms stop
there. Blanks are taken as written for characters and only separate words for words.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from finesight.evals.metrics.texts import as_text


def cer(text: str, gold: str) -> float:
    """Character error rate, 0 and up; an empty truth gives 0 for silence and 1 for anything else."""
    return _rate(as_text(text), as_text(gold))


def wer(text: str, gold: str) -> float:
    """Word error rate, 0 and up; an empty truth gives 0 for silence and 1 for anything else."""
    return _rate(as_text(text).split(), as_text(gold).split())


def cer_capped(text: str, gold: str) -> float:
    """`cer`, at most 1."""
    return min(1.0, cer(text, gold))


def wer_capped(text: str, gold: str) -> float:
    """`wer`, at most 1."""
    return min(1.0, wer(text, gold))


def _rate(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not wanted:
        return float(bool(said))
    return Levenshtein.distance(said, wanted) / len(wanted)
