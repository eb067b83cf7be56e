# SPDX-License-Identifier: Apache-2.0
"""Put answers to a judge; an answer it does not settle keeps its score by rule, under a reason.

A judge reads words alone, at temperature 0, and its replies are kept on disk: the same judge is never asked the same
thing twice, so judging that was cut off goes on where it ended.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finesight.conversation import Conversation, Message, Reply, Responder, Sampling, TextPart
from finesight.errors import EvalError, RemoteError
from finesight.evals.core.journal import Sample
from finesight.evals.core.judgement import Case, JudgeRule, Nonsense
from finesight.evals.core.responders import ANSWER_ERRORS
from finesight.evals.core.results import CUT_SHORT
from finesight.evals.core.scoring import message_of, reason_of
from finesight.evals.core.task import Item, Task
from finesight.evals.responders.model import FromModel
from finesight.parse.thinking import answer_part

SAMPLING = Sampling(max_new_tokens=1024, temperature=0.0)
"""How every judge answers; room to think before the line that counts."""

PATIENCE = 5
"""Failures of the endpoint in a row after which the rest is not asked: it is down, and every try takes minutes."""

FAILURES = {
    "nonsense": "the judge did not answer in the form asked for",
    "cut_short": "the judge's answer was cut short",
    "endpoint": "the judge's endpoint did not answer",
    "not_asked": "not asked any more, after its endpoint had failed again and again",
    "too_long": "the answer is too long for the judge",
    "engine": "the judge failed",
    "score": "the rule that scores failed on what the judge read",
}
"""Reasons for which an item keeps its score by rule, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Who judges.

    Attributes:
        responder: an endpoint, an engine, or a fake.
        model: what the endpoint calls it.
        where: address of the endpoint, without what is secret; or whatever else tells two judges of one name apart.
        cache: folder that keeps its replies; None takes one inside the run's folder.
    """

    responder: Responder
    model: str
    where: str
    cache: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of one answer; a line of `judgements.jsonl`.

    Attributes:
        id: of the item.
        verdict: see `finesight.evals.core.judgement`; None where the judge settled nothing.
        parsed: what was read.
        parts: parts of the score: the judge's, or by rule where it settled nothing.
        by_rule: parts of the score by rule.
        said: raw replies of the judge, in order.
        failure: one of `FAILURES`; None if there is a verdict.
        message: what exactly failed.
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
    """The judge ran out of tokens."""


class NotAsked(EvalError):
    """The judge is down."""


@dataclass(slots=True)
class Patient:
    """A responder that is not asked any more once it failed too often in a row.

    Attributes:
        inner: an endpoint.
    """

    inner: Responder
    _num_failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Replies of the endpoint."""
        with self._lock:
            if self._num_failed >= PATIENCE:
                raise NotAsked(f"the judge's endpoint had failed {PATIENCE} times in a row")
        try:
            replies = self.inner.respond(conversations, sampling)
        except RemoteError:
            with self._lock:
                self._num_failed += 1
            raise
        with self._lock:
            self._num_failed = 0
        return replies


class Asker:
    """Judges answers of one run; may be called from several threads.

    Args:
        task: the benchmark.
        rule: how its answers are judged.
        judge: who judges.
        cache: folder that keeps what the judge said.
    """

    def __init__(self, task: Task, rule: JudgeRule, judge: Judge, cache: Path) -> None:
        self._task, self._rule = task, rule
        name = f"judge {judge.model} at {judge.where}, {rule.name} {rule.version}"
        self._judge = FromModel(Patient(judge.responder), name, cache=cache)

    def judgement(self, sample: Sample) -> Judgement:
        """What becomes of an answer; its score by rule wherever the judge settles nothing."""
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
        """Parts of a score; whatever a rule raises on words that it did not foresee is an `EvalError`."""
        try:
            return {name: float(value) for name, value in self._task.score(parsed, truth).items()}
        except Exception as error:
            raise EvalError(message_of(error)) from error

    def _ask(self, prompt: str, said: list[str]) -> str:
        """The reply to a prompt, from disk where it is known."""
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
