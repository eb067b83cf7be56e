# SPDX-License-Identifier: Apache-2.0
"""The embedded model's report card on fonts, words and drawings it was never trained with.

Each row is scored twice: on the pictures, and on blank pictures of the same sizes. What a model gets right without
looking is not sight, so a row counts only as far as it beats its blank twin.

Rows and their measures:

- text rows: character error rate, edits over characters of all items together, each item's edits capped at its length;
- `point`: the point asked for, or the middle of the box asked for, lies in a box of the thing meant;
- `count`: the number said is the number there;
- `absent`: a thing that is not there is answered with "none".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from PIL import Image
from rapidfuzz.distance import Levenshtein

from finesight.conversation import (
    Conversation,
    ImagePart,
    Message,
    Reply,
    Responder,
    Sampling,
    TextPart,
)
from finesight.errors import EvalError
from finesight.evals.responders.blind import blank
from finesight.geometry import Box, Point, Size
from finesight.parse.answer import read_answer
from finesight.parse.numbers import read_count

ERROR_RATES = frozenset({"cer"})
"""Measures of which less is better."""

LATIN_LANGUAGES = ("en", "de", "fr", "es", "it", "pt")
"""Languages whose rows are scored under the name of their data set; others share one row."""

POINT_KINDS = ("refer", "point_xml", "point_json")
"""Tasks that ask for places of things."""

SAMPLING = Sampling(max_new_tokens=256)
"""Greedy, long enough for every answer asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutItem:
    """One question with its truth.

    Attributes:
        id: names the item in results.
        row: the row of the report card it belongs to.
        image: the picture.
        question: what is asked.
        answer: the right text, for text rows and counts.
        boxes: boxes of the things meant, in pixels of the picture; for `point`.
    """

    id: str
    row: str
    image: Image.Image
    question: str
    answer: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class RowScore:
    """One row of the report card.

    Attributes:
        row: its name.
        measure: "cer" (lower is better), "accuracy", or another metric of a benchmark, 0..1.
        score: on the pictures.
        blank: on blank pictures.
        num_items: items scored.
        num_failed: items among them that got no answer; they count as wrong.
    """

    row: str
    measure: str
    score: float
    blank: float
    num_items: int
    num_failed: int = 0

    @property
    def shares(self) -> tuple[float, float]:
        """What is right, seeing and blind, 0..1: the score, or one minus the error rate."""
        if self.measure in ERROR_RATES:
            return 1 - self.score, 1 - self.blank
        return self.score, self.blank

    @property
    def beats_blank(self) -> float:
        """How many times better than blind: of accuracy, or of one minus the error rate."""
        seen, blind = self.shares
        if blind > 0:
            return seen / blind
        return float("inf") if seen > 0 else 0.0


@dataclass(frozen=True, slots=True)
class AskedItem:
    """One question with what was said.

    Attributes:
        item: the question.
        seen: the answer on the picture.
        blind: the answer on the blank picture.
        is_right: whether the answer on the picture is right; for text, without any error.
    """

    item: HeldOutItem
    seen: Reply
    blind: Reply
    is_right: bool


def text_row(name: str, language: str) -> str:
    """The row that a picture of text of a data set is scored in."""
    return f"text_{name}" if language in LATIN_LANGUAGES else "text_other_scripts"


def scene_row(kind: str, answer: str) -> str | None:
    """The row that a question about a scene is scored in; None if in none."""
    if kind == "count":
        return "count"
    if answer == "none":
        return "absent"
    return "point" if kind in POINT_KINDS else None


def score_rows(
    responder: Responder,
    items: Sequence[HeldOutItem],
    *,
    on_progress: Callable[[int, int], None] | None = None,
    on_asked: Callable[[AskedItem], None] | None = None,
) -> list[RowScore]:
    """Ask every item twice, seeing and blind, and score each row.

    Args:
        responder: the model.
        items: questions with their truth.
        on_progress: called with items done and items in all.
        on_asked: called with every question and its answers.

    Raises:
        EvalError: there is no item, or one belongs to no known row.
    """
    if not items:
        raise EvalError("there is nothing to score")
    done: dict[str, list[tuple[float, float, float]]] = {}
    for number, item in enumerate(items):
        shown = (item.image, blank(Size(*item.image.size)))
        replies = (_ask(responder, item, shown[0]), _ask(responder, item, shown[1]))
        seen, blind = (_parts(item, reply) for reply in replies)
        done.setdefault(item.row, []).append((seen[0], blind[0], seen[1]))
        if on_asked:
            is_right = seen[0] == 0 if _is_text(item.row) else seen[0] > 0
            on_asked(AskedItem(item, *replies, is_right))
        if on_progress:
            on_progress(number + 1, len(items))
    return [_row(name, parts) for name, parts in done.items()]


def as_table(rows: Sequence[RowScore]) -> dict[str, dict[str, str | float | int | None]]:
    """Rows by name as plain mappings, for JSON; `times_blank` is None where nothing was right on blank pictures."""
    return {
        row.row: {
            "measure": row.measure,
            "score": round(row.score, 4),
            "blank": round(row.blank, 4),
            "times_blank": round(row.beats_blank, 2) if isfinite(row.beats_blank) else None,
            "n": row.num_items,
            "failed": row.num_failed,
        }
        for row in rows
    }


def as_scores(rows: Sequence[RowScore]) -> dict[str, float]:
    """Rows as named numbers, for the log of a training: `card/ROW` and, blind, `card/ROW/blank`."""
    scores: dict[str, float] = {}
    for row in rows:
        scores[f"card/{row.row}"] = row.score
        scores[f"card/{row.row}/blank"] = row.blank
    return scores


def _row(name: str, parts: Sequence[tuple[float, float, float]]) -> RowScore:
    weight = sum(part[2] for part in parts)
    seen, blind = (sum(part[place] for part in parts) / weight for place in (0, 1))
    return RowScore(name, "cer" if _is_text(name) else "accuracy", seen, blind, len(parts))


def _is_text(row: str) -> bool:
    return row.startswith("text_")


def _ask(responder: Responder, item: HeldOutItem, image: Image.Image) -> Reply:
    message = Message("user", (ImagePart(source=image), TextPart(item.question)))
    return responder.respond([Conversation((message,))], SAMPLING)[0]


def _parts(item: HeldOutItem, reply: Reply) -> tuple[float, float]:
    """What an answer adds to its row: errors or hits, and weight."""
    if _is_text(item.row):
        edits = Levenshtein.distance(item.answer, reply.text.strip())
        return float(min(edits, len(item.answer))), float(len(item.answer))
    judge = _JUDGES.get(item.row)
    if judge is None:
        raise EvalError(
            f"item {item.id} belongs to row {item.row!r}, expected text_* or one of {sorted(_JUDGES)}"
        )
    return float(judge(item, reply)), 1.0


def _is_in_box(item: HeldOutItem, reply: Reply) -> bool:
    """The first place said, a point or the middle of a box, lies in a box meant."""
    answer = read_answer(reply)
    places: list[Point] = [found.point for found in answer.points]
    places += [found.box.center for found in answer.boxes]
    return bool(places) and any(box.contains(places[0]) for box in item.boxes)


def _is_count(item: HeldOutItem, reply: Reply) -> bool:
    return read_count(reply.text) == int(item.answer)


def _is_none(item: HeldOutItem, reply: Reply) -> bool:
    return reply.text.strip().strip(".").lower() == "none"


_JUDGES: Mapping[str, Callable[[HeldOutItem, Reply], bool]] = {
    "point": _is_in_box,
    "count": _is_count,
    "absent": _is_none,
}
