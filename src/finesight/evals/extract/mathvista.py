# SPDX-License-Identifier: Apache-2.0
r"""MathVista: the official rules that need no judge, and the official normalisation of what they give.

In order: nothing said is nothing; an answer that is one of the choices, an integer or a number is taken as it is; so
is what stands in `The answer is "..."`. There the official way asks a language model. Ours goes on by rule: a letter or
choice by `ROBUST_LETTER`, the last `\boxed{}`, what follows "answer is" or "answer:", the last number. Fractions,
powers of ten and the minus of typesetting are read by `MATHVISTA_RULE_OF_WORDS` alone: the others keep
published numbers.

A number for an integer question loses its decimals. That is the authors' present rule; until 2024 it had to be written
as an integer, "3.4" was nothing, and most of the outputs that they published were scored so: `MATHVISTA_RULE_INT`.

`normalise` then never leaves a choice open: the one with the fewest edits is taken, even for silence, which can be
right by luck. It is done once only: among the choices "(b)" and "(d)", the choice "(b)" reads as the second.

`truth` holds `question_type`, `answer_type`, `precision` and `choices` as the data set names them.
Source: "MathVista" (2023), the evaluation code of the authors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.evals.core.task import Answered, Extractor
from finesight.evals.extract.boxed import last_boxed
from finesight.evals.extract.mcq import ROBUST_LETTER
from finesight.evals.extract.numbers import last_number_text, last_value_text

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
    if kind == "integer":
        return _whole(said)
    return _rounded(said, truth.get("precision")) if kind == "float" else extraction


def _read(
    answered: Answered, last_number: Callable[[str], str | None] = last_number_text
) -> str | None:
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
    if quoted := _quoted(text):
        return quoted
    if is_choice:
        return ROBUST_LETTER.read(answered) or _last(_STATED, text) or text
    boxed = last_boxed(text)
    stated = boxed if boxed is not None else _last(_STATED, text)
    if kind in ("integer", "float"):
        return (last_number(stated) if stated else None) or last_number(text) or text
    return (stated or text).strip().rstrip(".")


def _quoted(text: str) -> str | None:
    """What stands in `The answer is "..."`: in the last line that has it, from its first opening to its last end."""
    for line in reversed(text.split("\n")):
        _, _, opened = line.partition('The answer is "')
        quoted, end, _ = opened.rpartition('".')
        if end:
            return quoted
    return None


def _choice(said: str, choices: Sequence[str]) -> str:
    """The choice of a letter, or the one with the fewest edits; the first of several."""
    bracketed = _LETTER.search(said)
    letter = bracketed[1].upper() if bracketed else said
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        return str(choices[ord(letter) - ord("A")])
    return str(min(choices, key=lambda choice: Levenshtein.distance(letter, str(choice))))


def _read_int(answered: Answered) -> str | None:
    """As `_read`, but only an integer answers an integer question."""
    found, truth = _read(answered), answered.truth
    is_choice = truth.get("question_type") == "multi_choice" and truth.get("choices")
    if found is None or is_choice or truth.get("answer_type") != "integer":
        return found
    return found if _as_int(found) is not None else None


def _whole(text: str) -> str | None:
    """The number without its decimals, exact if it is written without any."""
    whole = _as_int(text)
    value = _as_float(text)
    if whole is None and (value is None or not isfinite(value)):
        return None
    return str(whole if whole is not None or value is None else int(value))


def _rounded(text: str, precision: Any) -> str | None:
    """The number to so many decimals, as Python prints it; none where the copy does not say how many."""
    value = _as_float(text)
    try:
        places = int(precision or 0)
    except (OverflowError, TypeError, ValueError):  # such as NaN, an empty cell of a table
        places = 0
    return None if value is None else str(round(value, places))


def _as_int(text: str) -> int | None:
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        return int(text)
    except ValueError:
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


def _read_words(answered: Answered) -> str | None:
    return _read(answered, last_value_text) if answered.text.strip() else None


MATHVISTA_RULE_OF_WORDS = Extractor("mathvista-rule-of-words", "3", _read_words)
"""As `MATHVISTA_RULE`, but silence is wrong, and where a number is looked for, "−3", "1/2" and "1.5e3" are numbers."""
MATHVISTA_RULE_INT = Extractor("mathvista-rule-int", "2", _read_int)
"""The same by the authors' older rule, `int(extraction)`, for numbers published until 2024."""
MATHVISTA_RULE = Extractor("mathvista-rule", "3", _read)
"""The official rules without their language model, ours where that would be asked; `normalise` comes after it."""
