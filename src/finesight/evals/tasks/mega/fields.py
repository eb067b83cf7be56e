# SPDX-License-Identifier: Apache-2.0
"""Rows of MegaBench: cells that hold Python or JSON values as text, media under paths, answers of named fields."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart, VideoPart
from finesight.errors import EvalError
from finesight.evals.core.task import Answered, Extractor
from finesight.evals.metrics.literal import read_python
from finesight.evals.tasks.shared.columns import Row, same
from finesight.evals.tasks.shared.questions import Media, Question
from finesight.parse.json_block import find_blocks

COLUMNS = same("id", "task_name", "task_description", "query_text", "answer", "metric_info")
OPTIONAL = same("global_media", "example_text", "example_media", "query_media", "eval_context")
_VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
_MARK = re.compile(r"<(?:image|video)>")
_ANSWER = re.compile(r"answer\s{0,9}:", re.IGNORECASE)
_FENCED = re.compile(r"```\w{0,20}[ \t]*\n?(.*?)```", re.DOTALL)
_SHORT = re.compile(r"[A-Za-z0-9_-][^\n]*|\([A-Za-z0-9_-]+\)")
_QUOTES = ("'", '"')


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
            "answer": dict(_golds(fields, metrics, value_of(row.get("eval_context")))),
            "weights": dict(added.get("field_weights") or {}),
            "sum": str(added.get("function", "mean")),
            "form": form,
        },
        oracle=_right_words(fields, form),
        media=tuple(_media(row, folder)),
        tags={"task": str(row["task_name"])},
    )


def _golds(
    fields: Mapping[str, Any], metrics: Mapping[str, Any], context: Any
) -> Iterator[tuple[str, Any]]:
    """Golds of the fields; the boxes that a point may lie in stand in the context of a row, not in its answer."""
    regions = context.get("bounding_boxes") if isinstance(context, Mapping) else None
    for name, gold in fields.items():
        is_point = str(metrics.get(name)).lower() == "xml_norm_point_in_bbox"
        yield name, regions if is_point and regions else gold


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


def unquoted(value: Any) -> Any:
    """A text without the quotes around it; another value as it is."""
    if not isinstance(value, str) or value[:1] not in _QUOTES:
        return value
    try:
        spelled = read_python(value)
    except ValueError:
        return value
    return spelled if isinstance(spelled, str) else value


def read_fields(answered: Answered) -> dict[str, Any] | None:
    """Fields of an answer.

    They are those of the last JSON object that has any of them. Without one, what follows the last "Answer:" is the
    field where there is one only, and where there are several each is the whole text, as published.
    """
    text = answered.text.strip()
    names = list(answered.truth["metrics"])
    for block in reversed(find_blocks(text)):
        for value in _objects(block.value):
            if any(name in value for name in names):
                return {name: unquoted(each) for name, each in value.items()}
    if len(names) > 1:
        return dict.fromkeys(names, text) if text else None
    tail = _tail(text, keeps_lines=answered.truth["form"] != "answer_string")
    first, _, _ = tail.partition("\n\n")
    is_one_line = "\n" not in str(answered.truth["answer"].get(names[0], ""))
    if is_one_line and answered.truth["form"] == "answer_string" and _SHORT.fullmatch(first):
        tail = first.strip()  # the rest is a reason
    return {names[0]: unquoted(tail)} if tail else None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """An object and those right inside it, or inside a list."""
    if isinstance(value, dict):
        yield value
    members = value.values() if isinstance(value, dict) else value
    yield from (each for each in members if isinstance(each, dict))


def _tail(text: str, *, keeps_lines: bool) -> str:
    """What follows the last "Answer:", out of the bold type or the fence around it; a list or object alone."""
    starts = list(_ANSWER.finditer(text))
    tail = text[starts[-1].end() :] if starts else text
    if starts and text[: starts[-1].start()].endswith("**") and "**" in tail:
        bold, _, behind = tail.partition("**")
        tail = bold if bold.strip() else behind
    if fenced := _FENCED.search(tail):
        tail = fenced[1]
    bare = tail.strip()
    blocks = find_blocks(bare) if bare[:1] in ("[", "{") else []
    if blocks and blocks[0].span[0] == 0 and blocks[0].state == "closed":
        return str(blocks[0].value)
    return tail.removeprefix(" ").strip("\n").rstrip() if keeps_lines else bare


FIELDS = Extractor("mega-fields", "4", read_fields)
