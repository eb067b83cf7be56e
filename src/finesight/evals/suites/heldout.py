# SPDX-License-Identifier: Apache-2.0
"""Held-out data sets as benchmarks of the report card: one `Task` per row.

Rows and their measures:

- `text_*`: character error rate over all items, with the edits of each item capped at its length;
- `point`: the predicted point, or the centre of the predicted box, lies in a gold box;
- `count`: the predicted number is correct;
- `absent`: the answer about an absent object is "none".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from PIL import Image
from rapidfuzz.distance import Levenshtein

from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Message,
    Sampling,
    TextPart,
)
from finesight.errors import EvalError
from finesight.evals.core.responders import canned
from finesight.evals.core.task import Answered, Extractor, Item, Prompt, Scored, Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.geometry import Box, Point, Resize
from finesight.parse.answer import read_answer
from finesight.parse.numbers import read_count

LATIN_LANGUAGES = ("en", "de", "fr", "es", "it", "pt")
"""Languages scored in the row of their data set; all others share one row."""

POINT_KINDS = ("refer", "point_xml", "point_json")
"""Tasks that ask for points or boxes."""

SAMPLING = Sampling(max_new_tokens=256)
"""Greedy, with enough tokens for every expected answer."""

ROW = "row"
"""Tag with the row of an item."""


def text_row(name: str, language: str) -> str:
    """The row of a picture of text."""
    return f"text_{name}" if language in LATIN_LANGUAGES else "text_other_scripts"


def scene_row(kind: str, answer: str) -> str | None:
    """The row of a question about a scene; None if it is not scored."""
    if kind == "count":
        return "count"
    if answer == "none":
        return "absent"
    return "point" if kind in POINT_KINDS else None


def held_out_item(
    *,
    name: str,
    row: str,
    image: Image.Image,
    question: str,
    answer: str,
    boxes: Sequence[Box] = (),
) -> Item:
    """One question with its truth.

    Args:
        name: id of the item.
        row: of the report card.
        image: the picture.
        question: text of the question.
        answer: the correct text.
        boxes: gold boxes, in pixels of the picture.
    """
    message = Message("user", (ImagePart(source=image), TextPart(question)))
    places = {"boxes": [[box.x1, box.y1, box.x2, box.y2] for box in boxes]} if boxes else {}
    truth = {"answer": answer, "oracle": answer, **places}
    return Item(id=name, conversation=Conversation((message,)), truth=truth, tags={ROW: row})


def held_out_tasks(items: Iterable[Item]) -> list[Task]:
    """One benchmark per row, in the order in which the rows appear.

    Raises:
        EvalError: an item belongs to no known row.
    """
    rows: dict[str, list[Item]] = {}
    for item in items:
        rows.setdefault(item.tags[ROW], []).append(item)
    return [_row_task(row, members) for row, members in rows.items()]


def _row_task(row: str, items: Sequence[Item]) -> Task:
    is_text = row.startswith("text_")
    if not is_text and row not in _RULES:
        raise EvalError(
            f"item {items[0].id} belongs to row {row!r}, expected text_* or one of {sorted(_RULES)}"
        )
    extractor, is_right = (WHOLE_TEXT, None) if is_text else _RULES[row]
    return Task(
        name=row,
        title=f"Held-out pictures: {row}",
        source="this project",
        layout="made by `finesight data build` with split = heldout",
        prompts=(Prompt("as trained", "this project", lambda *_: iter(items)),),
        sampling=SAMPLING,
        extractors=(extractor,),
        score=_edits if is_right is None else partial(_hit, is_right),
        aggregate=_error_rate if is_text else _accuracy,
        main="cer" if is_text else "accuracy",
        higher_is_better=not is_text,
    )


def _edits(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    answer = truth["answer"]
    edits = Levenshtein.distance(answer, parsed or "")
    return {"edits": float(min(edits, len(answer)))}


def _error_rate(items: Sequence[Scored]) -> dict[str, float]:
    lengths = [len(each.item.truth["answer"]) for each in items]
    edits = [each.parts.get("edits", length) for each, length in zip(items, lengths, strict=True)]
    return {"cer": sum(edits) / sum(lengths)}


def _hit(
    is_right: Callable[[Any, Mapping[str, Any]], bool], parsed: Any, truth: Mapping[str, Any]
) -> dict[str, float]:
    return {"hit": float(is_right(parsed, truth))}


def _accuracy(items: Sequence[Scored]) -> dict[str, float]:
    return {"accuracy": sum(each.parts.get("hit", 0.0) for each in items) / len(items)}


def _first_place(answered: Answered) -> list[float] | None:
    """The first point, or without points the centre of the first box, in pixels of the original."""
    frame = answered.frames[0]
    resize = Resize(frame.original, frame.resized)
    record = MediaRecord(kind="image", source="picture", resize=resize, visual_tokens=0)
    answer = read_answer(canned(answered.text, media=(record,)))
    places: list[Point] = [found.point for found in answer.points]
    places += [found.box.center for found in answer.boxes]
    return [places[0].x, places[0].y] if places else None


def _is_in_box(parsed: Any, truth: Mapping[str, Any]) -> bool:
    boxes = (Box(*corners) for corners in truth.get("boxes", ()))
    return parsed is not None and any(box.contains(Point(*parsed)) for box in boxes)


_RULES: Mapping[str, tuple[Extractor, Callable[[Any, Mapping[str, Any]], bool]]] = {
    "point": (Extractor("first-place", "1", _first_place, is_placed=True), _is_in_box),
    "count": (
        Extractor("count", "1", lambda answered: read_count(answered.text)),
        lambda parsed, truth: parsed == int(truth["answer"]),
    ),
    "absent": (
        Extractor("word", "1", lambda answered: answered.text.strip().strip(".").lower()),
        lambda parsed, _: parsed == "none",
    ),
}
