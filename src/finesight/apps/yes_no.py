# SPDX-License-Identifier: Apache-2.0
"""Yes/no questions with a probability, the second question by which an application checks a first answer.

A responder that scores (`finesight.responder.Scorer`) compares the answers "Yes" and "No". Of others, the written
answer is read, and its probability is that of its first word; without probabilities only the word counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import exp, fsum

from finesight.apps.evidence import Found, Score
from finesight.conversation import Conversation, Message, Reply, Sampling, TextPart
from finesight.errors import ConfigError, FinesightError
from finesight.parse.confidence import score_of_span
from finesight.responder import Responder, Scorer

__all__ = ["ask_yes_no", "p_no"]

_ASKED_TOGETHER = 16
_WORD = re.compile(
    r"\W*(?!not\s+(?:sure|certain|clear|possible)\b|no\s+idea\b)"
    r"(?:(yes|yeah|是|有|对)|(no|not|none|否|没有|不是|不))(?![a-z])",
    re.IGNORECASE,
)
_SAMPLING = Sampling(max_new_tokens=16, logprobs=0)


def ask_yes_no(responder: Responder, questions: Sequence[Conversation]) -> list[Found[bool]]:
    """Ask yes/no questions.

    Args:
        responder: answers them; `score` is used if it has it.
        questions: conversations that end with a question.

    Returns:
        For each question True or False with the score P(yes), or the status "unread" with the reason. The score has no
        value if the responder reports no probabilities.
    """
    found: list[Found[bool]] = []
    for start in range(0, len(questions), _ASKED_TOGETHER):
        found += _asked(responder, questions[start : start + _ASKED_TOGETHER])
    return found


def p_no(score: Score) -> Score:
    """The score of the answer "no", from the score P(yes) of a question."""
    value = None if score.value is None else 1.0 - score.value
    return Score(value, score.kind, score.parts)


def _asked(responder: Responder, questions: Sequence[Conversation]) -> list[Found[bool]]:
    """Answers to all questions at once; if that fails, one by one, so that one failure stays one."""
    try:
        if isinstance(responder, Scorer):
            return _scored(responder, questions)
        return [_read(reply) for reply in responder.respond(questions, _SAMPLING)]
    except ConfigError:
        raise
    except FinesightError as error:
        if len(questions) == 1:
            return [Found(status="unread", problems=(error.message,))]
        return [answer for one in questions for answer in _asked(responder, [one])]


def _scored(scorer: Scorer, questions: Sequence[Conversation]) -> list[Found[bool]]:
    answers = ("Yes", "No")
    ended = [_answered(question, answer) for question in questions for answer in answers]
    sums = [fsum(logprobs) for logprobs in scorer.score(ended)]
    found = []
    for yes, no in zip(sums[::2], sums[1::2], strict=True):
        share = 1.0 / (1.0 + exp(min(no - yes, 700.0)))
        score = Score(share, "yes_no", {"yes": share})
        found.append(Found(value=share >= 0.5, score=score))
    return found


def _answered(question: Conversation, answer: str) -> Conversation:
    """The conversation with an answer whose tokens are scored, and no other."""
    earlier = (replace(message, is_target=False) for message in question.messages)
    return replace(question, messages=(*earlier, Message("assistant", (TextPart(answer),))))


def _read(reply: Reply) -> Found[bool]:
    match = _WORD.match(reply.text)
    if match is None:
        what = " ".join(reply.text.split())[:80]
        problem = f"the answer is neither yes nor no: {what or '(nothing)'}"
        return Found(raw=reply.text, status="unread", problems=(problem,))
    is_yes = match[1] is not None
    if not reply.logprobs:
        return Found(value=is_yes, raw=reply.text, score=Score(None, "yes_no"))
    said = score_of_span(reply, match.span(1 if is_yes else 2))
    share = said if is_yes else 1.0 - said
    return Found(value=is_yes, raw=reply.text, score=Score(share, "yes_no", {"yes": share}))
