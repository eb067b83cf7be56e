# SPDX-License-Identifier: Apache-2.0
"""A language model as a judge: what it may be asked about an answer, and what its reply may mean.

A judge only ever comes second. The score by rule is there before it and stays; the judge's score stands beside it under
the judge's name. A judge reads words alone, at temperature 0, and what it said is kept on disk: the same judge is never
asked the same thing twice, so judging that was cut off goes on where it ended.

A judge that does not answer in the form it was asked for has said nothing: `Nonsense`, counted, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from finesight.conversation import Conversation, Message, Responder, Sampling, TextPart
from finesight.errors import EvalError

Ask = Callable[[str], str]
"""Puts one prompt to the judge and gives its raw reply."""

Verdict = Literal["plain", "read", "none", "ambiguous", "equal", "different"]
VERDICTS: Mapping[Verdict, str] = {
    "plain": "clear without a judge",
    "read": "read by the judge",
    "none": "holds no answer",
    "ambiguous": "holds several answers, counted as wrong",
    "equal": "means the same as the gold answer",
    "different": "means something else",
}
"""What may become of an answer, in words."""

SAMPLING = Sampling(max_new_tokens=1024, temperature=0.0)
"""How every judge answers; room to think before the line that counts."""


class Nonsense(EvalError):
    """A judge's reply that does not have the form it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An answer as its judge sees it.

    Attributes:
        question: the words of the question, its options among them.
        text: the raw answer.
        truth: of the item; a prompt that reads an answer never shows the gold one.
        score: parts of the score of what was read, as the task gives them.
    """

    question: str
    text: str
    truth: Mapping[str, Any]
    score: Callable[[Any], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a judge decided.

    Attributes:
        verdict: one of `VERDICTS`.
        parsed: what was read; None if nothing, or if there was more than one answer.
        parts: parts of the score.
    """

    verdict: Verdict
    parsed: Any
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class JudgeRule:
    """A named way to judge the answers of a benchmark.

    Attributes:
        name: what results call it.
        version: changes whenever a prompt or the reading of a reply does.
        decide: judges one answer; raises `Nonsense` where the judge did not do as it was asked.
    """

    name: str
    version: str
    decide: Callable[[Case, Ask], Ruling]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Who judges.

    Attributes:
        responder: an endpoint, an engine, or a fake.
        model: what the endpoint calls it.
        where: address of the endpoint, without what is secret; or whatever else tells two judges of one name apart.
        cache: folder that keeps what it said; None takes one inside the run's folder.
    """

    responder: Responder
    model: str
    where: str
    cache: Path | None = None

    @property
    def name(self) -> str:
        """Model and address."""
        return f"{self.model} at {self.where}"


def as_conversation(prompt: str) -> Conversation:
    """A prompt as the judge is asked it."""
    return Conversation((Message("user", (TextPart(prompt),)),))
