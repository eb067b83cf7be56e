# SPDX-License-Identifier: Apache-2.0
r"""Boxes and points in a reply, in all formats that Qwen2.5-VL was trained to write.

| form | written as |
|---|---|
| JSON | `{"bbox_2d": [x1, y1, x2, y2], "label": ...}`, `{"point_2d": [x, y], ...}`, alone, listed, nested |
| XML | `<points x1="..." y1="..." x2="..." y2="..." alt="...">object</points>` |
| plain lines | `x1,y1,x2,y2 object`; with spaces after the commas only if all lines have this format |
| legacy | `<\|object_ref_start\|>object<\|object_ref_end\|><\|box_start\|>(x1,y1),(x2,y2)<\|box_end\|>`, quads too |

Other names of these keys and other shapes of their numbers are read as well
(`finesight.parse.coordinates`). Unmarked numbers are read by `finesight.parse.bare`.

All coordinates are taken as pixels of the picture the model saw, also in the legacy format (thousandths in
Qwen2-VL, pixels in models fine-tuned from Qwen2.5-VL). An object that the end of the text cuts off is
left out and reported even if its coordinates are complete, because its label may not be.
Source: Qwen2.5-VL cookbooks (spatial understanding, OCR).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from finesight.geometry import Point
from finesight.parse.coordinates import (
    BOX_KEYS,
    PLACE_KEYS,
    POINT_KEYS,
    QUAD_KEYS,
    described_groups,
    description,
    equal_keys,
    loose_places,
    named_place,
    numbers_of,
    place_key,
    plain_key,
)
from finesight.parse.json_block import (
    JsonBlock,
    ObjectVisit,
    blank,
    find_blocks,
    regions,
    walk,
)
from finesight.parse.placement import name_in_object
from finesight.parse.records import AnswerBox, AnswerPoint, Findings, JsonValue, Problem, Span
from finesight.parse.tags import Tag, cut_tag, find_tags, read_numbers

_PAIR = re.compile(r"\(\s*+([-+\d.]++)\s*+,\s*+([-+\d.]++)\s*+\)")
_NUMBER = r"[-+]?\d{1,7}(?:\.\d++)?"
_COMMA = r",[ \t]*+"
_LINE = re.compile(
    rf"[ \t]*+(?:[-*•][ \t]++)?(?P<open>[(\[])?({_NUMBER})(?P<gap>{_COMMA})({_NUMBER}){_COMMA}({_NUMBER}){_COMMA}"
    rf"({_NUMBER})[)\]]?"
    r"(?:[ \t]*+(?P<mark>[:,])|(?=[ \t]))[ \t]*+"
    r"(?![^\n]*[(\[][ \t]{0,4}[-+]?\d{1,7}[ \t]{0,4},)"
    r"(?P<label>[^\s\d,][^\n]*+)"
)
"""A whole line; a label must not contain further numbers in brackets."""
_NO_OBJECT = re.compile(r"(?:and|or|to|is|are|was|were)\b|[%$€]", re.IGNORECASE)
_TEXT_OF_LINE = re.compile(r"[^\n\r]++")
_REFERENCE = re.compile(r"<\|object_ref_start\|>([^<]*+)<\|object_ref_end\|>")
_LEGACY = re.compile(r"<\|(box|quad)_start\|>([^<]*+)(<\|(?:box|quad)_end\|>)?")


def read_grounding(
    text: str,
    *,
    is_cut: bool = False,
    blocks: Sequence[JsonBlock] | None = None,
    shows_picture: bool = True,
) -> Findings:
    """Read all boxes and points of a text.

    Args:
        text: the reply, or a part of it with the rest replaced by spaces.
        is_cut: whether the model was stopped before it ended its answer; the last line is then left out.
        blocks: the JSON blocks of the text, if already found.
        shows_picture: whether the conversation shows a picture; without one, plain lines are not read.

    Returns:
        Results in reading order, in pixels the model saw.
    """
    found_blocks = find_blocks(text) if blocks is None else blocks
    rest = blank(text, [block.span for block in found_blocks if block.num_keys])
    reader = _Reader()
    for block in found_blocks:
        reader.read_block(block)
    reader.read_points_tags(rest)
    reader.read_legacy(rest)
    if shows_picture:
        reader.read_lines(rest, is_cut=is_cut)
    return Findings(
        boxes=tuple(sorted(reader.boxes, key=lambda box: box.span[0])),
        points=tuple(sorted(reader.points, key=lambda point: point.span[0])),
        problems=tuple(reader.problems),
        is_cut=reader.is_cut,
    )


class _Reader:
    """Collects the results of all formats."""

    def __init__(self) -> None:
        self.boxes: list[AnswerBox] = []
        self.points: list[AnswerPoint] = []
        self.problems: list[Problem] = []
        self.is_cut = False

    def read_block(self, block: JsonBlock) -> None:
        """Read the objects of one JSON block that contain coordinates."""
        self.is_cut |= block.state == "cut"
        if block.state != "closed":
            self._complain(block.span, f"JSON is {block.state} at character {block.span[1]}")
        for name in block.repeated:
            self._complain(
                block.span, f"key {name[:60]!r} occurs twice in one object; the last counts"
            )
        for numbers in loose_places(block.value):
            what = f"{_short(numbers)} is listed among objects, but nothing marks it as a box or a point"
            self._complain(block.span, what)
        for visit in walk(block):
            if not visit.is_complete:
                continue
            for first, second in equal_keys(visit.members, PLACE_KEYS):
                self._complain(
                    block.span, f"{first!r} and {second!r} are the same key; only {second!r} counts"
                )
            self._object_boxes(visit, block.span)
            if (key := place_key(visit.members, POINT_KEYS, 2)) is not None:
                self._object_points(visit, key, block.span)

    def _object_boxes(self, visit: ObjectVisit, span: Span) -> None:
        """Boxes under the key of a box or quad, or as members of the object itself."""
        members = visit.members
        if (key := place_key(members, BOX_KEYS, 4)) is not None:
            quad = numbers_of(members[key], 8) if _are_pairs(members[key]) else None
            found = [(quad, {})] if quad else described_groups(members[key], 4)
            wanted = "four numbers"
        elif (key := place_key(members, QUAD_KEYS, 8)) is not None:
            found, wanted = described_groups(members[key], 8), "eight numbers"
        elif (named := named_place(members, 4)) is not None and not _is_value_of_place(visit):
            self._box(named[0], visit, sorted(named[1]), span)
            return
        else:
            return
        for numbers, own in found:
            if numbers is None:
                self._complain(span, f"{key} is {_short(members[key])}, not {wanted}")
            else:
                self._box(numbers, visit.with_members(own), [key], span)

    def _box(
        self, numbers: Sequence[float], visit: ObjectVisit, used: Sequence[str], span: Span
    ) -> None:
        label, attributes = description(visit.members, used)
        self.boxes.append(
            AnswerBox.from_numbers(
                numbers,
                label=label,
                attributes=attributes,
                media_name=name_in_object(visit),
                span=span,
            )
        )

    def _object_points(self, visit: ObjectVisit, key: str, span: Span) -> None:
        for numbers, members in described_groups(visit.members[key], 2):
            if numbers is None:
                self._complain(span, f"{key} is {_short(visit.members[key])}, not two numbers")
                continue
            own = visit.with_members(members)
            label, attributes = description(own.members, [key])
            self.points.append(
                AnswerPoint(
                    point_resized=Point(*numbers),
                    label=label,
                    attributes=attributes,
                    media_name=name_in_object(own),
                    span=span,
                )
            )

    def read_points_tags(self, text: str) -> None:
        """Read `<points ...>object</points>` and `<point ...>`."""
        opened: Tag | None = None
        for tag in find_tags(text):
            if opened is not None:
                self._points_tag(opened, text[opened.end : tag.start], (opened.start, tag.end))
                opened = None
            if tag.name in ("points", "point") and not tag.is_closing:
                if tag.is_empty:
                    self._points_tag(tag, "", (tag.start, tag.end))
                else:
                    opened = tag
        cut = opened.start if opened else cut_tag(text)
        if cut is not None and text.startswith("<point", cut):
            self.is_cut = True
            self._complain((cut, len(text)), "a points tag is not closed")

    def _points_tag(self, tag: Tag, content: str, span: Span) -> None:
        places = list(_tag_points(tag.attributes)) or [read_numbers(content)]
        label = tag.attributes.get("alt", "") or (content.strip() if tag.attributes else "")
        extra: dict[str, JsonValue] = {
            key: value
            for key, value in tag.attributes.items()
            if key != "alt" and not re.fullmatch(r"[xy]\d*", key)
        }
        for numbers in places:
            if numbers is None or len(numbers) != 2:
                self._complain(span, "a points tag does not give an x and a y as numbers")
                continue
            self.points.append(
                AnswerPoint(point_resized=Point(*numbers), label=label, attributes=extra, span=span)
            )

    def read_legacy(self, text: str) -> None:
        """Read `<|box_start|>(x1,y1),(x2,y2)<|box_end|>` and quads, with the object reference before them."""
        references = list(_REFERENCE.finditer(text))
        starts = [reference.start() for reference in references]
        for match in _LEGACY.finditer(text):
            span = match.span()
            index = bisect_right(starts, match.start()) - 1
            label = references[index].group(1).strip() if index >= 0 else ""
            pairs = [_pair(pair) for pair in _PAIR.finditer(match.group(2))]
            is_quad = match.group(1) == "quad"
            corners = [pair for pair in pairs if pair is not None]
            if not match.group(3) and match.end() == len(text):
                self.is_cut = True
                self._complain(span, "a box was cut before its end")
            elif len(pairs) != len(corners) or len(corners) != (4 if is_quad else 2):
                self._complain(span, f"a {match.group(1)} has {len(corners)} readable corners")
            else:
                numbers = [value for corner in corners for value in corner]
                self.boxes.append(AnswerBox.from_numbers(numbers, label=label, span=span))

    def read_lines(self, text: str, *, is_cut: bool) -> None:
        """Read lines of `x1,y1,x2,y2 object`: marked ones, or unmarked ones if the reply has several and no others."""
        spans = _line_spans(text)
        if is_cut and spans and spans[-1][1] >= len(text.rstrip()):
            last = spans.pop()
            if _LINE.fullmatch(text, *last):
                self._complain(last, "the last line was cut before its end")
        lines = [line for span in spans if (line := _LINE.fullmatch(text, *span))]
        boxes = [
            AnswerBox.from_numbers(
                [float(number) for number in line.group(2, 4, 5, 6)],
                label=line["label"].strip(),
                is_unmarked=True,
                span=line.span(),
            )
            for line in lines
        ]
        are_clear = all(map(_is_box_and_object, lines, boxes))
        is_listed = len(lines) == len(spans) > 1 or all(map(_is_marked, lines))
        if are_clear and is_listed:
            self.boxes += boxes
        elif bare := [line for line in lines if not line["open"]]:
            what = "four numbers and words are read as a box only in a reply of such lines"
            self._complain(bare[0].span(), f"{what}: {_short(bare[0][0].strip())}")

    def _complain(self, span: Span, message: str) -> None:
        self.problems.append(Problem(span, message))


def _line_spans(text: str) -> list[Span]:
    """All lines that are not blank, without fences and program code."""
    return [
        line.span()
        for region in regions(text)
        if not region.is_code
        for line in _TEXT_OF_LINE.finditer(text, region.start, region.end)
        if line[0].strip()
    ]


def _is_marked(line: re.Match[str]) -> bool:
    """Whether a format separates numbers and label: `1,2,3,4 cat`, `[1, 2, 3, 4] cat`, `1, 2, 3, 4: cat`."""
    return line["gap"] == "," or bool(line["open"]) or line["mark"] == ":"


def _is_box_and_object(line: re.Match[str], found: AnswerBox) -> bool:
    """Whether a line has an area and a label; swapped corners are accepted only without spaces between numbers."""
    has_area = found.box_resized.width > 0 and found.box_resized.height > 0
    is_in_order = not found.swapped or line["gap"] == ","
    return has_area and is_in_order and not _NO_OBJECT.match(line["label"])


def _are_pairs(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(item, list) for item in value)


def _is_value_of_place(visit: ObjectVisit) -> bool:
    """Whether an object is the value of a key of a place, so that it was read with that key."""
    around = visit.enclosing[-1] if visit.enclosing else None
    return isinstance(around, str) and plain_key(around) in PLACE_KEYS


def _tag_points(attributes: Mapping[str, str]) -> Iterator[list[float] | None]:
    """Numbers of the attributes `x y` or `x1 y1 x2 y2 ...`, in the order of the x."""
    for name in attributes:
        if re.fullmatch(r"x\d{0,6}", name):
            yield read_numbers(f"{attributes[name]} {attributes.get('y' + name[1:], '')}")
    if not any(name.startswith("x") for name in attributes) and any(
        name.startswith("y") for name in attributes
    ):
        yield None


def _pair(match: re.Match[str]) -> tuple[float, float] | None:
    numbers = read_numbers(f"{match.group(1)} {match.group(2)}")
    return (numbers[0], numbers[1]) if numbers and len(numbers) == 2 else None


def _short(value: JsonValue) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
