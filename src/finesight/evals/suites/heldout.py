# SPDX-License-Identifier: Apache-2.0
"""Held-out data sets as benchmarks of the report card: one `Task` per row, described in `ROWS`.

A row is made of the turns whose facts match its patterns. The facts of a turn are its `answer`, the name of its `part`
of the data set, the `meta` of its record such as `generator` and `language`, and what the builder wrote about the turn
in `meta["tasks"]`: its `kind`, and others such as `by`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

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
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.geometry import Box, Point, Resize
from finesight.parse.answer import read_answer
from finesight.parse.numbers import read_count

Measure = Literal["cer", "place", "count", "absent", "exact", "relaxed"]
"""How the turns of a row are scored.

- cer: character error rate over all items, with the edits of each item capped at its length;
- place: the predicted point, or the centre of the predicted box, lies in a gold box;
- count: the predicted number is correct;
- absent: the answer about an absent object is "none";
- exact: the answer is the gold text, white space apart;
- relaxed: numbers within five percent, other texts equal except for case.
"""

ROW = "row"
"""Tag with the row of an item."""


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """One row of the report card.

    Attributes:
        row: its name; `*` stands for the name of the part.
        measure: how it is scored.
        where: facts of its turns -> regular expression that matches the whole fact; a missing fact is "".
        recipe: that builds its data set.
        max_new_tokens: of an answer.
    """

    row: str
    measure: Measure
    where: Mapping[str, str]
    recipe: str
    max_new_tokens: int = 256

    def fits(self, facts: Mapping[str, str]) -> bool:
        """Whether a turn with these facts belongs to the row."""
        return all(re.fullmatch(form, facts.get(name, "")) for name, form in self.where.items())


_TEXT = "recipes/tiny/heldout_text.toml"
_SCENES = "recipes/tiny/heldout_scenes.toml"
_SCENE_TEXT = "recipes/small/heldout_scene_text.toml"
_PAGES = "recipes/small/heldout_pages.toml"
_SCREENS = "recipes/small/heldout_screens.toml"
_CHARTS = "recipes/small/heldout_charts.toml"
_NO_TABLE = r"[^|`\n]*"
"""An answer in one line that is neither a table nor JSON."""
_ON_SCREEN = {"kind": "screen_point|screen_box", "by": "text"}

ROWS = (
    HeldOutRow("scene_text", "cer", {"generator": "scene_text/.*", "kind": "read"}, _SCENE_TEXT),
    HeldOutRow("pages", "cer", {"generator": "pages/.*", "kind": "read"}, _PAGES, 2048),
    HeldOutRow("fields", "exact", {"generator": "pages/.*", "kind": "field"}, _PAGES),
    HeldOutRow("npm_pages", "place", {**_ON_SCREEN, "part": ".*npm.*"}, _SCREENS),
    HeldOutRow("screen_text", "place", _ON_SCREEN, _SCREENS),
    HeldOutRow("charts", "relaxed", {"generator": "charts/.*", "answer": _NO_TABLE}, _CHARTS),
    HeldOutRow("text_*", "cer", {"kind": "read", "language": "en|de|fr|es|it|pt"}, _TEXT),
    HeldOutRow("text_other_scripts", "cer", {"kind": "read", "language": ".+"}, _TEXT),
    HeldOutRow("count", "count", {"kind": "count"}, _SCENES),
    HeldOutRow("absent", "absent", {"kind": "(?!screen_).*", "answer": "none"}, _SCENES),
    HeldOutRow("point", "place", {"kind": "refer|point_xml|point_json"}, _SCENES),
)
"""A turn belongs to the first row that fits."""


def row_of(facts: Mapping[str, str]) -> HeldOutRow | None:
    """The row of a turn, with the name of its part filled in; None if it is not scored."""
    found = next((each for each in ROWS if each.fits(facts)), None)
    return found and replace(found, row=found.row.replace("*", facts.get("part", "")))


def rows_without(rows: Iterable[str]) -> list[HeldOutRow]:
    """Descriptions of the rows that are missing among these."""
    there = [*rows]
    return [each for each in ROWS if not any(fnmatchcase(row, each.row) for row in there)]


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
    found = next((each for each in ROWS if fnmatchcase(row, each.row)), None)
    if found is None:
        names = ", ".join(each.row for each in ROWS)
        raise EvalError(f"item {items[0].id} belongs to row {row!r}, expected one of {names}")
    is_text = found.measure == "cer"
    extractor, is_right = _RULES.get(found.measure, (WHOLE_TEXT, None))
    return Task(
        name=row,
        title=f"Held-out pictures: {row}",
        source="this project",
        layout="made by `finesight data build` with split = heldout",
        prompts=(Prompt("as trained", "this project", lambda *_: iter(items)),),
        sampling=Sampling(max_new_tokens=found.max_new_tokens),
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


def _is_same(parsed: Any, truth: Mapping[str, Any]) -> bool:
    return str(parsed or "").split() == str(truth["answer"]).split()


_RULES: Mapping[str, tuple[Extractor, Callable[[Any, Mapping[str, Any]], bool]]] = {
    "place": (Extractor("first-place", "1", _first_place, is_placed=True), _is_in_box),
    "count": (
        Extractor("count", "1", lambda answered: read_count(answered.text)),
        lambda parsed, truth: parsed == int(truth["answer"]),
    ),
    "absent": (
        Extractor("word", "1", lambda answered: answered.text.strip().strip(".").lower()),
        lambda parsed, _: parsed == "none",
    ),
    "exact": (WHOLE_TEXT, _is_same),
    "relaxed": (
        WHOLE_TEXT,
        lambda parsed, truth: relaxed_match(str(parsed or "").strip(), truth["answer"]),
    ),
}
