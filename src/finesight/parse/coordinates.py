# SPDX-License-Identifier: Apache-2.0
"""Coordinates and labels in JSON values, in all shapes that models write.

A *place* is `n` numbers: 2 for a point, 4 for a box, 8 for a quadrilateral. They are written as a list,
as a string (`"1, 2"`), as an object (`{"x": 1, "y": 2}`), or as pairs (`[[x1, y1], [x2, y2]]`); a number
may be in quotes. Booleans, null and non-finite values are not numbers. Keys are compared without case and
punctuation: `bbox-2d` equals `bbox_2d`.
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
PLACE_KEYS = (*BOX_KEYS, *QUAD_KEYS, *POINT_KEYS)
LABEL_KEYS = ("label", "text_content", "text", "name", "category", "description")

_NAMES: Mapping[int, tuple[tuple[str, ...], ...]] = {
    2: (("x", "y"),),
    4: (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax")),
}
_NAMES_UNDER_KEY = {**_NAMES, 4: (*_NAMES[4], ("left", "top", "right", "bottom"))}
"""Names within an object under the key of a place; elsewhere `left` and the others may be margins."""
_PUNCTUATION = re.compile(r"[\W_]+")


def plain_key(key: str) -> str:
    """A key in lower case and without punctuation."""
    return _PUNCTUATION.sub("", key).lower()


def equal_keys(members: Mapping[str, JsonValue], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of keys of an object that are the same one of `keys` but for case and punctuation; the last counts."""
    given: dict[str, str] = {}
    for key in members:
        if (plain := plain_key(key)) in given and plain in keys:
            yield given[plain], key
        given[plain] = key


def place_key(members: Mapping[str, JsonValue], keys: Sequence[str], count: int) -> str | None:
    """The first of these keys whose value is coordinates.

    A key that ends in "2d" counts with any value. The others are also ordinary words: they count only
    with a list, an object or a string of `count` numbers, and a plural only with a list that holds a group of
    `count` numbers.
    """
    given = {plain_key(key): key for key in members}
    for plain in keys:
        if plain in given and _holds_place(plain, members[given[plain]], count):
            return given[plain]
    return None


def has_place(members: Mapping[str, JsonValue]) -> bool:
    """Whether an object has a key of a box or of a point."""
    return any(
        (plain := plain_key(key)) in PLACE_KEYS
        and (plain != "points" or isinstance(value, list))  # otherwise a score
        for key, value in members.items()
    )


def groups(value: JsonValue, count: int) -> Iterator[list[float] | None]:
    """One group of `count` numbers, or each of a list of groups; None for one that cannot be read."""
    return (numbers for numbers, _ in described_groups(value, count))


def described_groups(
    value: JsonValue, count: int
) -> Iterator[tuple[list[float] | None, dict[str, JsonValue]]]:
    """As `groups`, each with the other members of its object.

    Two pairs are the corners of one box. An object that has a key of a place is skipped: it is visited itself.
    """
    if value == []:  # an empty list means that there is none
        return
    if (one := numbers_of(value, count)) is not None:
        yield one, other_members(value, count)
    elif isinstance(value, list) and all(isinstance(item, (list, dict)) for item in value):
        for item in value:
            if not isinstance(item, dict) or not has_place(item):
                yield numbers_of(item, count), other_members(item, count)
    else:
        yield None, {}


def other_members(value: JsonValue, count: int) -> dict[str, JsonValue]:
    """The members of an object that are not its named coordinates; empty if the value is not an object."""
    if not isinstance(value, dict):
        return {}
    names = {name for each in _NAMES_UNDER_KEY.get(count, ()) for name in each}
    return {key: member for key, member in value.items() if plain_key(key) not in names}


def numbers_of(value: JsonValue, count: int) -> list[float] | None:
    """`count` numbers in one of the shapes above; None if the value is anything else."""
    if isinstance(value, str):
        return _counted(read_numbers(value) or [], count)
    if isinstance(value, dict):
        return _named(value, _NAMES_UNDER_KEY.get(count, ()))
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
    """Coordinates that are members of the object itself, and their keys."""
    given = {plain_key(key): key for key in members}
    for names in _NAMES[count]:
        if (numbers := _named(members, (names,))) is not None:
            return numbers, {given[name] for name in names}
    return None


def loose_places(value: JsonValue) -> Iterator[JsonValue]:
    """Lists of two or four numbers that are in one list with objects that have a place."""
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
    """A finite number, possibly in quotes."""
    if isinstance(value, str):
        numbers = read_numbers(value)
        return numbers[0] if numbers and len(numbers) == 1 else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def label_of(members: Mapping[str, JsonValue], keys: Sequence[str] = LABEL_KEYS) -> str:
    """The label of an object: the value of the first of these keys with a string, a number or a list of them."""
    labels = (_label_text(members[key]) for key in keys if key in members)
    return next((label for label in labels if label is not None), "")


def description(
    members: Mapping[str, JsonValue], used: Sequence[str]
) -> tuple[str, dict[str, JsonValue]]:
    """Label and attributes of an object; `used` are the keys of its coordinates.

    The key "label" is also an attribute if its value is a list or an object.
    """
    label = members.get("label")
    left_out = (*used, "label") if label is None or isinstance(label, (str, int, float)) else used
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
    """Numbers under the first complete set of names."""
    given = {plain_key(key): value for key, value in members.items()}
    for names in choices:
        numbers = [number for name in names if (number := number_of(given.get(name))) is not None]
        if len(numbers) == len(names):
            return numbers
    return None


def _counted(numbers: list[float], count: int) -> list[float] | None:
    return numbers if len(numbers) == count else None


def _label_text(value: JsonValue) -> str | None:
    """A string unchanged; a number or boolean as JSON writes it; a list of these joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        texts = [_label_text(item) for item in value if not isinstance(item, list)]
        return ", ".join(text for text in texts if text is not None) or None
    return json.dumps(value) if isinstance(value, (int, float)) else None
