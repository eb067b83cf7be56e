# SPDX-License-Identifier: Apache-2.0
"""A language model as a judge: what a benchmark may ask it about an answer, and what its reply may mean.

The score by rule is always kept; the judge's score is a second one. A judge that does not answer in the form it was
asked for has decided nothing (`Nonsense`); this is counted, and its meaning is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from finesight.errors import EvalError

Ask = Callable[[str], str]
"""Puts one prompt to the judge and gives its raw reply."""

Verdict = Literal["plain", "read", "none", "ambiguous", "equal", "different"]
"""Clear without a judge; read by the judge; holds no answer; holds several, which counts as wrong; means the same as
the gold answer; means something else."""


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
        verdict: what became of the answer.
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
