# SPDX-License-Identifier: Apache-2.0
"""Interface of judging by a language model: cases, rulings and rules.

The judge's score is reported beside the score by rule. A reply that does not have the requested form (`Nonsense`) gives
no ruling; such replies are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from finesight.errors import EvalError

Ask = Callable[[str], str]
"""Sends one prompt to the judge and returns its raw reply."""

Verdict = Literal["plain", "read", "none", "ambiguous", "equal", "different"]
"""Parsed without a judge; parsed by the judge; no answer; several answers, which count as wrong; equal to the gold
answer; different from it."""


class Nonsense(EvalError):
    """A judge's reply without the requested form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An answer to be judged.

    Attributes:
        question: text of the question with its options.
        text: the raw answer.
        truth: of the item; a prompt that asks to parse an answer never contains the gold answer.
        score: the task's score of a parsed answer, in parts.
    """

    question: str
    text: str
    truth: Mapping[str, Any]
    score: Callable[[Any], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a judge decided.

    Attributes:
        verdict: see `Verdict`.
        parsed: the parsed answer; None if there is none or more than one.
        parts: parts of the score.
    """

    verdict: Verdict
    parsed: Any
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class JudgeRule:
    """A named way to judge the answers of a benchmark.

    Attributes:
        name: in results.
        version: changes whenever a prompt or the parsing of replies changes.
        decide: judges one answer; raises `Nonsense` on a reply without the requested form.
    """

    name: str
    version: str
    decide: Callable[[Case, Ask], Ruling]
