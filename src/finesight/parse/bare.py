# SPDX-License-Identifier: Apache-2.0
"""Unmarked numbers: those that no key and no format marks as a box, a point or a time, such as `(5, 6)`.

They are read only if a reply contains no other result, because such numbers are ambiguous:

| written as | read as |
|---|---|
| `{"x": 5, "y": 6}`, `{"coordinate": [5, 6]}`, and four numbers under such a key | a point, a box |
| `<bbox>1 2 3 4</bbox>`, `<ref>cat</ref><box>[[1, 2, 3, 4]]</box>`, `<click>5 6</click>` | a box, a point |
| `[1, 2, 3, 4]` anywhere; `(1, 2), (3, 4)`, `1, 2, 3, 4` as the whole answer | a box |
| `click(x=5, y=6)` anywhere; `(5, 6)`, `[[5, 6], [7, 8]]` as the whole answer about pictures | points |
| `[5, 10]`, `[[5, 10], [12, 20]]` as the whole answer about videos | time spans |

Other pairs, numbers without commas, four numbers under an unknown key and numbers in the fence of a
program are problems. So are numbers that do not fit the picture or video (`finesight.parse.originals`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from finesight.geometry import Point
from finesight.parse.coordinates import (
    description,
    named_place,
    numbers_of,
    other_members,
    plain_key,
)
from finesight.parse.json_block import JsonBlock, ObjectVisit, blank, regions, walk
from finesight.parse.placement import name_in_object
from finesight.parse.records import (
    AnswerBox,
    AnswerEvent,
    AnswerPoint,
    Findings,
    JsonValue,
    Problem,
    Span,
)

_N = r"([-+]?\d{1,7}+(?:\.\d{0,60}+)?)"
_GAP = r"\s{0,4},\s{0,4}"
_LOOSE_GAP = rf"(?:{_GAP}|\s{{1,4}})"
FOUR = re.compile(rf"[\[(]\s{{0,4}}{_N}{_GAP}{_N}{_GAP}{_N}{_GAP}{_N}\s{{0,4}}[\])]")
CORNERS = re.compile(
    rf"\(\s{{0,4}}{_N}{_GAP}{_N}\s{{0,4}}\)\s{{0,4}},?\s{{0,4}}\(\s{{0,4}}{_N}{_GAP}{_N}\s{{0,4}}\)"
)
TWO = re.compile(rf"[\[(]\s{{0,4}}{_N}{_GAP}{_N}\s{{0,4}}[\])]")
NAMED = re.compile(
    rf"\bx\s{{0,3}}[=:]\s{{0,3}}{_N}[\s,;]{{1,6}}y\s{{0,3}}[=:]\s{{0,3}}{_N}", re.IGNORECASE
)
BARE_FOUR = re.compile(rf"\A\s*+{_N}{_LOOSE_GAP}{_N}{_LOOSE_GAP}{_N}{_LOOSE_GAP}{_N}\s*+\Z")
"""The whole of a text."""
BARE_TWO = re.compile(rf"\A\s*+{_N}{_LOOSE_GAP}{_N}\s*+\Z")
"""The whole of a text."""

_TAG = re.compile(
    r"(?:<ref>([^<]{0,200})</ref>\s{0,4})?"
    r"<(bbox|box|point|click|coordinate|coord)\b[^<>]{0,80}>([^<]{1,160})</?",
    re.IGNORECASE,
)
_NUMBER = re.compile(_N)
_PLACE_KEYS = ("coordinate", "coordinates", "position", "location", "click", "center", "centre")
_SIZE_KEYS = ("w", "h", "width", "height")
_CALL = re.compile(
    r"(?:click|tap|press|touch|hover|drag\w{0,8}|move\w{0,8}|point)\(\s{0,3}\Z", re.IGNORECASE
)
_EQUATION = re.compile(r"\s{0,3}\)\s{0,3}=")
_WRAPPING = re.compile(r"```\w*|</?answer>", re.IGNORECASE)
_ONLY_NUMBERS = re.compile(r"[\s\d\[\](),.;+-]*+")
_THOUSANDS = re.compile(r"\s*+\d{1,3}(?:,\d{3})++\s*+")


@dataclass(frozen=True, slots=True)
class Group:
    """Two numbers of a point or four of a box.

    Attributes:
        numbers: as written.
        span: where they are in the text.
        label: of the object; empty if none is written.
    """

    numbers: tuple[float, ...]
    span: Span
    label: str = ""


def find_groups(text: str, *patterns: re.Pattern[str]) -> list[Group]:
    """All groups of the first of these patterns that occurs."""
    for pattern in patterns:
        if found := [Group(_floats(match), match.span()) for match in pattern.finditer(text)]:
            return found
    return []


def find_tagged(text: str) -> list[Group]:
    """Numbers in tags such as `<bbox>`, of any count."""
    found: list[Group] = []
    for match in _TAG.finditer(text):
        fours = [_floats(four) for four in FOUR.finditer(match[3])]
        several = fours or [tuple(float(number) for number in _NUMBER.findall(match[3]))]
        found += [Group(numbers, match.span(), (match[1] or "").strip()) for numbers in several]
    return found


def find_in_objects(
    blocks: Sequence[JsonBlock],
) -> Iterator[tuple[ObjectVisit, list[float], list[str], Span]]:
    """`{"x": 1, "y": 2}`, `{"coordinate": [1, 2]}`, and four numbers under such a key.

    Yields:
        The object, its two or four numbers, the keys that hold them, and the span of its block.
    """
    for block in blocks:
        for visit in walk(block):
            if visit.is_complete and (found := _in_object(visit)) is not None:
                numbers, keys = found
                own = other_members(visit.members[keys[0]], len(numbers))
                yield visit.with_members(own), numbers, keys, block.span


def read_bare(
    text: str,
    blocks: Sequence[JsonBlock],
    *,
    shows_picture: bool,
    shows_video: bool,
    is_cut: bool,
) -> Findings:
    """Read the numbers of a reply in which nothing else was found.

    Args:
        text: the reply, with its JSON objects and all that was read replaced by spaces.
        blocks: its JSON blocks.
        shows_picture: whether the conversation shows a picture.
        shows_video: whether it shows a video.
        is_cut: whether the model was stopped before it ended its answer; numbers without brackets at the end are
            then left out.

    Returns:
        Unmarked results, or one problem for numbers that are not read.
    """
    if not (shows_picture or shows_video):
        return Findings()
    if objects := [_object(*found) for found in find_in_objects(blocks)]:
        return Findings.joined(objects)
    with_programs, text = text, _without_programs(text)
    if tagged := [group for group in find_tagged(text) if group.numbers]:
        return _places(tagged)
    named = find_groups(text, NAMED)
    called = [group for group in named if _is_call(text, group)]
    if called and is_cut and called[-1].span[1] >= len(text.rstrip()):
        what = "the last numbers were cut before their end"
        cut = Findings(problems=(Problem(called[-1].span, what),))
        return Findings.joined([_places(called[:-1]), cut])
    if places := called or find_groups(text, FOUR):
        return _places(places)
    inner = _WRAPPING.sub(lambda match: " " * len(match[0]), text)
    is_whole = _ONLY_NUMBERS.fullmatch(inner) is not None
    pairs = find_groups(text, TWO)
    if is_whole and shows_picture and len(pairs) == 2 and (four := find_groups(text, CORNERS)):
        return _places(four)
    if pairs and is_whole and shows_picture != shows_video:
        return _places(pairs) if shows_picture else _events(pairs)
    if (four := find_groups(inner, BARE_FOUR)) and inner.count(",") == 3 and not is_cut:
        return _places(four)
    in_code = find_groups(with_programs, NAMED, FOUR, CORNERS)
    return _refused(pairs or named or four or _bare_pair(inner) or in_code, blocks)


def _without_programs(text: str) -> str:
    """The text with program code in fences replaced by spaces."""
    return blank(text, [(region.start, region.end) for region in regions(text) if region.is_code])


def _is_call(text: str, group: Group) -> bool:
    """Whether `x=5, y=6` are the arguments of an action such as a click."""
    before = text[max(group.span[0] - 24, 0) : group.span[0]]
    return _CALL.search(before) is not None and not _EQUATION.match(text, group.span[1])


def read_beside(text: str, boxes: Sequence[AnswerBox]) -> tuple[Problem, ...]:
    """One problem if a reply with results also contains four unmarked numbers.

    Args:
        text: the reply, with all that was read replaced by spaces.
        boxes: the boxes found; numbers that repeat one of these are no problem.
    """
    known = {(box.x1, box.y1, box.x2, box.y2) for box in (each.box_resized for each in boxes)}
    text = _without_programs(text)
    found = [*find_tagged(text), *find_groups(text, FOUR), *find_groups(text, CORNERS)]
    for group in found:
        if len(group.numbers) == 4 and group.numbers not in known:
            shown = ", ".join(f"{number:g}" for number in group.numbers)
            what = f"beside other results, nothing calls the numbers {shown} a box"
            return (Problem(group.span, what),)
    return ()


def _refused(groups: Sequence[Group], blocks: Sequence[JsonBlock]) -> Findings:
    """One problem for numbers that are not read, if there are any."""
    if groups:
        shown = ", ".join(f"{number:g}" for number in groups[0].numbers)
        what = f"nothing calls the numbers {shown} a box, a point or a time"
        return Findings(problems=(Problem(groups[0].span, what),))
    for block in blocks:
        for visit in walk(block):
            for key, value in visit.members.items():
                if isinstance(value, list) and numbers_of(value, 4) is not None:
                    what = f"{key[:60]} holds four numbers and is not known as the key of a box"
                    return Findings(problems=(Problem(block.span, what),))
    return Findings()


def _floats(match: re.Match[str]) -> tuple[float, ...]:
    return tuple(float(number) for number in match.groups())


def _bare_pair(text: str) -> list[Group]:
    """Two numbers that are the whole text; "1,234" is one number."""
    return [] if _THOUSANDS.fullmatch(text) else find_groups(text, BARE_TWO)


def _in_object(visit: ObjectVisit) -> tuple[list[float], list[str]] | None:
    """The numbers of an object's place, and their keys."""
    around = visit.enclosing[-1] if visit.enclosing else None
    if isinstance(around, str) and plain_key(around) in _PLACE_KEYS:
        return None  # was read with the object around it
    if (named := named_place(visit.members, 2)) is not None:
        return named[0], sorted(named[1])
    for key, value in visit.members.items():
        if plain_key(key) in _PLACE_KEYS and isinstance(value, (list, dict, str)):
            for count in (2, 4):
                if (numbers := numbers_of(value, count)) is not None:
                    return numbers, [key]
    return None


def _object(
    visit: ObjectVisit, numbers: Sequence[float], used: Sequence[str], span: Span
) -> Findings:
    if len(numbers) == 2 and any(plain_key(key) in _SIZE_KEYS for key in visit.members):
        what = "an object has a place and a size, not two corners"
        return Findings(problems=(Problem(span, what),))
    label, attributes = description(visit.members, used)
    group = Group(tuple(numbers), span, label)
    return _place(group, attributes=attributes, media_name=name_in_object(visit))


def _places(groups: Sequence[Group]) -> Findings:
    return Findings.joined(_place(group) for group in groups)


def _place(
    group: Group, *, attributes: Mapping[str, JsonValue] | None = None, media_name: str = ""
) -> Findings:
    """A point of two numbers, a box of four."""
    if len(group.numbers) == 2:
        point = AnswerPoint(
            point_resized=Point(*group.numbers),
            label=group.label,
            attributes=attributes or {},
            media_name=media_name,
            span=group.span,
            is_unmarked=True,
        )
        return Findings(points=(point,))
    if len(group.numbers) == 4:
        box = AnswerBox.from_numbers(
            group.numbers,
            label=group.label,
            attributes=attributes,
            media_name=media_name,
            span=group.span,
            is_unmarked=True,
        )
        return Findings(boxes=(box,))
    what = f"a tag contains {len(group.numbers)} numbers, not two or four"
    return Findings(problems=(Problem(group.span, what),))


def _events(groups: Sequence[Group]) -> Findings:
    found = (
        AnswerEvent.from_times(*group.numbers, span=group.span, is_unmarked=True)
        for group in groups
    )
    return Findings(events=tuple(found))
