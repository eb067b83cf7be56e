# SPDX-License-Identifier: Apache-2.0
"""Find what phrases describe in a picture of any size: detect, refer, point and count, with checks.

::

    tiles ─▶ detect ─▶ merged ─▶ questions about crops ─▶ things, rejected
                 ▲                        │
                 └── tiles whose count differs from "How many?" ◀─┘        nothing left ─▶ "Is there one?" ─▶ absent
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finesight.apps.evidence import UNKNOWN, Coverage, Score, Skipped, Status
from finesight.apps.grounding.count import Tally, tally
from finesight.apps.grounding.detect import Looked, Search, detect
from finesight.apps.grounding.prompts import (
    ATTRIBUTE_PROMPT,
    LOCATE_AGAIN_PROMPTS,
    bare,
    locate_question,
)
from finesight.apps.grounding.records import NOT_READ, Located, Sought, Thing
from finesight.apps.grounding.tile import merged, overlap_of, tiles_of, unknown
from finesight.apps.grounding.verify import check_crops, choose, is_present
from finesight.apps.yes_no import p_no
from finesight.errors import ConfigError
from finesight.geometry import Size
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["locate"]

_LOOKS_AGAIN = 2
"""How often the tiles whose counts differ are searched again."""


def locate(
    responder: Responder,
    pixels: NDArray[np.uint8],
    phrases: Sequence[str],
    search: Search,
    *,
    source: str = "picture",
    page: int | None = None,
) -> Located:
    """Find what each phrase describes.

    Args:
        responder: answers; its `score` is used for yes/no questions if it has it.
        pixels: uint8[H, W, 3], the picture in its original size.
        phrases: what to find; one question for each.
        search: how.
        source: name of the picture.
        page: its page in a file with several.

    Returns:
        Things with places in pixels of the picture. A failed question is in the coverage, not an error.

    Raises:
        ConfigError: there is no phrase, or an option of the search is wrong.
    """
    if not phrases:
        raise ConfigError("there is no phrase to locate", hint='give a text such as "red square"')
    finder = _Finder(responder, pixels, search)
    sought = tuple(finder.find(phrase) for phrase in phrases)
    return Located(
        source=source, page=page, size=finder.size, sought=sought, coverage=finder.coverage()
    )


class _Finder:
    """Finds phrases in one picture and keeps what was looked at."""

    def __init__(self, responder: Responder, pixels: NDArray[np.uint8], search: Search) -> None:
        self.responder = responder
        self.pixels = pixels
        self.search = search
        height, width = pixels.shape[:2]
        self.size = Size(width, height)
        self.tiles = tiles_of(self.size, search.tile, search.max_pixels, search.max_calls)
        self.parts = self.tiles[:-1] or self.tiles
        self.overlap = overlap_of(self.tiles)
        self.looks: list[tuple[str, Looked]] = []

    def find(self, phrase: str) -> Sought:
        """Find one phrase."""
        search = self.search
        label = bare(phrase) if search.every else " ".join(phrase.split())
        looked = self._look(label, self._question(phrase))
        things, rejected = self._checked(label, merged(looked.things, self.overlap))
        problems = list(dict.fromkeys(looked.problems))
        counts = Tally()
        if search.count:
            counts = tally(self.responder, self.pixels, self.parts, label, things, search)
            problems += dict.fromkeys(counts.problems)
            counts = self._look_again(label, counts, things, rejected)
        status, score = self._status(label, looked, things, counts, problems)
        return Sought(
            phrase=label,
            status=status,
            things=tuple(things),
            rejected=tuple(rejected),
            asked=sum(counts.asked) if counts.tiles else None,
            compared=sum(counts.found) if counts.tiles else None,
            score=score,
            problems=tuple(problems),
        )

    def coverage(self) -> Coverage:
        """What was looked at: a tile counts as seen if every phrase was answered about it."""
        several = len(self.looks) > 1
        seen = [set(looked.seen) for _, looked in self.looks]
        skipped = [
            Skipped(f"{one.what}, {phrase}" if several else one.what, one.reason)
            for phrase, looked in self.looks
            for one in looked.skipped
        ]
        details: dict[str, float | str] = {
            "calls": sum(looked.calls for _, looked in self.looks),
            "max_pixels": self.search.max_pixels,
            "scale": round(min((looked.scale for _, looked in self.looks), default=1.0), 3),
        }
        if len(self.tiles) > 1:
            tile = self.tiles[0]
            details["tile"] = f"{tile.width:g} x {tile.height:g}"
            details["whole"] = "once, at low resolution"
        return Coverage(
            unit="tiles",
            total=len(self.tiles),
            seen=tuple(sorted(set.intersection(*seen))) if seen else (),
            skipped=tuple(skipped),
            details=details,
        )

    def _question(self, phrase: str) -> str:
        search = self.search
        question = locate_question(phrase, search.shape, all_=search.every)
        if search.attribute:
            return ATTRIBUTE_PROMPT.format(phrase=bare(phrase), attribute=search.attribute)
        return question

    def _look(self, label: str, question: str) -> Looked:
        looked = detect(self.responder, self.pixels, self.tiles, question, label, self.search)
        self.looks.append((label, looked))
        return looked

    def _checked(self, label: str, things: list[Thing]) -> tuple[list[Thing], list[Thing]]:
        """The things that second questions confirm, and the others."""
        search = self.search
        if not search.every and len(things) > 1:
            return choose(self.responder, self.pixels, things, label, search)
        if search.verify or search.count:
            return check_crops(self.responder, self.pixels, things, search)
        return things, []

    def _look_again(
        self, label: str, counts: Tally, things: list[Thing], rejected: list[Thing]
    ) -> Tally:
        """Search the tiles whose counts differ again, in other words; new things are added to the lists."""
        question = LOCATE_AGAIN_PROMPTS[self.search.shape].format(phrase=label)
        first = self.looks[-1][1]
        for _ in range(_LOOKS_AGAIN):
            tiles = counts.unequal
            if not tiles:
                break
            more = detect(self.responder, self.pixels, tiles, question, label, self.search)
            first.calls += more.calls
            new = unknown(more.things, [*things, *rejected], self.overlap)
            kept, denied = check_crops(self.responder, self.pixels, new, self.search)
            things += kept
            rejected += denied
            counts = counts.recounted(things)
        things.sort(key=lambda one: (one.center.y, one.center.x))
        return counts

    def _status(
        self,
        label: str,
        looked: Looked,
        things: Sequence[Thing],
        counts: Tally,
        problems: list[str],
    ) -> tuple[Status, Score]:
        """Whether the phrase was found, and the score of that; what speaks against it is added to the problems."""
        missing = len(looked.skipped)
        if missing:
            problems.append(f"{missing} of {len(self.tiles)} tiles were {NOT_READ}")
        if counts.difference:
            asked, found = sum(counts.asked), sum(counts.found)
            problems.append(
                f"{found} were found, but asked how many there are the answer is {asked}"
            )
        if things and counts.tiles:
            return ("conflict" if counts.is_conflict else "found"), counts.score
        if things:
            return "found", UNKNOWN
        if missing:
            return "unread", UNKNOWN
        there = is_present(self.responder, self.pixels, label, self.search)
        if there.value is None:
            problems += there.problems
            problems += [f"the answer has no place: {text[:80]}" for text in looked.texts[:1]]
            return "unread", UNKNOWN
        if there.value or counts.is_conflict:
            problems.append("no place was found, but a question says that it is there")
            return "conflict", there.score
        return "absent", p_no(there.score)
