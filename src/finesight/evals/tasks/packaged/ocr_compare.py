# SPDX-License-Identifier: Apache-2.0
"""Reading as users ask for it: sizes, languages, directions, JSON, long pages, scans; the set is made where it is run.

Every item stands only in the rows that it was made for, so that a row of languages is not mixed with shrunken copies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Answered, Extractor, Task
from finesight.evals.metrics.chars import cer_capped
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, picture, reader, record, same
from finesight.evals.tasks.shared.questions import Question, prompt

READ_TEXT = "Read all the text in the image."
READ_JSON = (
    "Read all the text in the image. Answer with JSON and nothing else, in reading order:"
    ' {"lines": ["first line", "second line"]}'
)
ROWS = ("kind", "resolution", "language", "direction")
"""Tags that make rows."""
_FENCE = re.compile(r"^```\w*\n?|\n?```$")


def lines_in(text: str) -> str | None:
    """The lines of an answer in JSON, joined; None where it is no JSON of lines."""
    try:
        found = json.loads(_FENCE.sub("", text.strip()))
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        found = found.get("lines")
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        return None
    return "\n".join(found)


def _read(answered: Answered) -> str | None:
    wants_json = answered.truth["kind"] == "json"
    return lines_in(answered.text) if wants_json else answered.text.strip()


TEXT_OR_LINES = Extractor("text-or-lines", "3", _read, keeps_text=True)
"""The whole answer, or the lines of its JSON where JSON was wanted."""


def question(row: Row, folder: Path) -> Question:
    """One row."""
    text, tags = str(row["text"]), {name: str(value) for name, value in record(row["tags"]).items()}
    wants_json = tags["kind"] == "json"
    return Question(
        id=str(row["id"]),
        text=READ_JSON if wants_json else READ_TEXT,
        truth={"text": text, "kind": tags["kind"]},
        oracle=json.dumps({"lines": text.split("\n")}, ensure_ascii=False) if wants_json else text,
        media=(picture(row["image"], folder),),
        cluster=str(row["picture"]),
        tags=tags,
    )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Character errors, 1 at most; runs of blanks and line ends count as one blank."""
    if parsed is None:
        return {"cer": 1.0}
    said, gold = (" ".join(str(text).split()) for text in (parsed, truth["text"]))
    return {"cer": cer_capped(said, gold)}


TASKS = (
    Task(
        name="ocr_compare",
        title="Reading compared",
        source="this project; pictures from held-out data sets and real scans",
        layout="items.jsonl with id, image, text, picture (shared by copies of one picture) and tags (kind and, for"
        " the rows an item counts in, resolution, language, direction); `finesight eval --suite ocr-compare` makes it",
        prompts=(
            prompt(
                "read",
                "official wording of Qwen2.5-VL's OCR examples; this project's for JSON",
                reader(("items.jsonl",), same("id", "image", "text", "picture", "tags"), question),
                open_questions.ending(""),
            ),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(TEXT_OR_LINES,),
        score=score,
        aggregate=average("cer", name="cer", by=ROWS, failed=1.0),
        main="cer",
        higher_is_better=False,
        notes=(
            "numbers of this are not in the report: the pictures are made where it is run",
            "an answer that is no JSON where JSON was wanted counts as all wrong",
            "drawn text is easier than photographs, and long pages are put together from single lines",
        ),
    ),
)
