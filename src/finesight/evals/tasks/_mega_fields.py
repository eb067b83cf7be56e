# SPDX-License-Identifier: Apache-2.0
"""Rows of MegaBench: cells that hold Python or JSON values as text, media under paths, answers of named fields."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart, VideoPart
from finesight.errors import EvalError
from finesight.evals.task import Answered, Extractor
from finesight.evals.tasks._common import Media, Question
from finesight.evals.tasks._rows import Row, same
from finesight.parse.json_block import find_blocks

COLUMNS = same("id", "task_name", "task_description", "query_text", "answer", "metric_info")
OPTIONAL = same("global_media", "example_text", "example_media", "query_media")
_VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
_MARK = re.compile(r"<(?:image|video)>")
_ANSWER = re.compile(r"answer\s*:", re.IGNORECASE)


def value_of(cell: Any) -> Any:
    """A value, also one written as JSON or as a Python literal; a text that is neither stays a text."""
    if not isinstance(cell, str):
        return cell
    for read in (json.loads, ast.literal_eval):
        try:
            return read(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return cell


def question(row: Row, folder: Path) -> Question:
    """One row.

    Raises:
        EvalError: the row does not say how its answer is scored.
    """
    info, answer = value_of(row["metric_info"]), value_of(row["answer"])
    metrics = info.get("field_score_function") if isinstance(info, Mapping) else None
    if not isinstance(metrics, Mapping) or not metrics:
        raise EvalError("metric_info names no field_score_function")
    fields = answer if isinstance(answer, Mapping) else {next(iter(metrics)): answer}
    added = info.get("aggregation") or {}
    form = str(info.get("response_parse_function", "json"))
    parts = (row["task_description"], row.get("example_text"), row["query_text"])
    return Question(
        id=f"{row['task_name']}/{row['id']}",
        text=_numbered("\n".join(str(part) for part in parts if part)),
        truth={
            "metrics": {str(key): str(metric) for key, metric in metrics.items()},
            "answer": dict(fields),
            "weights": dict(added.get("field_weights") or {}),
            "sum": str(added.get("function", "mean")),
            "form": form,
        },
        oracle=_right_words(fields, form),
        media=tuple(_media(row, folder)),
        tags={"task": str(row["task_name"])},
    )


def _right_words(fields: Mapping[str, Any], form: str) -> str:
    only = next(iter(fields.values())) if len(fields) == 1 else None
    if form == "json" or not isinstance(only, str):
        return f"Answer: {json.dumps(fields if only is None or form == 'json' else only)}"
    return f"Answer: {only}"


def _media(row: Row, folder: Path) -> list[Media]:
    found: list[Media] = []
    for name in ("global_media", "example_media", "query_media"):
        listed = value_of(row.get(name))
        for path in [listed] if isinstance(listed, str) and listed else listed or ():
            place = folder / str(path).removeprefix("./")
            is_video = place.suffix.lower() in _VIDEOS
            found.append(VideoPart(source=place) if is_video else ImagePart(source=place))
    return found


def _numbered(text: str) -> str:
    """Marks without numbers count on, in the order in which media are listed."""
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"<image {count}>"

    return _MARK.sub(number, text)


def read_fields(answered: Answered) -> dict[str, Any] | None:
    """Fields of an answer: a JSON object that has any of them, else what follows the last "Answer:" as the only one."""
    text = answered.text.strip()
    names = list(answered.truth["metrics"])
    values = [block.value for block in find_blocks(text)]
    for value in reversed(values):
        if isinstance(value, dict) and any(name in value for name in names):
            return dict(value)
    starts = [match.end() for match in _ANSWER.finditer(text)]
    tail = text[starts[-1] :].strip() if starts else text
    return {names[0]: tail} if tail and len(names) == 1 else None


FIELDS = Extractor("mega-fields", "1", read_fields)
