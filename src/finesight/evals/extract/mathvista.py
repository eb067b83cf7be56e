# SPDX-License-Identifier: Apache-2.0
r"""MathVista: the official rules that need no judge, and the official normalisation.

In order: an empty answer has no extraction; an answer that is a choice or a number is used unchanged; so is the text in
`The answer is "..."`. Then the official code asks a language model; ours applies rules: a letter or choice by
`ROBUST_LETTER`, the last `\boxed{}`, the text after "answer is" or "answer:", the last number. Only
`MATHVISTA_RULE_OF_WORDS` reads fractions, powers of ten and Unicode minus signs; the others reproduce published scores.

For an integer question, decimals of a number are dropped. Until 2024 the authors accepted only integers, and most of
their published outputs were scored so: `MATHVISTA_RULE_INT`.

`normalise` always returns a choice, the one with the fewest edits, even for an empty answer. It is not idempotent:
among the choices "(b)" and "(d)", the choice "(b)" is read as the second.

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
from finesight.evals.extract.numbers import last_number_text, last_value_text
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.metrics.texts import as_float

_STATED = re.compile(r"\banswer(?: is|:)\s{0,3}([^\n]{1,200})", re.IGNORECASE)
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_LONGEST_NUMBER = 300  # characters


def normalise(extraction: str | None, truth: Mapping[str, Any]) -> str | None:
    """Convert an extraction into the form of the gold answer, for comparison by equality.

    Returns:
        One of the choices for `multi_choice`; otherwise the number or text, None if the type does not fit.
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
    if kind in ("integer", "float") and as_float(text) is not None:
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
    """The text in `The answer is "..."`, in the last line with it, from the first opening to the last closing quote."""
    for line in reversed(text.split("\n")):
        _, _, opened = line.partition('The answer is "')
        quoted, end, _ = opened.rpartition('".')
        if end:
            return quoted
    return None


def _choice(said: str, choices: Sequence[str]) -> str:
    """The choice of a letter, else the first with the fewest edits."""
    bracketed = _LETTER.search(said)
    letter = bracketed[1].upper() if bracketed else said
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        return str(choices[ord(letter) - ord("A")])
    return str(min(choices, key=lambda choice: Levenshtein.distance(letter, str(choice))))


def _read_int(answered: Answered) -> str | None:
    """As `_read`, but None for an integer question without an integer."""
    found, truth = _read(answered), answered.truth
    is_choice = truth.get("question_type") == "multi_choice" and truth.get("choices")
    if found is None or is_choice or truth.get("answer_type") != "integer":
        return found
    return found if _as_int(found) is not None else None


def _whole(text: str) -> str | None:
    """The number without its decimals; exact for an integer."""
    whole, value = _as_int(text), as_float(text)
    if whole is not None:
        return str(whole)
    return str(int(value)) if value is not None and isfinite(value) else None


def _rounded(text: str, precision: Any) -> str | None:
    """The number to `precision` decimals, as Python prints it; without decimals if the copy gives no precision."""
    value = as_float(text)
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


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return found[-1] if found else None


def _read_words(answered: Answered) -> str | None:
    return _read(answered, last_value_text) if answered.text.strip() else None


MATHVISTA_RULE_OF_WORDS = Extractor("mathvista-rule-of-words", "3", _read_words)
"""As `MATHVISTA_RULE`, but an empty answer is wrong, and "−3", "1/2" and "1.5e3" are numbers."""
MATHVISTA_RULE_INT = Extractor("mathvista-rule-int", "2", _read_int)
"""The same with the authors' older rule `int(extraction)`, for numbers published until 2024."""
MATHVISTA_RULE = Extractor("mathvista-rule", "3", _read)
"""The official rules, with ours instead of the language model; its result goes to `normalise`."""
