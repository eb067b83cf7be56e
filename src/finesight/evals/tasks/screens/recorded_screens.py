# SPDX-License-Identifier: Apache-2.0
"""Recorded web pages: click on what is named, or on what solves a small task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from finesight.evals.core.task import Task
from finesight.evals.screens.record import ELEMENTS_FILE
from finesight.evals.tasks.grounding import places
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.screens import clicks
from finesight.evals.tasks.shared.columns import Row, reader, same
from finesight.evals.tasks.shared.questions import Question

COLUMNS = same("file_name", "instruction", "bbox", "data_type", "data_source")
LAYOUT = f"{ELEMENTS_FILE} and images/, as `finesight eval screens` writes them"


def question(row: Row, folder: Path) -> Question:
    """One row; the box is in pixels."""
    tags = {"kind": str(row["data_type"]), "source": str(row["data_source"])}
    return clicks.question(row, folder, places.numbers(row["bbox"], 4), tags)


questions = reader((ELEMENTS_FILE,), COLUMNS, question)


def _task(name: str, title: str, source: str, note: str) -> Task:
    made = clicks.task(
        questions,
        name=name,
        title=title,
        source=source,
        layout=LAYOUT,
        published={},
        note=note,
        by=("kind", "source"),
    )
    return replace(made, notes=(f"{copies.NOT_PRINTED}: {note}",))


TASKS = (
    _task(
        "web_pages",
        "Elements of recorded web pages",
        "startbootstrap-sb-admin-2 4.1.4 and gentelella 4.2.0, rendered by Chromium at 1280 x 800",
        "names and boxes are those of the browser's accessibility tree; another Chromium draws slightly other pages",
    ),
    _task(
        "miniwob_screens",
        "First screens of MiniWoB++ tasks of one click",
        "MiniWoB++, arXiv 1802.08802; miniwob 1.1.0, rendered by Chromium three times enlarged",
        "the box is the smallest part whose click the task itself rewards; episodes of seeds 0 to 2",
    ),
)
