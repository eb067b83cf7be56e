# SPDX-License-Identifier: Apache-2.0
"""MegaBench: about 500 real-world tasks; those of its core set that can be scored without a judge.

Cells of rows hold JSON or Python values as text. Answers have named fields, each with its own metric.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart, VideoPart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Answered, Extractor, Scored
from finesight.evals.metrics.literal import read_python
from finesight.evals.metrics.mega import SUPPORTED, score_field
from finesight.evals.tasks.choice.multiple_choice import template_at_marks
from finesight.evals.tasks.shared.aggregates import mean, part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row
from finesight.evals.tasks.shared.questions import Media, Question, Wording
from finesight.parse.json_block import find_blocks

_VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
_MARK = re.compile(r"<(?:image|video)>")
_ANSWER = re.compile(r"answer\s{0,9}:", re.IGNORECASE)
_FENCED = re.compile(r"```\w{0,20}[ \t]*\n?(.*?)```", re.DOTALL)
_SHORT = re.compile(r"[A-Za-z0-9_-][^\n]*|\([A-Za-z0-9_-]+\)")
_QUOTES = ("'", '"')


def _value_of(cell: Any) -> Any:
    """The value in a cell, possibly written as JSON or as a Python literal; other texts are returned unchanged."""
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
        EvalError: the row does not contain how its answer is scored.
    """
    info, answer = _value_of(row["metric_info"]), _value_of(row["answer"])
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
            "answer": dict(_golds(fields, metrics, _value_of(row.get("eval_context")))),
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
    """Gold values by field; for points, the target boxes in the evaluation context of the row."""
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
        listed = _value_of(row.get(name))
        for path in [listed] if isinstance(listed, str) and listed else listed or ():
            place = folder / str(path).removeprefix("./")
            is_video = place.suffix.lower() in _VIDEOS
            found.append(VideoPart(source=place) if is_video else ImagePart(source=place))
    return found


def _numbered(text: str) -> str:
    """The text with its media marks numbered in order."""
    numbers = itertools.count(1)
    return _MARK.sub(lambda _: f"<image {next(numbers)}>", text)


def _unquoted(value: Any) -> Any:
    """A quoted text without its quotes; other values unchanged."""
    if not isinstance(value, str) or value[:1] not in _QUOTES:
        return value
    try:
        spelled = read_python(value)
    except ValueError:
        return value
    return spelled if isinstance(spelled, str) else value


def _read_fields(answered: Answered) -> dict[str, Any] | None:
    """Fields of an answer.

    They are those of the last JSON object with any of the names. Without one, a single field is the text after the
    last "Answer:", and each of several fields is the whole text, as published.
    """
    text = answered.text.strip()
    names = list(answered.truth["metrics"])
    for block in reversed(find_blocks(text)):
        for value in _objects(block.value):
            if any(name in value for name in names):
                return {name: _unquoted(each) for name, each in value.items()}
    if len(names) > 1:
        return dict.fromkeys(names, text) if text else None
    tail = _tail(text, keeps_lines=answered.truth["form"] != "answer_string")
    first, _, _ = tail.partition("\n\n")
    is_one_line = "\n" not in str(answered.truth["answer"].get(names[0], ""))
    if is_one_line and answered.truth["form"] == "answer_string" and _SHORT.fullmatch(first):
        tail = first.strip()  # the rest is an explanation
    return {names[0]: _unquoted(tail)} if tail else None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """An object and the objects directly inside it, or those directly inside a list."""
    if isinstance(value, dict):
        yield value
    members = value.values() if isinstance(value, dict) else value
    yield from (each for each in members if isinstance(each, dict))


def _tail(text: str, *, keeps_lines: bool) -> str:
    """Text after the last "Answer:", without bold type or fence; only the list or object if it starts with one."""
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


FIELDS = Extractor("mega-fields", "4", _read_fields)


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Weighted mean or minimum of the field scores; 0 for a task with an unsupported metric."""
    if not _is_supported(truth):
        return {"score": 0.0, "supported": 0.0}
    pred = parsed if isinstance(parsed, Mapping) else None
    kept = [] if pred is None else list(_weighted(pred, truth))
    if truth["sum"] == "min":
        return {"score": min((value for value, _ in kept), default=0.0), "supported": 1.0}
    total = sum(weight for _, weight in kept)
    weighted = sum(value * weight for value, weight in kept)
    return {"score": weighted / total if total else 0.0, "supported": 1.0}


def _weighted(pred: Mapping[str, Any], truth: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Scores and weights of fields; a missing field counts as an empty text, a score of None is left out."""
    for name, metric in truth["metrics"].items():
        gold = _unquoted(truth["answer"].get(name, ""))
        value = score_field(metric, pred.get(name, ""), gold)
        if value is not None:
            yield value, float(truth["weights"].get(name, 1.0))


def _is_supported(truth: Mapping[str, Any]) -> bool:
    """Whether every field can be scored without a judge, a network or running programs."""
    return all(str(metric).lower() in SUPPORTED for metric in truth["metrics"].values())


def _aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Mean of the means of supported tasks, and the share of tasks and items that this covers."""
    tasks: dict[str, list[float]] = {}
    every: set[str] = set()
    for one in scored:
        name = one.item.tags["task"]
        every.add(name)
        if _is_supported(one.item.truth):
            tasks.setdefault(name, []).append(part(one, "score"))
    return {
        "core": mean(mean(values) for values in tasks.values()),
        "coverage/tasks": len(tasks) / len(every) if every else 0.0,
        "coverage/items": sum(map(len, tasks.values())) / len(scored) if scored else 0.0,
    }


TASKS: Mapping[str, Build] = {
    "mega_bench": build(
        rows(question),
        Wording("official", "the benchmark's one worked example", template_at_marks("{text}")),
        extractors=(FIELDS,),
        score=score,
        aggregate=_aggregate,
    )
}
