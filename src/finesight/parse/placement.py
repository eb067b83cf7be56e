# SPDX-License-Identifier: Apache-2.0
"""Finds the picture or video that a result belongs to.

The first of these rules that applies decides:

1. the caller gives the index (an agent knows which picture is the screen);
2. the conversation shows exactly one candidate (for an event: exactly one video);
3. the result names one: in a key of its own or of an object around it (`"image_id": 2`,
   `"Picture 2": [...]`, a file name);
4. a line before the result names exactly one ("Picture 2:", "in the second image", "图2"). The last line
   that names any counts.

Otherwise the result is unplaced: its index is None and its coordinates stay as the model wrote
them. Names count from 1, as `add_vision_id` writes them: "Picture N" (or "Image N") counts
pictures, "Video N" counts videos, "Page N" is the page of a PDF.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from finesight.conversation import MediaRecord
from finesight.parse.json_block import ObjectVisit
from finesight.parse.records import JsonValue, PlacedBy, Span

_KEYS = {
    **dict.fromkeys(("image_id", "picture_id", "image", "picture", "img_id"), "picture"),
    **dict.fromkeys(("video_id", "video"), "video"),
    **dict.fromkeys(("page", "page_number"), "page"),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_KINDS = {
    "image": "picture",
    "图": "picture",
    "图片": "picture",
    "图像": "picture",
    "视频": "video",
    "页": "page",
}
_NAME = re.compile(
    r"(?<![A-Za-z])(?P<kind>picture|image|video|page)\s{0,2}#?(?P<number>\d{1,4})(?!\d)"
    rf"|\b(?P<ordinal>{'|'.join(_ORDINALS)})\s{{1,2}}(?P<okind>picture|image|video|page)\b"
    r"|(?P<zkind>图片|图像|图|视频)\s?(?P<znumber>\d{1,4})"
    r"|第\s?(?P<dnumber>\d{1,4})\s?[张个]?(?P<dkind>图|视频|页)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Placement:
    """The media item of a result.

    Attributes:
        media_index: index into `Reply.media`; None if not known.
        placed_by: the rule that decided; empty if none did.
        reason: why the index is not known; empty if it is.
    """

    media_index: int | None
    placed_by: PlacedBy = ""
    reason: str = ""


class Placer:
    """Places the results of one reply.

    Args:
        media: what the conversation showed.
        text: the reply with its structured parts replaced by spaces; its lines may name media.
        blocks: spans of those parts; each ends its line.
        forced: index given by the caller; None applies the other rules.
    """

    def __init__(
        self,
        media: Sequence[MediaRecord],
        text: str,
        *,
        blocks: Sequence[Span] = (),
        forced: int | None = None,
    ) -> None:
        self._media = media
        self._forced = forced
        breaks = sorted(
            [match.start() for match in re.finditer("\n", text)] + [start for start, _ in blocks]
        )
        self._offsets: list[int] = []
        self._lines: list[int] = []
        self._names: dict[int, set[str]] = {}  # per line
        for match in _NAME.finditer(text):
            line = bisect_right(breaks, match.start())
            self._offsets.append(match.start())
            self._lines.append(line)
            self._names.setdefault(line, set()).add(_canonical(match))

    def place(
        self, media_name: str, span: Span, *, kind: Literal["image", "video"] | None = None
    ) -> Placement:
        """Find the media item of a result at `span` that names `media_name`."""
        if self._forced is not None:
            return Placement(self._forced, "caller")
        fitting = [index for index, record in enumerate(self._media) if kind in (None, record.kind)]
        if not fitting:
            return Placement(None, reason=f"the conversation shows no {kind or 'picture'}")
        if len(fitting) == 1:
            return Placement(fitting[0], "only")
        if media_name and (_NAME.fullmatch(media_name) or self._lookup(media_name)):
            return self._named(media_name, "name", kind)
        last = bisect_left(self._offsets, span[0]) - 1
        if last < 0:
            return Placement(None, reason=f"it could belong to any of {len(fitting)} media")
        names = sorted(self._names[self._lines[last]])
        if len(names) > 1:
            return Placement(None, reason=f"the line before it names {' and '.join(names[:3])}")
        return self._named(names[0], "heading", kind)

    def _named(
        self, name: str, placed_by: PlacedBy, kind: Literal["image", "video"] | None
    ) -> Placement:
        indices = self._lookup(name)
        if len(indices) != 1:
            return Placement(None, reason=f"{name[:60]!r} names {len(indices)} of the media shown")
        if kind not in (None, self._media[indices[0]].kind):
            return Placement(None, reason=f"{name[:60]!r} is no {kind}")
        return Placement(indices[0], placed_by)

    def _lookup(self, name: str) -> list[int]:
        """Indices of the media that a name refers to."""
        match = _NAME.fullmatch(name)
        if match is None:
            return [
                index
                for index, record in enumerate(self._media)
                if name in (record.source, record.source.replace("\\", "/").rsplit("/", 1)[-1])
            ]
        word, number = _canonical(match).split(" ")
        if word == "Page":
            return [i for i, record in enumerate(self._media) if record.page == int(number) - 1]
        wanted = "video" if word == "Video" else "image"
        same = [index for index, record in enumerate(self._media) if record.kind == wanted]
        return same[int(number) - 1 : int(number)] if int(number) >= 1 else []


def name_in_object(visit: ObjectVisit) -> str:
    """The picture or video named by an object or one around it; empty if none is."""
    for around in (visit.members, *reversed(visit.enclosing)):
        if isinstance(around, str):
            if _NAME.fullmatch(around.strip()):
                return around.strip()
            continue
        for key, kind in _KEYS.items():
            if key in around and (name := _name_of(kind, around[key])):
                return name
    return ""


def _name_of(kind: str, value: JsonValue) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    text = str(value).strip()
    return f"{kind} {text}" if re.fullmatch(r"\d{1,4}", text) else text


def _canonical(match: re.Match[str]) -> str:
    """A name in the form "Picture 2", "Video 1" or "Page 3"."""
    kind = match["kind"] or match["okind"] or match["zkind"] or match["dkind"]
    if match["ordinal"]:
        number = _ORDINALS.index(match["ordinal"].lower()) + 1
    else:
        number = int(match["number"] or match["znumber"] or match["dnumber"])
    return f"{_KINDS.get(kind.lower(), kind.lower()).capitalize()} {number}"
