# SPDX-License-Identifier: Apache-2.0
"""Scores from the token probabilities of a reply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import exp

from finesight.apps.evidence import UNKNOWN, Score
from finesight.conversation import Reply
from finesight.parse.confidence import score_of_span
from finesight.parse.records import AnswerItem, Span

__all__ = ["item_spans", "score_of"]

_OBJECT = re.compile(r"\{[^{}]*\}|<points?\b[^>]*>[^<]*")
"""One box or point as it is written."""


def score_of(reply: Reply, span: Span) -> Score:
    """Score of a part of a reply, such as the value of a field or the numbers of a box.

    The value is the geometric mean of the probabilities of its tokens, or that of its least probable token with a digit
    if that is smaller: one wrong digit makes a number wrong, and it hides in a mean.

    Args:
        reply: the reply; without log-probabilities the score has no value.
        span: start and end of the part in the text of the reply.

    Returns:
        A score with the parts `mean`, `least` and, if there are digits, `least_digit`.

    Raises:
        ConfigError: the part is empty or outside the text.
    """
    if not reply.logprobs:
        return UNKNOWN
    mean = score_of_span(reply, span)
    start, end = span
    inside = [one for one in reply.logprobs if one.span[0] < end and start < one.span[1]]
    parts = {"mean": mean, "least": exp(min(one.logprob for one in inside))}
    digits = [
        one.logprob
        for one in inside
        if any(
            char.isdigit() for char in reply.text[max(one.span[0], start) : min(one.span[1], end)]
        )
    ]
    if digits:
        parts["least_digit"] = exp(min(digits))
    return Score(min(mean, parts.get("least_digit", mean)), "logprob", parts)


def item_spans(text: str, items: Sequence[AnswerItem]) -> list[Span]:
    """The characters of each box or point: items of one list share the span of the list, here each has its own."""
    shared = Counter(item.span for item in items)
    own = {span: [each.span() for each in _OBJECT.finditer(text, *span)] for span in shared}
    nexts = {span: iter(spans) for span, spans in own.items() if len(spans) == shared[span]}
    return [next(nexts[item.span]) if item.span in nexts else item.span for item in items]
