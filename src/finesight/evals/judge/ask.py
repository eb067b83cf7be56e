# SPDX-License-Identifier: Apache-2.0
"""Ask a judge about answers; an answer without a ruling keeps its score by rule, with a reason.

A judge gets only text, at temperature 0. Its replies are cached on disk, so interrupted judging continues without
repeating requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finesight.conversation import Conversation, Message, Sampling, TextPart
from finesight.errors import EvalError
from finesight.evals.core.journal import Sample
from finesight.evals.core.judgement import Case, JudgeRule, Nonsense
from finesight.evals.core.responders import ANSWER_ERRORS
from finesight.evals.core.results import CUT_SHORT
from finesight.evals.core.scoring import message_of, reason_of
from finesight.evals.core.task import Item, Task
from finesight.evals.responders.limited import LimitedFailures, NotAsked
from finesight.evals.responders.model import FromModel
from finesight.parse.thinking import answer_part
from finesight.responder import Responder

SAMPLING = Sampling(max_new_tokens=1024, temperature=0.0)
"""Sampling of all judges; leaves room for reasoning before the final line."""

FAILURES = {
    "nonsense": "the judge did not answer in the form asked for",
    "cut_short": "the judge's answer was cut short",
    "endpoint": "the judge's endpoint did not answer",
    "not_asked": "not asked any more, after its endpoint had failed again and again",
    "too_long": "the answer is too long for the judge",
    "engine": "the judge failed",
    "score": "the rule that scores failed on what the judge read",
}
"""Descriptions of the reasons why an item keeps its score by rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A language model that judges.

    Attributes:
        responder: an endpoint, an engine, or a fake.
        model: its name at the endpoint.
        where: address of the endpoint without secrets, or another text that distinguishes judges of one name.
        cache: folder for its replies; None takes one inside the run's folder.
    """

    responder: Responder
    model: str
    where: str
    cache: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Judgement of one answer; a line of `judgements.jsonl`.

    Attributes:
        id: of the item.
        verdict: see `finesight.evals.core.judgement`; None without a ruling.
        parsed: the parsed answer.
        parts: parts of the judge's score; without a ruling those by rule.
        by_rule: parts of the score by rule.
        said: raw replies of the judge, in order.
        failure: one of `FAILURES`; None if there is a verdict.
        message: of the error.
    """

    id: str
    verdict: str | None
    parsed: Any
    parts: Mapping[str, float]
    by_rule: Mapping[str, float]
    said: Sequence[str]
    failure: str | None = None
    message: str | None = None


class CutShort(EvalError):
    """The judge's reply was cut off by its token limit."""


class Asker:
    """Judges answers of one run; thread-safe.

    Args:
        task: the benchmark.
        rule: of judging.
        judge: the judge.
        cache: folder for its replies.
    """

    def __init__(self, task: Task, rule: JudgeRule, judge: Judge, cache: Path) -> None:
        self._task, self._rule = task, rule
        name = f"judge {judge.model} at {judge.where}, {rule.name} {rule.version}"
        self._judge = FromModel(
            LimitedFailures(judge.responder, "the judge's endpoint"), name, cache=cache
        )

    def judgement(self, sample: Sample) -> Judgement:
        """Judge an answer; without a ruling the score by rule is kept."""
        said: list[str] = []
        kept = Judgement(
            id=sample.id,
            verdict=None,
            parsed=sample.parsed,
            parts=sample.parts,
            by_rule=sample.parts,
            said=said,
        )
        case = Case(
            question=sample.question,
            text=answer_part(sample.text or "") or "",
            truth=sample.truth,
            score=lambda parsed: self._score(parsed, sample.truth),
        )
        try:
            ruling = self._rule.decide(case, lambda prompt: self._ask(prompt, said))
        except ANSWER_ERRORS as error:
            return replace(kept, failure=_failure_of(error), message=message_of(error))
        return replace(kept, verdict=ruling.verdict, parsed=ruling.parsed, parts=ruling.parts)

    def _score(self, parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
        """Parts of a score; any exception of the score becomes an `EvalError`."""
        try:
            return {name: float(value) for name, value in self._task.score(parsed, truth).items()}
        except Exception as error:
            raise EvalError(message_of(error)) from error

    def _ask(self, prompt: str, said: list[str]) -> str:
        """The reply to a prompt, cached."""
        asked = Conversation((Message("user", (TextPart(prompt),)),))
        item = Item(id=self._rule.name, conversation=asked, truth={})
        reply = self._judge.answer(item, SAMPLING)
        said.append(reply.text)
        if reply.finish_reason in CUT_SHORT:
            limit = SAMPLING.max_new_tokens
            raise CutShort(f"the judge's answer did not end within {limit} tokens")
        return reply.text


def _failure_of(error: Exception) -> str:
    """One of `FAILURES`."""
    kinds = ((Nonsense, "nonsense"), (CutShort, "cut_short"), (NotAsked, "not_asked"))
    named = next((reason for kind, reason in kinds if isinstance(error, kind)), None)
    reason = named or reason_of(error)
    return reason if reason in FAILURES else "score"
