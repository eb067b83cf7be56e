# SPDX-License-Identifier: Apache-2.0
"""Lists, sets and objects compared as MegaBench does.

A text is taken for what it spells in Python: a list, set or tuple, with or without brackets, or items between commas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from finesight.evals.metrics.literal import read_literal, read_object, read_python
from finesight.evals.metrics.mega_strings import exact

_BRACKETS = {"(": ")", "{": "}", "[": "]"}
_LOOSE = str.maketrans(dict.fromkeys(" -\n\t_.", None))


def as_list(value: Any) -> list[Any]:
    """The items of a list or of a text that spells one; a bracket that does not close spells none."""
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
        return [text]  # the word None, an item like others
    return list(spelled) if isinstance(spelled, (list, tuple, dict, str)) else [spelled]


def as_set(value: Any) -> set[Any]:
    """The items, lists among them as tuples."""
    return (
        {_frozen(item) for item in as_list(value)}
        if not isinstance(value, dict)
        else {(key, _frozen(item)) for key, item in value.items()}
    )


def as_object(value: Any) -> dict[Any, Any] | None:
    """An object, or what a text spells; None for anything else."""
    if isinstance(value, dict):
        return value
    found = read_object(value) if isinstance(value, str) and "{" in value else {}
    return found or None


def set_equality(said: Any, gold: Any) -> float:
    """The same items."""
    return float(as_set(said) == as_set(gold))


def set_equality_any_case(said: Any, gold: Any) -> float:
    """The same texts, whatever their case; anything but texts is wrong."""
    return float({item.upper() for item in as_set(said)} == {item.upper() for item in as_set(gold)})


def set_equality_lines(said: Any, gold: Any) -> float:
    """The same lines, whatever their order and case."""
    lines = [set(text.replace("\\n", "\n").lower().split("\n")) for text in (said, gold)]
    return float(lines[0] == lines[1])


def set_equality_commas(said: Any, gold: Any) -> float:
    """The same items, whatever their case."""
    return float(set(_lower(as_list(said))) == set(_lower(as_list(gold))))


def set_precision(said: Any, gold: Any) -> float:
    """Share of the items said that are right; 1 where none was said."""
    found = as_set(said)
    return len(found & as_set(gold)) / len(found) if found else 1.0


def jaccard(said: Any, gold: Any) -> float:
    """Items in both over items in either; 1 where there are none at all."""
    return _jaccard(as_set(said), as_set(gold))


def jaccard_any_case(said: Any, gold: Any) -> float:
    """`jaccard` of texts in lower case, or of tuples of texts without marks and blanks."""
    found, wanted = as_set(said), as_set(gold)
    if all(isinstance(item, str) for item in wanted):
        return _jaccard({str(item).lower() for item in found}, {item.lower() for item in wanted})
    return _jaccard(
        *(
            {tuple(part.lower().translate(_LOOSE) for part in item) for item in items}
            for items in (found, wanted)
        )
    )


def jaccard_chess(said: Any, gold: Any) -> float:
    """`jaccard` of chess moves without the signs for mate and praise."""
    moves = [
        {move.removesuffix("!").removesuffix("#") for move in as_set(text)} for text in (said, gold)
    ]
    return _jaccard(*moves)


def common_prefix(said: Any, gold: Any) -> float:
    """How much of the gold list is right before the first wrong item."""
    wanted = as_list(gold)
    length = 0
    for one, other in zip(as_list(said), wanted, strict=False):
        if one != other:
            break
        length += 1
    return length / len(wanted)


def sequence_equality(said: Any, gold: Any) -> float:
    """The same items in the same order."""
    return float(as_list(said) == as_list(gold))


def sequence_equality_any_case(said: Any, gold: Any) -> float:
    """The same texts in the same order, whatever their case."""
    found, wanted = ([str(item).lower() for item in as_list(value)] for value in (said, gold))
    return float(found == wanted)


def sequence_accuracy(said: Any, gold: Any) -> float:
    """Share of places with the right item; 0 where the lengths differ."""
    found, wanted = _lower(as_list(said)), _lower(as_list(gold))
    if len(found) != len(wanted):
        return 0.0
    num_right = sum(bool(one == other) for one, other in zip(found, wanted, strict=True))
    return num_right / len(wanted)


def dict_equality(said: Any, gold: Any) -> float:
    """The same keys and values."""
    found = as_object(said)
    return float(found is not None and found == as_object(gold))


def dict_recall(said: Any, gold: Any) -> float:
    """Share of the gold keys whose texts are equal."""
    found, wanted = as_object(said), as_object(gold)
    if found is None or not wanted:
        return 0.0
    return sum(exact(found.get(key), value) for key, value in wanted.items()) / len(wanted)


def dict_precision(said: Any, gold: Any) -> float:
    """Share of the keys said whose texts are equal."""
    found, wanted = as_object(said), as_object(gold) or {}
    if not found:
        return 0.0
    return sum(exact(v, wanted[key]) for key, v in found.items() if key in wanted) / len(found)


def dict_set_equality(said: Any, gold: Any) -> float:
    """Share of all keys whose sets are equal."""
    return over_keys(said, gold, set_equality)


def dict_jaccard(said: Any, gold: Any) -> float:
    """Mean over all keys of `jaccard`."""
    return over_keys(said, gold, jaccard)


def over_keys(said: Any, gold: Any, metric: Callable[[Any, Any], float]) -> float:
    """Mean of a metric over the keys of both; a key that is missing holds an empty list."""
    found, wanted = as_object(said), as_object(gold)
    if found is None or wanted is None:
        return 0.0
    keys = {*found, *wanted}
    return sum(metric(found.get(key, []), wanted.get(key, [])) for key in keys) / len(keys)


def _lower(items: Iterable[Any]) -> list[Any]:
    return [item.lower() if isinstance(item, str) else item for item in items]


def _jaccard(found: set[Any], wanted: set[Any]) -> float:
    either = found | wanted
    return len(found & wanted) / len(either) if either else 1.0


def _frozen(item: Any) -> Any:
    if isinstance(item, (list, tuple)):
        return tuple(_frozen(each) for each in item)
    if isinstance(item, dict):
        return frozenset((key, _frozen(each)) for key, each in item.items())
    return item
