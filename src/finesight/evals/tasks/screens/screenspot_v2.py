# SPDX-License-Identifier: Apache-2.0
"""ScreenSpot-v2: ScreenSpot with its wrong boxes and unclear instructions put right."""

from __future__ import annotations

from pathlib import Path

from finesight.evals.tasks.grounding import places
from finesight.evals.tasks.screens import clicks
from finesight.evals.tasks.shared.columns import Row, reader, same, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {
    **same("instruction", "bbox", "data_type", "data_source"),
    "file_name": ("img_filename", "file_name"),
}


def question(row: Row, folder: Path) -> Question:
    """One row; the box is x, y, width, height in pixels."""
    return clicks.question(row, folder, places.corners(row["bbox"]), clicks.kinds(row))


TASKS = (
    clicks.task(
        reader(
            ("screenspot_*_v2.json", *split_files("test")),
            COLUMNS,
            question,
            optional=same("image"),
        ),
        name="screenspot_v2",
        title="ScreenSpot-v2",
        source="OS-Atlas, arXiv 2410.23218",
        layout="screenspot_mobile_v2.json, screenspot_desktop_v2.json and screenspot_web_v2.json of"
        " OS-Copilot/ScreenSpot-v2: img_filename, instruction, bbox (x, y, width, height in pixels), data_type,"
        " data_source; pictures in screenspotv2_image/",
        published={},
        note="not in the report; the right edge is x plus width, one harness takes a pixel less",
    ),
)
