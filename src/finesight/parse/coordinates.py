# SPDX-License-Identifier: Apache-2.0
"""Coordinates and labels in a JSON value, in every shape that models give them.

A place is `n` numbers, 2 for a point and 4 for a box. They come as a list, as a text (`"1, 2"`),
as an object with names (`{"x": 1, "y": 2}`), or as pairs (`[[x1, y1], [x2, y2]]`); a number may
stand in quotes. Boolean values, null and anything that is not finite are no numbers. Keys are
compared without their case and without the marks between their words: `bbox-2d` is `bbox_2d`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from finesight.parse.records import JsonValue
from finesight.parse.tags import read_numbers

BOX_KEYS = ("bbox2d", "bbox", "box", "boundingbox", "boundingbox2d", "box2d", "bboxes", "boxes")
QUAD_KEYS = ("quad2d", "quad", "polygon2d")
POINT_KEYS = ("point2d", "points2d", "point", "points")
LABEL_KEYS = ("label", "text_content", "text", "name", "category", "description")

_NAMES: Mapping[int, tuple[tuple[str, ...], ...]] = {
    2: (("x", "y"),),
    4: (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax")),
}
_SIDES = ("left", "top", "right", "bottom")
"""Names of a box too, but only under the key of a box: alone they are margins as well."""
_MARKS = re.compile(r"[\W_]+")


def plain_key(key: str) -> str:
    """A key without its case and without the marks between its words."""
    return _MARKS.sub("", key).lower()


def equal_keys(members: Mapping[str, JsonValue], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Keys of an object that are one of these keys and differ only in case and marks; the last one counts."""
    given: dict[str, str] = {}
    for key in members:
        if (plain := plain_key(key)) in given and plain in keys:
            yield given[plain], key
        given[plain] = key


def place_key(members: Mapping[str, JsonValue], keys: Sequence[str], count: int) -> str | None:
    """The first of these keys that holds coordinates.

    A key that ends in "2d" says that it does, whatever stands there. The others are ordinary words
    too, and count only with a list, an object or a text of so many numbers; a plural only with
    groups of so many.
    """
    given = {plain_key(key): key for key in members}
    for plain in keys:
        if plain in given and _holds_place(plain, members[given[plain]], count):
            return given[plain]
    return None


def has_place(members: Mapping[str, JsonValue]) -> bool:
    """Whether an object has a key of a box or of a point."""
    return any(
        (plain := plain_key(key)) in (*BOX_KEYS, *QUAD_KEYS, *POINT_KEYS)
        and (plain != "points" or isinstance(value, list))  # a score otherwise
        for key, value in members.items()
    )


def groups(value: JsonValue, count: int) -> Iterator[list[float] | None]:
    """One group of so many numbers, or several in a list; None for what is no such group."""
    return (numbers for numbers, _ in described_groups(value, count))


def described_groups(
    value: JsonValue, count: int
) -> Iterator[tuple[list[float] | None, dict[str, JsonValue]]]:
    """As `groups`, each with what its own object says beside the numbers.

    Two pairs are the corners of one box. An object that has a place of its own is left to itself.
    """
    if value == []:  # an empty list says that there is none
        return
    if (one := numbers_of(value, count)) is not None:
        yield one, beside(value, count)
    elif isinstance(value, list) and all(isinstance(item, (list, dict)) for item in value):
        for item in value:
            if not isinstance(item, dict) or not has_place(item):
                yield numbers_of(item, count), beside(item, count)
    else:
        yield None, {}


def beside(value: JsonValue, count: int) -> dict[str, JsonValue]:
    """What an object of named coordinates says beside them; nothing where the value is no object."""
    if not isinstance(value, dict):
        return {}
    names = {name for each in _NAMES[count] for name in each} if count in _NAMES else set()
    names |= set(_SIDES) if count == 4 else set()
    return {key: said for key, said in value.items() if plain_key(key) not in names}


def numbers_of(value: JsonValue, count: int) -> list[float] | None:
    """So many numbers, in one of the shapes above; None where it is anything else."""
    if isinstance(value, str):
        return _counted(read_numbers(value) or [], count)
    if isinstance(value, dict):
        return _named(value, (*_NAMES.get(count, ()), *((_SIDES,) if count == 4 else ())))
    if not isinstance(value, list):
        return None
    if 2 * len(value) == count > 2:
        pairs = [numbers_of(pair, 2) if isinstance(pair, list) else None for pair in value]
        return _counted([number for pair in pairs if pair for number in pair], count)
    numbers = [number for item in value if (number := number_of(item)) is not None]
    return _counted(numbers, count) if len(numbers) == len(value) else None


def named_place(
    members: Mapping[str, JsonValue], count: int
) -> tuple[list[float], set[str]] | None:
    """Coordinates that are members of the object itself, and the keys that hold them."""
    given = {plain_key(key): key for key in members}
    for names in _NAMES[count]:
        if (numbers := _named(members, (names,))) is not None:
            return numbers, {given[name] for name in names}
    return None


def loose_places(value: JsonValue) -> Iterator[JsonValue]:
    """Lists of two or four numbers in a list that holds places as objects too."""
    if isinstance(value, list) and any(
        isinstance(item, dict) and (has_place(item) or named_place(item, 4)) for item in value
    ):
        yield from (
            item
            for item in value
            if isinstance(item, (list, str)) and (numbers_of(item, 4) or numbers_of(item, 2))
        )
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        if isinstance(item, (dict, list)):
            yield from loose_places(item)


def number_of(value: JsonValue) -> float | None:
    """A finite number, maybe in quotes."""
    if isinstance(value, str):
        numbers = read_numbers(value)
        return numbers[0] if numbers and len(numbers) == 1 else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and isinstance(value, (int, float)) else None


def label_of(members: Mapping[str, JsonValue], keys: Sequence[str] = LABEL_KEYS) -> str:
    """What an object says that it is: the first of these keys with a text, a number or a list of them."""
    said = (_words(members[key]) for key in keys if key in members)
    return next((words for words in said if words is not None), "")


def description(
    members: Mapping[str, JsonValue], used: Sequence[str]
) -> tuple[str, dict[str, JsonValue]]:
    """Label and the other attributes of an object.

    The key "label" is no attribute, unless it holds more than the label shows.
    """
    is_shown = isinstance(members.get("label"), (str, int, float))
    left_out = (*used, "label") if is_shown or members.get("label") is None else used
    return label_of(members), {
        name: value for name, value in members.items() if name not in left_out
    }


def _holds_place(plain: str, value: JsonValue, count: int) -> bool:
    if plain.endswith("2d"):
        return True
    if plain == "points" and not isinstance(value, list):
        return False
    if plain.endswith("s") and isinstance(value, list):
        return any(numbers_of(item, count) is not None for item in value)
    return isinstance(value, (list, dict)) or numbers_of(value, count) is not None


def _named(
    members: Mapping[str, JsonValue], choices: Sequence[Sequence[str]]
) -> list[float] | None:
    """Numbers under the first set of names that is complete."""
    given = {plain_key(key): value for key, value in members.items()}
    for names in choices:
        numbers = [number for name in names if (number := number_of(given.get(name))) is not None]
        if len(numbers) == len(names):
            return numbers
    return None


def _counted(numbers: list[float], count: int) -> list[float] | None:
    return numbers if len(numbers) == count else None


def _words(value: JsonValue) -> str | None:
    """A text as it is; a number or a truth value as JSON writes it; a list of these joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        words = [_words(item) for item in value if not isinstance(item, list)]
        return ", ".join(word for word in words if word is not None) or None
    return json.dumps(value) if isinstance(value, (int, float)) else None
