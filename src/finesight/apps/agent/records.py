# SPDX-License-Identifier: Apache-2.0
"""Settings and result of a run of the agent, and one step of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from finesight.apps.evidence import Score
from finesight.errors import ConfigError
from finesight.screen.history import MANNERS, Manner
from finesight.screen.tools import EXTRAS

__all__ = ["AgentOptions", "End", "Expectation", "Run", "Step", "Verified"]

End: TypeAlias = Literal[
    "terminated",
    "over",
    "steps",
    "seconds",
    "stuck",
    "unreadable",
    "stopped",
    "dry_run",
    "screen_gone",
    "model_failed",
    "differs",
]
"""terminated: by the model; over: by the environment; steps, seconds: a budget is used up; stuck: the same screen and
step three times; unreadable: answers without a valid step; stopped: the file STOP or an interrupt; dry_run: after the
first proposal; screen_gone: the screen closed or crashed; model_failed: no answer came; differs: a macro met another
screen."""

ExpectationKind: TypeAlias = Literal["url", "text", "state", "file", "js"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to be true when the task is done.

    Attributes:
        kind: url: its address matches a regular expression; text: it is visible; state: `ROLE/NAME/STATE` of an
            element; file: it exists; js: an expression is true, on web pages.
        value: the expression, text or path.
    """

    kind: ExpectationKind
    value: str

    @classmethod
    def read(cls, text: str) -> Expectation:
        """From `KIND:VALUE`.

        Raises:
            ConfigError: the kind is unknown, or the value is empty.
        """
        kind, _, value = text.partition(":")
        for known in get_args(ExpectationKind):
            if kind == known and value:
                return cls(known, value)
        raise ConfigError(
            f"{text!r} is no expectation",
            hint="write url:REGEX, text:TEXT, state:ROLE/NAME/STATE, file:PATH or js:EXPRESSION",
        )

    def check(self) -> None:
        """Raise `ConfigError` if the value cannot be checked at the end: a broken regular expression, an odd state."""
        if self.kind == "url":
            try:
                re.compile(self.value)
            except re.error as error:
                raise ConfigError(
                    f"expectation url:{self.value} is no regular expression: {error}",
                    hint="put a backslash before characters that stand for themselves, such as ( or ?",
                ) from error
        if self.kind == "state":
            role, _, rest = self.value.partition("/")
            if not role or "/" not in rest or rest.endswith("/"):
                raise ConfigError(
                    f"expectation state:{self.value} has no role, name and state",
                    hint="write state:ROLE/NAME/STATE, such as state:checkbox/Newsletter/checked",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Settings of a run.

    Attributes:
        manner: how earlier steps are written in the prompt.
        extras: functions offered beside the official tool, of `EXTRAS`.
        instructions: each step in words, for the manner "low".
        hints: tell the model what a step did not change, what was refused, and warnings; False keeps the prompt that
            of the official templates.
        regrounds: whether the target of a click that changed nothing is asked for once more on an enlarged crop.
        dry_run: propose the first step and perform nothing.
        most_steps: steps at most.
        most_seconds: time at most.
        acts_per_minute: a run that is faster waits.
        most_unreadable: answers in a row without a valid step, after which the run ends.
        expectations: what has to be true at the end.
        judges: without expectations, whether the model is asked if the task is done.
        min_pixels: least area of a screen for the model.
        max_pixels: largest area of a screen for the model.
        max_new_tokens: of an answer.
    """

    manner: Manner = "cookbook"
    extras: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    hints: bool = True
    regrounds: bool = True
    dry_run: bool = False
    most_steps: int = 20
    most_seconds: float = 900.0
    acts_per_minute: float = 60.0
    most_unreadable: int = 3
    expectations: tuple[Expectation, ...] = ()
    judges: bool = True
    min_pixels: int | None = None
    max_pixels: int | None = None
    max_new_tokens: int = 1024

    def check(self) -> None:
        """Raise `ConfigError` if a setting is out of range."""
        if self.manner not in MANNERS:
            raise ConfigError(f"no manner {self.manner!r}", hint=f"known: {', '.join(MANNERS)}")
        if unknown := [each for each in self.extras if each not in EXTRAS]:
            raise ConfigError(f"no function {unknown[0]!r}", hint=f"known: {', '.join(EXTRAS)}")
        if self.manner == "low" and not self.instructions:
            raise ConfigError(
                "the manner `low` needs each step in words", hint="give instructions, one a step"
            )
        if self.instructions and self.manner != "low":
            raise ConfigError(
                f"instructions have no effect with the manner `{self.manner}`",
                hint="give the manner low, or leave the instructions out",
            )
        for each in self.expectations:
            each.check()
        for name in ("most_steps", "most_seconds", "acts_per_minute", "most_unreadable"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, not above 0")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, as a line of the trace; texts and pictures are without secrets.

    Attributes:
        n: its number, from 1.
        at_seconds: since the start of the run.
        before: SHA-256 of the screen that the model saw.
        after: SHA-256 of the screen after the step; empty if it was not performed.
        place: see `Observation.place`, before the step.
        prompt_digest: SHA-256 of the request's text.
        replies: what the model wrote, in order; the last one was parsed.
        shown: size at which the model saw each screen, for each reply.
        act: the step, with points in pixels of the screen; None if no answer could be parsed.
        call: the step as a call in the model's coordinates, for the history.
        words: the step in words.
        element: the control that it used.
        gate: decision of the gate.
        effect: what it changed; "error" if it was not performed.
        regrounded: whether the point is that of a second question about a crop.
        warnings: texts of the screen that try to give orders.
        remarks: what the model was told besides the official prompt.
        problem: why nothing was performed.
        seconds: time of the whole step.
        tokens: of prompt and answer together.
    """

    n: int
    at_seconds: float
    before: str
    after: str = ""
    place: str = ""
    prompt_digest: str = ""
    replies: tuple[str, ...] = ()
    shown: tuple[tuple[int, int], ...] = ()
    act: Mapping[str, Any] | None = None
    call: str = ""
    words: str = ""
    element: Mapping[str, Any] | None = None
    gate: Mapping[str, Any] | None = None
    effect: Mapping[str, Any] | None = None
    regrounded: bool = False
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str = ""
    seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Whether the task is done, as checked by this program.

    Attributes:
        value: True, False, or None if it could not be checked.
        how: by expectations, by a question about the last screen, or not at all.
        details: each expectation with its result in words.
        score: of the question.
    """

    value: bool | None = None
    how: Literal["expectations", "judge", "none"] = "none"
    details: tuple[str, ...] = ()
    score: Score = field(default_factory=lambda: Score(None, "yes_no"))

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "value": self.value,
            "how": self.how,
            "details": list(self.details),
            "score": self.score.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Result of a run.

    Attributes:
        goal: the task.
        end: why it ended.
        claimed: what the model said at the end: "success", "failure", or empty.
        verified: what this program found.
        answer: the answer that the model gave, if it was asked a question.
        notes: facts that the model wrote down.
        steps: all steps.
        problem: what went wrong, in words.
    """

    goal: str
    end: End
    claimed: str = ""
    verified: Verified = field(default_factory=Verified)
    answer: str = ""
    notes: tuple[str, ...] = ()
    steps: Sequence[Step] = ()
    problem: str = ""

    @property
    def is_done(self) -> bool:
        """Whether all expectations hold; without expectations, whether success is claimed and no check denies it."""
        if self.verified.how == "expectations":
            return self.verified.value is True
        return self.claimed == "success" and self.verified.value is not False

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "goal": self.goal,
            "end": self.end,
            "claimed": self.claimed,
            "verified": self.verified.to_dict(),
            "answer": self.answer,
            "notes": list(self.notes),
            "num_steps": len(self.steps),
            "problem": self.problem,
            "steps": [asdict(step) for step in self.steps],
        }
