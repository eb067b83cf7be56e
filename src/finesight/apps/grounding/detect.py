# SPDX-License-Identifier: Apache-2.0
"""Ask for the places of a phrase in parts of a picture, with a score for each from the probabilities of its tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from finesight.apps.crop import Crop, ask_about, crop
from finesight.apps.evidence import UNKNOWN, Evidence, Score, Skipped
from finesight.apps.grounding.records import Thing
from finesight.apps.grounding.tile import CELL, Tiling, cuts, halves
from finesight.apps.scores import item_spans
from finesight.conversation import Reply, Sampling
from finesight.errors import ConfigError, FinesightError
from finesight.geometry import Box
from finesight.parse.answer import Answer
from finesight.parse.confidence import score_of_span
from finesight.parse.records import AnswerBox, AnswerPoint, Span
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Looked", "Search", "detect", "things_of"]

_ASKED_TOGETHER = 8
"""Parts of one request: their pixels are in memory at the same time."""
_MOST_HALVED = 2
"""How often a part whose answer was cut off is divided."""
_EDGE = 2.0
"""A box this near to the edge of a tile is cut by it, in pixels that the model saw."""
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a picture is searched.

    Attributes:
        shape: boxes or points.
        every: every instance of a phrase; False takes the one that it describes best.
        count: compare the number of things with the answer to "How many?", and look again if they differ.
        verify: ask about the crop of each thing whether it is one; a counted or chosen one always is.
        tile: how a huge picture is divided.
        max_calls: most tiles, the whole picture included.
        min_pixels: least area at which a picture or tile is shown; None takes the processor's.
        max_pixels: largest area at which it is shown.
        sampling: of the answers that list places.
        attribute: asked for besides, as `sub_label`, such as "wearing a helmet".
    """

    shape: Literal["box", "point"] = "box"
    every: bool = True
    count: bool = False
    verify: bool = False
    tile: Tiling = "auto"
    max_calls: int = 35
    min_pixels: int | None = 1024 * CELL * CELL
    max_pixels: int = 2048 * CELL * CELL
    sampling: Sampling = Sampling(max_new_tokens=2048, logprobs=0)  # noqa: RUF009  # immutable
    attribute: str = ""


def search_within(
    largest: int | None, *, min_pixels: int | None = None, max_pixels: int | None = None
) -> Search:
    """The search with the pixel budgets of a model.

    A tile is shown at no more than the model's own limit. Small pictures are enlarged only for a model that takes
    pictures as large as the official ones do.

    Args:
        largest: largest area that the model takes; None is that of the official models.
        min_pixels: least area; None takes the model's.
        max_pixels: largest area; None takes the model's.

    Raises:
        ConfigError: the least area exceeds the largest one.
    """
    search = Search()
    most = max_pixels or min(search.max_pixels, largest or search.max_pixels)
    least = search.min_pixels if min_pixels is None else min_pixels
    if min_pixels is None and largest is not None and largest < search.max_pixels:
        least = None
    if least is not None and least > most:
        if min_pixels is not None:
            raise ConfigError(f"min_pixels={min_pixels} exceeds max_pixels={most}")
        least = None
    return replace(search, min_pixels=least, max_pixels=most)


@dataclass(slots=True)
class Looked:
    """What one question about all parts of a picture gave.

    Attributes:
        things: as they were found, with repetitions.
        seen: indices of the parts whose answer came to its end.
        skipped: the others, with reasons.
        problems: parts of answers that could not be read.
        texts: answers without a place.
        calls: number of questions.
        scale: smallest share of its size at which a tile was shown, or the whole picture if it is the only part; at
            most 1.
    """

    things: list[Thing] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: int = 0
    scale: float = 1.0


def detect(
    responder: Responder,
    pixels: NDArray[np.uint8],
    tiles: Sequence[Box],
    question: str,
    label: str,
    search: Search,
) -> Looked:
    """Ask one question about each part of a picture.

    A part whose answer is cut off is asked about again in halves; what was read before the cut is kept. A part without
    an answer is asked about once more.

    Args:
        responder: answers.
        pixels: uint8[H, W, 3], the picture.
        tiles: its parts.
        question: for all of them.
        label: of the things.
        search: pixel budgets and sampling.
    """
    return _Detector(responder, pixels, question, label, search).run(tiles)


class _Detector:
    """One question about the parts of one picture."""

    def __init__(
        self,
        responder: Responder,
        pixels: NDArray[np.uint8],
        question: str,
        label: str,
        search: Search,
    ) -> None:
        self.responder = responder
        self.pixels = pixels
        self.question = question
        self.label = label
        self.search = search
        self.looked = Looked()
        self.is_tiled = False

    def run(self, tiles: Sequence[Box]) -> Looked:
        """Ask about all tiles, some at a time."""
        self.is_tiled = len(tiles) > 1
        for start in range(0, len(tiles), _ASKED_TOGETHER):
            chunk = range(start, min(start + _ASKED_TOGETHER, len(tiles)))
            parts = [crop(self.pixels, tiles[index]) for index in chunk]
            for index, part, answer in zip(chunk, parts, self._answers(parts), strict=True):
                # The whole picture beside tiles is not divided: the tiles are its parts.
                depth = _MOST_HALVED if len(tiles) == 1 or index < len(tiles) - 1 else 0
                if reason := self._reason(answer, part, index, depth):
                    what = f"tile {index + 1} of {len(tiles)}"
                    self.looked.skipped.append(Skipped(what, reason))
                else:
                    self.looked.seen.append(index)
        return self.looked

    def _answers(self, parts: Sequence[Crop]) -> list[Answer | str]:
        """An answer for each part, or why there is none; a failed request is repeated part by part."""
        try:
            return [*self._ask(parts)]
        except ConfigError:
            raise
        except FinesightError:
            return [self._answer(part) for part in parts]

    def _answer(self, part: Crop) -> Answer | str:
        try:
            return self._ask([part])[0]
        except FinesightError as error:
            return error.message

    def _ask(self, parts: Sequence[Crop]) -> list[Answer]:
        self.looked.calls += len(parts)
        search = self.search
        return ask_about(
            self.responder,
            parts,
            self.question,
            search.sampling,
            min_pixels=search.min_pixels,
            max_pixels=search.max_pixels,
        )

    def _reason(self, answer: Answer | str, part: Crop, index: int, depth: int) -> str:
        """Take what an answer has; returns why the part was not read to its end, or nothing."""
        if isinstance(answer, str):
            return answer
        self._take(answer, part, index)
        if not answer.truncated:
            return ""
        reason = f"the answer was cut off ({answer.finish_reason})"
        sides = min(part.box.width, part.box.height)
        if not depth or sides < 4 * CELL:
            return reason
        smaller = [crop(self.pixels, each) for each in halves(part.box)]
        found = zip(smaller, self._answers(smaller), strict=True)
        reasons = [self._reason(again, half, index, depth - 1) for half, again in found]
        return next(filter(None, reasons), "")

    def _take(self, answer: Answer, part: Crop, index: int) -> None:
        """Add the things of an answer."""
        looked, resize = self.looked, answer.media[0].resize
        if not self.is_tiled or part.box.area < part.picture.area:  # not the whole beside its tiles
            looked.scale = min(looked.scale, 1 / max(resize.scale_x, resize.scale_y))
        things, problems = things_of(answer, part, self.label, shape=self.search.shape, tile=index)
        looked.things += things
        looked.problems += problems
        if not things:
            looked.texts.append(" ".join(answer.text.split()))


def things_of(
    answer: Answer,
    part: Crop,
    label: str,
    *,
    shape: Literal["box", "point"] = "box",
    tile: int = 0,
) -> tuple[list[Thing], list[str]]:
    """The things of an answer about a part of a picture, and what could not be read.

    Args:
        answer: with places in pixels of the picture.
        part: of the picture, the last one that was shown.
        label: of the things.
        shape: whether boxes or points were asked for.
        tile: index of the part.
    """
    resize = answer.media[-1].resize
    step = max(resize.scale_x, resize.scale_y)
    problems = [problem.message for problem in answer.problems]
    found: tuple[AnswerBox | AnswerPoint, ...] = answer.boxes if shape == "box" else answer.points
    things = []
    for item, span in zip(found, item_spans(answer.text, found), strict=True):
        place = item.original
        if place is None or (isinstance(place, Box) and place.area <= 0):
            problems.append(f"{item.label[:60]!r} has no area inside the picture")
            continue
        box, point = (place, None) if isinstance(place, Box) else (None, place)
        evidence = Evidence(
            box=box, point=point, quote=item.label, match="visual", clipped=item.clipped
        )
        thing = Thing(
            label=label,
            said=item.label,
            evidence=evidence,
            score=_score(answer.reply, span, item.label),
            attributes=dict(item.attributes),
            step=step,
            tile=tile,
            is_cut=box is not None and cuts(part.box, part.picture, box, _EDGE * step),
        )
        things.append(thing)
    return things, problems


def _score(reply: Reply, span: Span, label: str) -> Score:
    """The smaller of two geometric means: of the probabilities of the numbers and of those of the label."""
    if not reply.logprobs:
        return UNKNOWN
    text = reply.text[span[0] : span[1]]
    numbers = _NUMBERS.search(text)
    parts = {}
    if numbers:
        parts["place"] = score_of_span(reply, (span[0] + numbers.start(), span[0] + numbers.end()))
    if label and (at := text.rfind(label)) >= 0:
        parts["label"] = score_of_span(reply, (span[0] + at, span[0] + at + len(label)))
    if not parts:
        parts["all"] = score_of_span(reply, span)
    return Score(min(parts.values()), "logprob", parts)
