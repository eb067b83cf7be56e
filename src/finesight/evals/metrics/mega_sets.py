# SPDX-License-Identifier: Apache-2.0
"""MegaBench's metrics of texts, lists, sets and objects.

A text is parsed as Python: a list, set or tuple, with or without brackets, or items separated by commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from finesight.evals.metrics.literal import read_literal, read_object, read_python

Metric = Callable[[Any, Any], float]
_LETTER = re.compile(r"\(?([A-Za-z])\)?")
_DROPPED = str.maketrans(dict.fromkeys(" -\n\t.", None))
_BRACKETS = {"(": ")", "{": "}", "[": "]"}
_LOOSE = str.maketrans(dict.fromkeys(" -\n\t_.", None))


def exact(pred: Any, gold: Any) -> float:
    """Equality of texts; for a gold letter, of the first letter of the answer: "(A) a cat" equals "A"."""
    text, wanted = str(pred), str(gold)
    if len(wanted) == 1 and wanted.isalpha() and (match := _LETTER.match(text)):
        text = match[1]
    return float(text == wanted)


def simple(pred: Any, gold: Any) -> float:
    """Equality in lower case without blanks, hyphens and full stops."""
    return exact(_bare(pred), _bare(gold))


def _bare(value: Any) -> str:
    return str(value).translate(_DROPPED).lower()


def as_list(value: Any) -> list[Any]:
    """The items of a list, possibly written as text; [] for a text with an unclosed bracket."""
    if isinstance(value, (list, tuple, set)):
        return list(value)
    if not isinstance(value, str) or not (text := value.strip(" ")):
        return []
    close = _BRACKETS.get(text[0])
    if close and not text.endswith(close):
        return []
    inner = text[1:-1] if close else text
    is_set = text[0] == "{" and ":" not in text
    try:
        spelled = read_python(f"[{inner}]" if is_set else text)
    except ValueError:
        spelled = read_literal(text) if close == "]" else None
        return spelled if isinstance(spelled, list) else [item.strip() for item in inner.split(",")]
    if spelled is None:
        return [text]  # the word None is an item
    return list(spelled) if isinstance(spelled, (list, tuple, dict, str)) else [spelled]


def as_set(value: Any) -> set[Any]:
    """The items; nested lists become tuples, an object its (key, value) pairs."""
    if isinstance(value, dict):
        return {(key, _frozen(item)) for key, item in value.items()}
    return {_frozen(item) for item in as_list(value)}


def _as_object(value: Any) -> dict[Any, Any] | None:
    """An object, possibly written as text; None for anything else."""
    if isinstance(value, dict):
        return value
    found = read_object(value) if isinstance(value, str) and "{" in value else {}
    return found or None


def equal(form: Callable[[Any], Any]) -> Metric:
    """Equality of two values in this form."""
    return lambda pred, gold: float(form(pred) == form(gold))


def jaccard_of(form: Callable[[Any], set[Any]]) -> Metric:
    """Jaccard index of two values in this form."""
    return lambda pred, gold: _jaccard(form(pred), form(gold))


def upper_set(value: Any) -> set[str]:
    """The items in upper case; all must be texts."""
    return {item.upper() for item in as_set(value)}


def lower_lines(text: str) -> set[str]:
    """The lines in lower case."""
    return set(text.replace("\\n", "\n").lower().split("\n"))


def lower_items(value: Any) -> list[Any]:
    """The items, texts in lower case."""
    return [item.lower() if isinstance(item, str) else item for item in as_list(value)]


def lower_texts(value: Any) -> list[str]:
    """The items as texts in lower case."""
    return [str(item).lower() for item in as_list(value)]


def chess_moves(value: Any) -> set[str]:
    """Chess moves without the marks "#" and "!"."""
    return {move.removesuffix("!").removesuffix("#") for move in as_set(value)}


def set_precision(pred: Any, gold: Any) -> float:
    """Share of the predicted items that are correct; 1 if there are none."""
    found = as_set(pred)
    return len(found & as_set(gold)) / len(found) if found else 1.0


def jaccard_any_case(pred: Any, gold: Any) -> float:
    """Jaccard index of texts in lower case, or of tuples of texts without punctuation and blanks."""
    found, wanted = as_set(pred), as_set(gold)
    if all(isinstance(item, str) for item in wanted):
        return _jaccard({str(item).lower() for item in found}, {item.lower() for item in wanted})
    return _jaccard(
        *(
            {tuple(part.lower().translate(_LOOSE) for part in item) for item in items}
            for items in (found, wanted)
        )
    )


def common_prefix(pred: Any, gold: Any) -> float:
    """Share of the gold list before the first wrong item."""
    wanted = as_list(gold)
    length = 0
    for one, other in zip(as_list(pred), wanted, strict=False):
        if one != other:
            break
        length += 1
    return length / len(wanted)


def sequence_accuracy(pred: Any, gold: Any) -> float:
    """Share of positions with the correct item; 0 if the lengths differ."""
    found, wanted = lower_items(pred), lower_items(gold)
    if len(found) != len(wanted):
        return 0.0
    num_right = sum(bool(one == other) for one, other in zip(found, wanted, strict=True))
    return num_right / len(wanted)


def dict_equality(pred: Any, gold: Any) -> float:
    """The same keys and values."""
    found = _as_object(pred)
    return float(found is not None and found == _as_object(gold))


def dict_recall(pred: Any, gold: Any) -> float:
    """Share of the gold keys with equal texts."""
    found, wanted = _as_object(pred), _as_object(gold)
    if found is None or not wanted:
        return 0.0
    return sum(exact(found.get(key), value) for key, value in wanted.items()) / len(wanted)


def dict_precision(pred: Any, gold: Any) -> float:
    """Share of the predicted keys with equal texts."""
    found, wanted = _as_object(pred), _as_object(gold) or {}
    if not found:
        return 0.0
    return sum(exact(v, wanted[key]) for key, v in found.items() if key in wanted) / len(found)


def per_key(metric: Metric) -> Metric:
    """Mean of a metric over the keys of both objects; a missing key counts as an empty list."""

    def score(pred: Any, gold: Any) -> float:
        found, wanted = _as_object(pred), _as_object(gold)
        if found is None or wanted is None:
            return 0.0
        keys = {*found, *wanted}
        return sum(metric(found.get(key, []), wanted.get(key, [])) for key in keys) / len(keys)

    return score


def _jaccard(found: set[Any], wanted: set[Any]) -> float:
    either = found | wanted
    return len(found & wanted) / len(either) if either else 1.0


def _frozen(item: Any) -> Any:
    if isinstance(item, (list, tuple)):
        return tuple(_frozen(each) for each in item)
    if isinstance(item, dict):
        return frozenset((key, _frozen(each)) for key, each in item.items())
    return item
