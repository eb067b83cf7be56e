# SPDX-License-Identifier: Apache-2.0
"""Average normalised Levenshtein similarity, the score of DocVQA and InfoVQA.

For one question: the maximum over the gold answers of `1 - edits / longest`, or 0 below the threshold. A similarity
equal to the threshold is kept, as in the published harnesses.

Source: "Scene Text Visual Question Answering" (2019).
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from finesight.errors import EvalError
from finesight.evals.metrics.texts import as_text


def anls(
    text: str, golds: Sequence[str], *, threshold: float = 0.5, case_sensitive: bool = False
) -> float:
    """Similarity of an answer to the nearest gold answer, normalised by the lengths of the squeezed texts.

    Args:
        text: the answer.
        golds: accepted answers.
        threshold: similarities below it count as 0.
        case_sensitive: do not lower-case; runs of blanks are squeezed in any case.

    Raises:
        EvalError: there is no gold answer.
    """
    pred = _squeezed(text, case_sensitive)
    wanted = [_squeezed(gold, case_sensitive) for gold in golds]
    return _best(pred, wanted, [max(len(pred), len(gold)) for gold in wanted], threshold)


def anls_raw_lengths(text: str, golds: Sequence[str], *, threshold: float = 0.5) -> float:
    """The variant of lmms-eval, VLMEvalKit and Qwen: edits of squeezed texts over lengths of the raw texts.

    Blanks around an answer increase its score: for "abcd", "abcx" scores 0.75, with six blanks 0.9.

    Raises:
        EvalError: there is no gold answer.
    """
    raw = len(as_text(text))
    lengths = [max(raw, len(as_text(gold))) for gold in golds]
    wanted = [_squeezed(gold, False) for gold in golds]
    return _best(_squeezed(text, False), wanted, lengths, threshold)


def _squeezed(text: str, case_sensitive: bool) -> str:
    squeezed = " ".join(as_text(text).split())
    return squeezed if case_sensitive else squeezed.lower()


def _best(pred: str, golds: Sequence[str], lengths: Sequence[int], threshold: float) -> float:
    if not golds:
        raise EvalError("an answer is compared with 0 gold answers, expected at least 1")
    best = max(
        1 - Levenshtein.distance(pred, gold) / length if length else 1.0
        for gold, length in zip(golds, lengths, strict=True)
    )
    return best if best >= threshold else 0.0
