# SPDX-License-Identifier: Apache-2.0
"""ScreenSpot-Pro: small targets on large screens of professional programs."""

from __future__ import annotations

from pathlib import Path

from finesight.evals.tasks.grounding import places
from finesight.evals.tasks.screens import clicks
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.columns import Row, reader, same, split_files
from finesight.evals.tasks.shared.questions import Question

NAMES = ("platform", "group", "application")
COLUMNS = {
    **same("instruction", "bbox", "ui_type", *NAMES),
    "file_name": ("img_filename", "file_name"),
}
OWN = {"Qwen2.5-VL-7B": 29.0, "Qwen2.5-VL-3B": 23.9}
"""Of the model cards."""


def question(row: Row, folder: Path) -> Question:
    """One row; the box is its corners in pixels."""
    tags = {"kind": str(row["ui_type"]), **{name: str(row[name]) for name in NAMES}}
    return clicks.question(row, folder, places.numbers(row["bbox"], 4), tags)


TASKS = (
    clicks.task(
        reader(
            ("annotations/*.json", *split_files("test")), COLUMNS, question, optional=same("image")
        ),
        name="screenspot_pro",
        title="ScreenSpot-Pro",
        source="ScreenSpot-Pro, arXiv 2504.07981",
        layout="annotations/*.json of likaixin/ScreenSpot-Pro: img_filename, instruction, bbox (corners in pixels),"
        " ui_type, platform, group, application; pictures in images/",
        published=report_tables.row(report_tables.AGENT, "- - 17.1 23.6 1.6 43.6") | OWN,
        note="screens of up to 4K: the pixel budget decides much",
    ),
)
