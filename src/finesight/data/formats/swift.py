# SPDX-License-Identifier: Apache-2.0
"""The format of ms-swift: messages with marks, `images`, `videos`, and `objects` for places.

`objects` has the texts of the marks `<ref-object>` in `ref`, the numbers of the marks `<bbox>` in `bbox` (four of a
box, two of a point), what they count in `bbox_type` (`real` or `norm1`), and their pictures in `image_id`. A worse
answer is in `rejected_response` or `rejected_messages`.

Source: modelscope/ms-swift, docs/source_en/Customization/Custom-dataset.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finesight.data.formats.chat import CHAT, place_media, read_tools, read_turns, sources
from finesight.data.formats.config import Frame
from finesight.data.formats.coordinates import Spot, floats
from finesight.data.formats.draft import Draft, Piece, Turn
from finesight.data.formats.rows import Row, RowRefused, known, text_field

__all__ = ["read_row"]

_MARKS = re.compile(r"(<ref-object>|<bbox>)")
_REFUSED = ("audios", "rejected_images", "rejected_videos", "rejected_audios")


def read_row(row: Row) -> Draft:
    """The draft of a row.

    Raises:
        RowRefused: it cannot be read.
    """
    columns = known(row)
    if columns.pop("label", True) is not True:
        raise RowRefused("columns", "label is false: the answer is a bad one, not to be learned")
    if columns.get("rejected_images") == _pictures(columns):
        columns.pop("rejected_images", None)  # both answers are about the same pictures
    for name in _REFUSED:
        if columns.pop(name, None):
            what = "other pictures of the worse answer" if name == "rejected_images" else "it"
            raise RowRefused(
                "columns",
                f"{name} cannot be used: {what} cannot be learned from",
                hint="leave these rows out",
            )
    turns = read_turns(columns.pop("messages", None), CHAT)
    rejected = _rejected(columns)
    images = [
        source for name in ("image", "images") for source in sources(columns.pop(name, None), name)
    ]
    place_media(turns, images, sources(columns.pop("videos", None), "videos"), is_marked=False)
    if "objects" in columns:
        _place_objects([*turns, *rejected], columns.pop("objects"))
    if system := text_field(columns, "system"):
        turns.insert(0, Turn("system", [system]))
    meta = {
        key: str(columns.pop(name))
        for key, name in (("channel", "channel"), ("source_id", "id"))
        if name in columns
    }
    tools = read_tools(columns.pop("tools", None))
    return Draft(turns=turns, rejected=rejected, tools=tools, meta=meta, ignored=list(columns))


def _pictures(columns: Mapping[str, Any]) -> Any:
    """The column of the pictures, as a list."""
    value = columns.get("images", columns.get("image"))
    return [value] if isinstance(value, str) else value


def _rejected(columns: dict[str, Any]) -> list[Turn]:
    if "rejected_messages" in columns:
        turns = read_turns(columns.pop("rejected_messages"), CHAT, name="rejected_messages")
        last = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=-1)
        return turns[last + 1 :]
    response = text_field(columns, "rejected_response")
    return [Turn("assistant", [response])] if response else []


def _place_objects(turns: Sequence[Turn], objects: Any) -> None:
    """Replace the marks `<ref-object>` and `<bbox>` of all turns, in order."""
    if not isinstance(objects, Mapping):
        raise RowRefused("columns", f"objects are a {type(objects).__name__}, expected an object")
    given = {key: value for key, value in objects.items() if value is not None}
    names = _list(given, "ref")
    spots = _spots(given)
    if given:
        raise RowRefused("columns", f"objects has the unknown keys {', '.join(sorted(given))}")
    pieces = [piece for turn in turns for piece in turn.pieces if isinstance(piece, str)]
    found = [mark for piece in pieces for mark in _MARKS.findall(piece)]
    for mark, values in (("<ref-object>", names), ("<bbox>", spots)):
        if found.count(mark) != len(values):
            raise RowRefused(
                "marks",
                f"the turns have {found.count(mark)} marks {mark} for {len(values)} objects",
            )
    left: Mapping[str, Iterator[Any]] = {"<ref-object>": iter(names), "<bbox>": iter(spots)}
    for turn in turns:
        turn.pieces = [
            new
            for piece in turn.pieces
            for new in (_filled(piece, left) if isinstance(piece, str) else [piece])
        ]


def _spots(objects: dict[str, Any]) -> list[Spot]:
    kind = objects.pop("bbox_type", "real")
    boxes = _list(objects, "bbox")
    media = _list(objects, "image_id") if "image_id" in objects else [0] * len(boxes)
    if kind not in ("real", "norm1"):
        raise RowRefused("columns", f"bbox_type is {kind!r}, expected real or norm1")
    if len(media) != len(boxes):
        raise RowRefused("columns", f"there are {len(media)} image_id for {len(boxes)} boxes")
    spots = []
    for numbers, index in zip(boxes, media, strict=True):
        are_numbers = isinstance(numbers, list) and all(
            isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers
        )
        if not are_numbers or len(numbers) not in (2, 4) or not isinstance(index, int):
            raise RowRefused("box", f"bbox {numbers!s:.60} is no list of two or four numbers")
        values = floats(numbers)
        frame: Frame = "norm1" if kind == "norm1" else "original"
        spots.append(Spot("box" if len(values) == 4 else "point", values, frame, media=index))
    return spots


def _list(objects: dict[str, Any], name: str) -> list[Any]:
    value = objects.pop(name, [])
    if not isinstance(value, list):
        raise RowRefused("columns", f"{name} of objects is {value!s:.40}, expected a list")
    return value


def _filled(text: str, left: Mapping[str, Iterator[Any]]) -> Iterator[Piece]:
    for index, piece in enumerate(_MARKS.split(text)):
        if not index % 2:
            if piece:
                yield piece
        elif piece == "<bbox>":
            yield from ("[", next(left[piece]), "]")
        else:
            yield str(next(left[piece]))
