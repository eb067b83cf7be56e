# SPDX-License-Identifier: Apache-2.0
"""ScreenSpot: click on what an instruction means, on telephones, computers and in browsers."""

from __future__ import annotations

from pathlib import Path

from finesight.evals.tasks.grounding import places
from finesight.evals.tasks.screens import clicks
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.columns import Row, picture, reader, same, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = same("image", "instruction", "bbox", "data_type", "data_source", "file_name")
OWN = {"Qwen2.5-VL-7B": 84.7, "Qwen2.5-VL-3B": 55.5}
"""Of the model cards."""


def question(row: Row, folder: Path) -> Question:
    """One row; the box is in shares of width and height."""
    size = places.size_of(picture(row["image"], folder))
    box = places.scaled(places.numbers(row["bbox"], 4), size)
    return clicks.question(row, folder, box, clicks.kinds(row))


TASKS = (
    clicks.task(
        reader(split_files("test"), COLUMNS, question),
        name="screenspot",
        title="ScreenSpot",
        source="SeeClick, arXiv 2401.10935",
        layout="the parquet files test-*.parquet of rootsautomation/ScreenSpot: file_name, image, instruction, bbox"
        " (corners in shares of width and height), data_type, data_source",
        published=report_tables.row(report_tables.AGENT, "18.1 84.0 83.0 89.2 - 87.1") | OWN,
        note="the mean of the six groups, which SeeClick prints, is accuracy/macro/group",
    ),
)
