# SPDX-License-Identifier: Apache-2.0
"""Sampling parameters of an answer, the constraint on its text included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from finesight.errors import ConfigError
from finesight.inputs import SAMPLING_LIMITS, check_numbers, settle, settle_numbers, shown

CONSTRAINTS: Final = ("json_schema", "regex", "choice", "grammar")
"""Fields of `Sampling` that constrain the text of an answer; at most one is set."""

_LEAST_TEMPERATURE = 1e-6  # logits divided by less overflow float32
_MOST_CONSTRAINT_LETTERS = 4 * 2**20
_MOST_CHOICES = 10_000
_MOST_STOPS = 1_000
"""All are looked for after each token, which takes 0.1 ms for so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters. The help of the command line quotes this list.

    Attributes:
        max_new_tokens: largest number of tokens of the answer.
        temperature: 0 takes the most likely token each time (greedy).
        top_p: draw from the fewest tokens whose probabilities add up to this; 1 keeps all.
        top_k: draw from this many of the most likely tokens; 0 keeps all.
        min_p: draw only from tokens at least this share as likely as the most likely one; 0 keeps all.
        repetition_penalty: above 1 makes tokens already seen less likely: divides their positive logits, multiplies
            their negative ones; 1 is off.
        presence_penalty: subtracted from the logits of tokens that the answer already contains.
        frequency_penalty: subtracted from the logit of a token once for each time that the answer contains it.
        stop: the answer ends before the first of these texts.
        seed: random seed; None draws one, which is not reported.
        logprobs: number of alternatives to report per token; None reports no log-probabilities at all.
        loop_guard: stop with `finish_reason="repetition"` when a line or a cycle of tokens repeats without end.
        loop_retries: number of times that an answer which repeats without end is continued from the first copy of what
            it repeats, with these tokens made less likely; 0 stops at once.
        json_schema: JSON Schema, as text or as a mapping; the answer is JSON that it accepts.
        regex: the whole answer matches this regular expression (syntax of Rust's regex crate, without look-around).
        choice: the answer is one of these texts.
        grammar: the answer follows a Lark grammar of llguidance, or one of the ready grammars: boxes, points,
            qwenvl_html, tool_calls, tool_call, text_or_tool_call.
    """

    max_new_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    loop_guard: bool = True
    loop_retries: int = 0
    json_schema: str | Mapping[str, Any] | None = None
    regex: str | None = None
    choice: tuple[str, ...] | None = None
    grammar: str | None = None

    def __post_init__(self) -> None:
        settle_numbers(self, SAMPLING_LIMITS)
        settle(self, ("loop_guard",))
        for name in ("stop", "choice"):
            given: object = getattr(self, name)
            texts = (given,) if isinstance(given, str) else given
            object.__setattr__(self, name, tuple(texts) if isinstance(texts, list) else texts)
        if isinstance(self.json_schema, Mapping):
            object.__setattr__(self, "json_schema", _json_text(self.json_schema))

    @property
    def constraint(self) -> str | None:
        """The field of `CONSTRAINTS` that is set."""
        return next((name for name in CONSTRAINTS if getattr(self, name) is not None), None)

    def check(self) -> None:
        """Raise `ConfigError` on a value outside its range and on contradicting options."""
        check_numbers("sampling", self, SAMPLING_LIMITS)
        if 0 < self.temperature < _LEAST_TEMPERATURE:
            raise ConfigError(
                f"sampling has temperature={self.temperature}; it must be 0, or at least "
                f"{_LEAST_TEMPERATURE:f}",
                hint="0 takes the best token each time",
            )
        _check_texts("stop", self.stop)
        if len(self.stop) > _MOST_STOPS:
            raise ConfigError(
                f"stop has {len(self.stop):,} texts; at most {_MOST_STOPS:,} are accepted"
            )
        if not isinstance(self.loop_guard, bool):
            raise ConfigError(
                f"sampling has loop_guard={shown(self.loop_guard)}; it must be True or False"
            )
        if self.loop_retries and not self.loop_guard:
            raise ConfigError(
                f"loop_retries={self.loop_retries} has no effect with loop_guard=False",
                hint="leave loop_guard on: it finds the repetition",
            )
        _check_constraint(self)


def _check_texts(name: str, texts: object) -> None:
    if not isinstance(texts, tuple) or not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(
            f"sampling has {name}={shown(texts)}; it must be a list of strings that are not empty"
        )


def _check_constraint(sampling: Sampling) -> None:
    """Check what needs no tokenizer: types, size, JSON syntax, and options that exclude each other."""
    given = [name for name in CONSTRAINTS if getattr(sampling, name) is not None]
    if not given:
        return
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} are given, but an answer has one constraint",
            hint="give one of them",
        )
    name, value = given[0], getattr(sampling, given[0])
    if name == "choice":
        _check_texts("choice", value)
        if not value:
            raise ConfigError("choice is an empty list", hint="give the texts to choose from")
        if len(value) > _MOST_CHOICES:
            raise ConfigError(
                f"choice has {len(value):,} texts; at most {_MOST_CHOICES:,} are accepted"
            )
    elif not isinstance(value, str) or not value.strip():
        expected = "a JSON Schema, as text or as a mapping" if name == "json_schema" else "a text"
        raise ConfigError(f"{name}={shown(value)}; it must be {expected}, and not empty")
    _check_letters(name, "".join(value))
    if name == "json_schema":
        _check_json(value)
    if sampling.stop:
        raise ConfigError(
            f"stop={shown(sampling.stop)} could cut an answer that {name} constrains",
            hint=f"leave stop out: the {name} determines where the answer ends",
        )


def _check_letters(name: str, text: str) -> None:
    if len(text) > _MOST_CONSTRAINT_LETTERS:
        raise ConfigError(
            f"{name} has {len(text):,} characters; at most {_MOST_CONSTRAINT_LETTERS:,} are accepted"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{name} is not UTF-8 at character {error.start + 1}") from error


def _check_json(text: str) -> None:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"json_schema is not JSON: {error}") from error
    if not isinstance(schema, (dict, bool)):
        raise ConfigError(
            f"json_schema is {shown(schema)}; a JSON Schema is an object, true or false",
            hint='for example {"type": "object", "properties": {"total": {"type": "number"}}}',
        )


def _json_text(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema, ensure_ascii=False, allow_nan=False, default=dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"json_schema cannot be written as JSON: {error}") from error
