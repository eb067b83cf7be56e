# SPDX-License-Identifier: Apache-2.0
"""Drafts: what a row format reads, and how a draft becomes a record.

A draft has turns of pieces: texts, pictures, videos, and places whose picture is not loaded yet. Making the record
loads the media, converts the coordinates to pixels of the original, and checks the order of the roles.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finesight.conversation import Conversation, ImagePart, Message, Part, Role, TextPart, VideoPart
from finesight.data.formats.config import Frame, ImportConfig
from finesight.data.formats.coordinates import (
    Spot,
    SpotNumber,
    TextPiece,
    fitting_frames,
    in_original,
    spots_in,
    spots_of_call,
)
from finesight.data.formats.media import MediaFolders
from finesight.data.formats.rows import Row, RowRefused
from finesight.data.places import Place, escaped, mark, place_problem
from finesight.data.record import Record, Truth, text_of
from finesight.errors import ConfigError, RecordInvalid
from finesight.geometry import Size

__all__ = ["Draft", "Piece", "RecordMaker", "Tally", "Turn"]

Piece = TextPiece | ImagePart | VideoPart

_SCREEN = re.compile(r"resolution is \d+ ?x ?\d+|display_(?:width|height)_px")
"""How a text states the size of the screen whose coordinates a tool takes."""


@dataclass(slots=True)
class Turn:
    """One turn of a draft; the fields are those of `Message`, and what of the turn is not used."""

    role: Role
    pieces: list[Piece]
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    is_target: bool = True
    ignored: str = ""

    @property
    def media(self) -> list[ImagePart | VideoPart]:
        """Its pictures and videos."""
        return [piece for piece in self.pieces if isinstance(piece, (ImagePart, VideoPart))]


@dataclass(slots=True, kw_only=True)
class Draft:
    """What a row format reads.

    Attributes:
        turns: the conversation.
        rejected: turns of the worse answer.
        tools: function signatures.
        any_order: whether the turns are independent questions about the media of the first.
        truth: of the pictures, if the format has it.
        stated_size: width and height of the first picture as its annotations state them.
        meta: what the record keeps beside file and row.
        ignored: columns of the row that are not used.
    """

    turns: list[Turn]
    rejected: list[Turn] = field(default_factory=list)
    tools: Sequence[Mapping[str, Any]] = ()
    any_order: bool = False
    truth: tuple[Truth, ...] = ()
    stated_size: tuple[int, int] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    ignored: Sequence[str] = ()


@dataclass(slots=True)
class Tally:
    """Counts over all rows.

    Attributes:
        ignored: rows with a column that is not used, by its name.
        guessed: boxes and points of texts whose frame is a setting.
        fitting: those of them that are inside their picture, by frame.
        notes: anything else that was left out, with its number.
    """

    ignored: Counter[str] = field(default_factory=Counter)
    guessed: int = 0
    fitting: Counter[Frame] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


class RecordMaker:
    """Makes records of drafts.

    Args:
        name: file name and format, for `meta`.
        config: settings of the import.
        frame: what coordinates in texts count; None leaves texts as they are.
        media: folders of the media.
        tally: counts to add to.
    """

    def __init__(
        self,
        name: Mapping[str, str],
        config: ImportConfig,
        frame: Frame | None,
        media: MediaFolders,
        tally: Tally,
    ) -> None:
        self._name = name
        self._config = config
        self._frame = frame
        self._media = media
        self._tally = tally

    def make(self, draft: Draft, row: Row, record_id: str) -> Record:
        """The record of a draft.

        Raises:
            RowRefused: it cannot be used; the reason says why.
        """
        _check_roles(draft)
        self._find_spots(draft)
        loaded = [self._media.load(part, row.files) for turn in draft.turns for part in turn.media]
        _check_size(draft, [size for _, size in loaded])
        places = self._places(draft, [size for _, size in loaded])
        parts = iter([part for part, _ in loaded])
        turns = [_message(turn, parts, places) for turn in draft.turns]
        record = Record(
            id=record_id,
            conversation=Conversation(tuple(turns), tuple(draft.tools)),
            truth=draft.truth,
            any_order=draft.any_order,
            meta={
                "split": "train",
                "generator": "import",
                **self._name,
                "row": row.place,
                **draft.meta,
            },
            places=tuple(places.values()),
            rejected=tuple(_message(turn, parts, places) for turn in draft.rejected),
        )
        try:
            record.check()
        except (RecordInvalid, ConfigError) as error:
            raise RowRefused("record", error.message.partition(", ")[2], hint=error.hint) from error
        _check_encodable(record)
        self._tally.notes.update(_notes(draft))
        self._tally.ignored.update(draft.ignored)
        self._tally.ignored.update({turn.ignored for turn in draft.turns} - {""})
        return record

    def _find_spots(self, draft: Draft) -> None:
        """Replace the coordinates in the texts of questions and answers by places, if there are media."""
        if self._frame is None or not any(turn.media for turn in draft.turns):
            return
        for turn in (*draft.turns, *draft.rejected):
            if turn.role in ("user", "assistant"):
                is_answer = turn.role == "assistant"
                turn.pieces = [
                    found
                    for piece in turn.pieces
                    for found in (
                        spots_in(piece, self._frame, is_answer=is_answer)
                        if isinstance(piece, str)
                        else [piece]
                    )
                ]
                turn.tool_calls = tuple(
                    {**call, "arguments": spots_of_call(call["arguments"], self._frame)}
                    for call in turn.tool_calls
                )

    def _places(self, draft: Draft, sizes: Sequence[Size]) -> dict[Spot, Place]:
        """A place for each spot, in the order of the texts."""
        places: dict[Spot, Place] = {}
        num_seen = 0
        of_turn: range = range(0)
        for turn in (*draft.turns, *draft.rejected):
            if turn.media:
                of_turn = range(num_seen, num_seen + len(turn.media))
                num_seen += len(turn.media)
            for piece in (*turn.pieces, *_arguments(turn)):
                spot = piece.spot if isinstance(piece, SpotNumber) else piece
                if isinstance(spot, Spot) and spot not in places:
                    places[spot] = self._place(spot, sizes, of_turn)
        return places

    def _place(self, spot: Spot, sizes: Sequence[Size], of_turn: range) -> Place:
        index = spot.media
        if index is None:
            if len(of_turn) != 1:
                raise RowRefused(
                    "box",
                    f"the {spot.kind} {list(spot.values)} may be in each of {len(of_turn)} pictures or videos",
                    hint="--coordinates none leaves the numbers as they are; the format swift has image_id",
                )
            index = of_turn[0]
        if 0 <= index < len(sizes):
            if spot.is_guessed:
                self._tally.guessed += 1
                self._tally.fitting.update(fitting_frames(spot, sizes[index], self._config))
            values = in_original(spot, sizes[index], self._config)
        else:
            values = spot.values
        place = Place(spot.kind, index, tuple(round(value, 2) for value in values))
        if problem := place_problem(place, sizes):
            raise RowRefused("box", problem, hint=_frame_hint(spot))
        return place


def _check_size(draft: Draft, sizes: Sequence[Size]) -> None:
    """Boxes of a picture that was resized or rotated after it was annotated are wrong."""
    if draft.stated_size is None or not sizes:
        return
    width, height = draft.stated_size
    if (sizes[0].width, sizes[0].height) != draft.stated_size:
        raise RowRefused(
            "box",
            f"the boxes are for {width} x {height} pixels, but the picture has {sizes[0].width} x {sizes[0].height}",
        )


def _check_encodable(record: Record) -> None:
    """Half of a surrogate pair, which JSON can express, is no text."""
    talk = record.conversation
    texts = [text_of(message) for message in (*talk.messages, *record.rejected)]
    calls = [message.tool_calls for message in (*talk.messages, *record.rejected)]
    try:
        json.dumps([texts, calls, talk.tools, record.meta], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RowRefused("unreadable", f"a text is no UTF-8: {error}") from error


def _arguments(turn: Turn) -> list[Any]:
    """The values of the arguments of all its calls."""
    return [value for call in turn.tool_calls for value in call["arguments"].values()]


def _notes(draft: Draft) -> list[str]:
    """What of the coordinates in tool calls is left as it is."""
    turns = (*draft.turns, *draft.rejected)
    values = [value for turn in turns for value in _arguments(turn)]
    named = [
        name for turn in turns for call in turn.tool_calls for name in call["arguments"]
        if any(word in str(name) for word in ("coordinate", "point_2d", "bbox_2d"))
    ]  # fmt: skip
    num_placed = sum(isinstance(value, Spot) for value in values)
    notes = []
    if len(named) > num_placed:
        notes.append("rows whose tool calls have coordinates, which are left as they are")
    systems = [piece for turn in turns if turn.role == "system" for piece in turn.pieces]
    if num_placed and _SCREEN.search(f"{draft.tools} {systems}"):
        notes.append("rows whose tools state the size of the screen, which is left as it is")
    return notes


def _frame_hint(spot: Spot) -> str:
    if not spot.is_guessed:
        return ""
    return (
        f"its numbers {list(spot.values)} were read as {spot.frame}; --coordinates says otherwise"
    )


def _message(turn: Turn, media: Any, places: Mapping[Spot, Place]) -> Message:
    """The message of a turn; `media` is an iterator of loaded parts."""
    order = {spot: index for index, spot in enumerate(places)}
    parts: list[Part] = []
    for piece in turn.pieces:
        if isinstance(piece, (ImagePart, VideoPart)):
            parts.append(next(media))
            continue
        if isinstance(piece, str):
            text = escaped(piece) if places else piece
        elif isinstance(piece, Spot):
            text = mark(order[piece])
        else:
            text = mark(order[piece.spot], piece.index)
        if parts and isinstance(last := parts[-1], TextPart):
            parts[-1] = TextPart(last.text + text)
        elif text:
            parts.append(TextPart(text))
    calls = tuple(
        {
            **call,
            "arguments": {name: _marked(value, order) for name, value in call["arguments"].items()},
        }
        for call in turn.tool_calls
    )
    return Message(turn.role, tuple(parts), calls, turn.is_target)


def _marked(value: Any, order: Mapping[Spot, int]) -> Any:
    """An argument of a tool call with a mark in place of its spot."""
    if isinstance(value, Spot):
        return mark(order[value])
    return escaped(value) if order and isinstance(value, str) else value


_FOLLOWERS: Mapping[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


def _check_roles(draft: Draft) -> None:
    before = ""
    for number, turn in enumerate(draft.turns, 1):
        if turn.role not in _FOLLOWERS[before]:
            after = f"after {before}" if before else "at the start"
            expected = " or ".join(_FOLLOWERS[before])
            raise RowRefused(
                "roles", f"turn {number} is of {turn.role} {after}, expected {expected}"
            )
        before = turn.role
    if before != "assistant":
        raise RowRefused(
            "roles", f"the last turn is of {before or 'nobody'}, expected an answer of assistant"
        )
    if any(turn.media for turn in draft.rejected):
        raise RowRefused("record", "the worse answer has a picture or video")
    for number, turn in enumerate((*draft.turns, *draft.rejected), 1):
        is_empty = not any(not isinstance(piece, str) or piece.strip() for piece in turn.pieces)
        if turn.role == "assistant" and is_empty and not turn.tool_calls:
            raise RowRefused("empty answer", f"the answer in turn {number} is empty")
    if all(turn.role != "assistant" or not turn.is_target for turn in draft.turns):
        raise RowRefused("empty answer", "no answer is to be learned: all are switched off")
