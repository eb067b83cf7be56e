# SPDX-License-Identifier: Apache-2.0
"""A benchmark of numbered questions, for tests of everything around a benchmark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.evals.core.rows import broken_item, rows
from finesight.evals.core.task import Budget, Extractor, Item, Prompt, Task


def item(number, *, group=None, cluster=None, image=None, item_id=None, tags=None):
    parts = [TextPart(f"What is {number} + {number}?")]
    if image is not None:
        parts.insert(0, ImagePart(source=image))
    return Item(
        id=f"q{number}" if item_id is None else item_id,
        conversation=Conversation((Message("user", tuple(parts)),)),
        truth={"answer": str(2 * number), "choices": ["1", "2", "4"], "oracle": str(2 * number)},
        group=group,
        cluster=cluster,
        tags=tags or {"kind": "even" if number % 2 == 0 else "odd"},
    )


def read_first_number(answered):
    found = re.search(r"-?\d+", answered.text)
    return found[0] if found else None


def read_whole(answered):
    return answered.text.strip() or None


def read_badly(answered):
    raise ZeroDivisionError(answered.text)


def score(parsed, truth):
    return {"hit": float(parsed == truth["answer"])}


def mean_hit(items):
    return {"accuracy": sum(each.parts.get("hit", 0.0) for each in items) / len(items)}


def group_hit(items):
    """Right where all of a group are right."""
    groups = {}
    for each in items:
        groups.setdefault(each.item.group or each.item.id, []).append(each.parts.get("hit", 0.0))
    return {"accuracy": sum(min(hits) for hits in groups.values()) / len(groups)}


def from_rows(path: Path, budget: Budget) -> Iterator[Item]:
    columns = {"number": ("number",)}
    for row in rows(path, columns=columns, optional={"image": ("image",)}):
        if row.error is not None:
            yield broken_item(row.where, row.error)
        else:
            image = row.get("image")
            yield item(row["number"], image=None if image is None else path.parent / image)


FIRST = Extractor("first-number", "1", read_first_number)
WHOLE = Extractor("whole", "1", read_whole)
BAD = Extractor("bad", "1", read_badly)
PROMPT = Prompt("paper", "this file", from_rows)
TOY = Task(
    name="toy",
    title="Toy",
    source="this file",
    layout="a JSONL file with number",
    prompts=(PROMPT, Prompt("terse", "this file", from_rows)),
    extractors=(FIRST, WHOLE, BAD),
    score=score,
    aggregate=mean_hit,
    main="accuracy",
    chance=1 / 3,
    published={"Qwen2.5-VL-7B": 58.6},
    notes=("numbers <only>",),
)


def write_copy(path: Path, numbers) -> Path:
    path.write_text("".join(json.dumps({"number": number}) + "\n" for number in numbers))
    return path
