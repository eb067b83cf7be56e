# SPDX-License-Identifier: Apache-2.0
r"""MathVista: the official rules that need no judge, and the official normalisation of what they give.

In order: nothing said is nothing; an answer that is one of the choices, an integer or a number is taken as it is; so
is what stands in `The answer is "..."`. There the official way asks a language model. Ours goes on by rule: a letter or
choice by `ROBUST_LETTER`, the last `\boxed{}`, what follows "answer is" or "answer:", the last number.

`normalise` then never leaves a choice open: the one with the fewest edits is taken, even for silence, which can be
right by luck. It is done once only: among the choices "(b)" and "(d)", the choice "(b)" reads as the second.

`truth` holds `question_type`, `answer_type`, `precision` and `choices` as the data set names them.
Source: "MathVista" (2023), the evaluation code of the authors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.evals.extract.boxed import last_boxed
from finesight.evals.extract.mcq import ROBUST_LETTER
from finesight.evals.extract.numbers import last_number_text
from finesight.evals.task import Answered, Extractor

_QUOTED = re.compile(r'The answer is "([^\n]*)"\.')
_STATED = re.compile(r"\banswer(?: is|:)\s{0,3}([^\n]{1,200})", re.IGNORECASE)
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_LONGEST_NUMBER = 300  # characters; longer ones are noise and slow to read


def normalise(extraction: str | None, truth: Mapping[str, Any]) -> str | None:
    """Bring an extraction into the form of the gold answer, for comparison by equality.

    Args:
        extraction: what was read from the answer.
        truth: `question_type`, `answer_type`, `precision` and `choices`.

    Returns:
        One of the choices for `multi_choice`; otherwise the number or text, None where the type does not fit.
    """
    said = "None" if extraction is None else str(extraction)
    choices = truth.get("choices") or []
    if truth.get("question_type") == "multi_choice" and choices:
        return _choice(said.strip(), choices)
    kind = truth.get("answer_type")
    if kind in ("integer", "float"):
        return _number(said, None if kind == "integer" else int(truth.get("precision") or 0))
    return extraction


def _read(answered: Answered) -> str | None:
    text, truth = answered.text, answered.truth
    choices = truth.get("choices") or []
    is_choice = truth.get("question_type") == "multi_choice" and bool(choices)
    if not text:
        return "" if is_choice else None
    if is_choice and text in choices:
        return text
    kind = truth.get("answer_type")
    if kind in ("integer", "float") and _as_float(text) is not None:
        return text
    if quoted := _last(_QUOTED, text):
        return quoted
    if is_choice:
        return ROBUST_LETTER.read(answered) or _last(_STATED, text) or text
    boxed = last_boxed(text)
    stated = boxed if boxed is not None else _last(_STATED, text)
    if kind in ("integer", "float"):
        return last_number_text(stated or text) or last_number_text(text) or text
    return (stated or text).strip().rstrip(".")


def _choice(said: str, choices: Sequence[str]) -> str:
    """The choice of a letter, or the one with the fewest edits; the first of several."""
    bracketed = _LETTER.search(said)
    letter = bracketed[1].upper() if bracketed else said
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        return str(choices[ord(letter) - ord("A")])
    return str(min(choices, key=lambda choice: Levenshtein.distance(letter, str(choice))))


def _number(text: str, precision: int | None) -> str | None:
    """The number as Python prints it; whole where there is no precision."""
    value = _as_float(text)
    if value is None:
        return None
    try:
        return str(int(value)) if precision is None else str(round(value, precision))
    except (OverflowError, ValueError):  # infinity and NaN are no integers
        return None


def _as_float(text: str) -> float | None:
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = None
    for match in pattern.finditer(text):
        found = match[1]
    return found


MATHVISTA_RULE = Extractor("mathvista-rule", "2", _read)
"""The official rules without their language model, ours where that would be asked; `normalise` comes after it."""
