# SPDX-License-Identifier: Apache-2.0
"""Tiny local copies of benchmarks, in the layouts their tasks state, and what must hold for each of them."""

from __future__ import annotations

import base64
import csv
import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from finesight.conversation import TextPart
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.self_check import check_task
from finesight.evals.core.task import Budget, Task


def png(number: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small picture whose colour tells its number."""
    data = BytesIO()
    Image.new("RGB", size, (37 * number % 256, 91, 17)).save(data, "PNG")
    return data.getvalue()


def cell(number: int = 0, size: tuple[int, int] = (64, 48)) -> dict:
    """A picture as parquet copies hold it."""
    return {"bytes": png(number, size), "path": None}


def text64(number: int = 0, size: tuple[int, int] = (64, 48)) -> str:
    """A picture as tab-separated copies hold it."""
    return base64.b64encode(png(number, size)).decode()


def save(path: Path, number: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
    """A picture in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(number, size))
    return path


def parquet(path: Path, rows: list[dict]) -> Path:
    import pyarrow
    from pyarrow import parquet as files

    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def tsv(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def items(task: Task, folder: Path, prompt: int = 0) -> list:
    return list(task.prompts[prompt].items(folder, task.budget))


def words(item) -> str:
    """All that is said in the last turn, pictures as `[]`."""
    parts = item.conversation.messages[-1].parts
    return "".join(part.text if isinstance(part, TextPart) else "[]" for part in parts)


def check_whole(task: Task, folder: Path, *, shuffled: float, best: float = 1.0) -> list:
    """Right answers score full marks, those of others at most `shuffled`, silence nothing; gives the items.

    Every prompt must ask the same questions, and every rule of reading must read the right answers.
    """
    asked = items(task, folder)
    identities = [item.id for item in asked]
    assert len(set(identities)) == len(identities)
    assert [item.truth.get(BROKEN) for item in asked] == [None] * len(asked)
    json.dumps([dict(item.truth) for item in asked])
    for each in task.prompts:
        again = list(each.items(folder, Budget()))
        assert [item.id for item in again] == identities
        for item in again:
            assert words(item).strip("[]\n ") or item.conversation.tools
    for rule in task.extractors:
        found = check_task(task, asked, extractor=rule)
        assert found.failures == ()
        assert found.oracle == pytest.approx(best), rule.name
    found = check_task(task, asked)
    if task.higher_is_better:
        assert found.shuffled <= shuffled
        assert found.empty == 0.0
    else:
        assert found.shuffled >= shuffled
        assert found.empty == 1.0
    return asked
