# SPDX-License-Identifier: Apache-2.0
"""ScreenSpot: click on what an instruction means, on telephones, computers and in browsers."""

from __future__ import annotations

from pathlib import Path

from finesight.evals.tasks import _clicks, _places, _published
from finesight.evals.tasks._common import Question
from finesight.evals.tasks._rows import Row, picture, reader, same, split_files

COLUMNS = same("image", "instruction", "bbox", "data_type", "data_source", "file_name")
OWN = {"Qwen2.5-VL-7B": 84.7, "Qwen2.5-VL-3B": 55.5}
"""Of the model cards."""


def question(row: Row, folder: Path) -> Question:
    """One row; the box is in shares of width and height."""
    size = _places.size_of(picture(row["image"], folder))
    box = _places.scaled(_places.numbers(row["bbox"], 4), size)
    return _clicks.question(row, folder, box, _clicks.kinds(row))


TASKS = (
    _clicks.task(
        reader(split_files("test"), COLUMNS, question),
        name="screenspot",
        title="ScreenSpot",
        source="SeeClick, arXiv 2401.10935",
        layout="the parquet files test-*.parquet of rootsautomation/ScreenSpot: file_name, image, instruction, bbox"
        " (corners in shares of width and height), data_type, data_source",
        published=_published.row(_published.AGENT, "18.1 84.0 83.0 89.2 - 87.1") | OWN,
        note="the mean of the six groups, which SeeClick prints, is accuracy/macro/group",
    ),
)
