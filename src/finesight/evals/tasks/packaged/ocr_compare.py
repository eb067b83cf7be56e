# SPDX-License-Identifier: Apache-2.0
"""OCR by sizes, languages, directions, JSON, long pages and scans, on a locally generated data set.

An item has only the tags that it was made for: breakdowns by language contain no downscaled copies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Answered, Extractor
from finesight.evals.metrics.chars import cer_capped
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, record
from finesight.evals.tasks.shared.questions import Question, Wording, template

READ_TEXT = "Read all the text in the image."
READ_JSON = (
    "Read all the text in the image. Answer with JSON and nothing else, in reading order:"
    ' {"lines": ["first line", "second line"]}'
)
ROWS = ("kind", "resolution", "language", "direction")
"""Tags of the breakdowns."""
_FENCE = re.compile(r"^```\w*\n?|\n?```$")


def lines_in(text: str) -> str | None:
    """The joined lines of an answer in JSON; None if the answer is not a JSON list of lines."""
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
"""The whole answer, or the lines of its JSON if JSON was requested."""


def _question(row: Row, folder: Path) -> Question:
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


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Character error rate, at most 1; whitespace is normalised to single blanks."""
    if parsed is None:
        return {"cer": 1.0}
    pred, gold = (" ".join(str(text).split()) for text in (parsed, truth["text"]))
    return {"cer": cer_capped(pred, gold)}


WORDING = "official wording of Qwen2.5-VL's OCR examples; this project's for JSON"
TASKS: Mapping[str, Build] = {
    "ocr_compare": build(
        rows(_question),
        Wording("read", WORDING, template()),
        extractors=(TEXT_OR_LINES,),
        score=_score,
        aggregate=average("cer", name="cer", by=ROWS, failed=1.0),
    )
}
