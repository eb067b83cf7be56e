# SPDX-License-Identifier: Apache-2.0
"""MVBench and MLVU: tasks on videos, each with a JSON file and a folder of videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Item
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.choice.multiple_choice import letter_of_text
from finesight.evals.tasks.shared.columns import Row, find, read_rows
from finesight.evals.tasks.shared.questions import Piece, Question, Wording
from finesight.evals.tasks.video import video_choice

OFFICIAL = "VideoChat2, the code published with MVBench"
CAREFULLY = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of"
    " objects, and the action and pose of persons. Based on your observations, select the best option that accurately"
    " addresses the question.\n"
)
FRAMES_PER_SECOND = 3.0
"""Frame rate of the one task of MVBench whose videos are folders of frames."""


def _read_parts(benchmark: Benchmark, folder: Path) -> Iterator[Question | Item]:
    """Questions of all parts whose file exists."""
    find(folder, "json/*.json", "*.json")
    for part, below in benchmark.parts.items():
        if not any((folder / place / f"{part}.json").is_file() for place in ("json", "")):
            continue

        def make(row: Row, root: Path, part: str = part, below: str = below) -> Question:
            video = _clip(row, root, below)
            made = video_choice.question(row, video, benchmark, letter=letter_of_text)
            number = row.where.rpartition(" ")[2]
            return replace(made, id=f"{part}/{number}", tags={"task": part.lstrip("0123456789_")})

        files = (f"json/{part}.json", f"{part}.json")
        yield from read_rows(benchmark, folder, make, files=files)


def _clip(row: Row, folder: Path, below: str) -> VideoPart:
    """The interval of the video that the row gives, or the whole video."""
    start, end = _seconds(row.get("start")), _seconds(row.get("end"))
    places = (folder / "video" / below / row["video"], folder / below / row["video"])
    frames = next((place for place in places if place.is_dir()), None)
    if frames is None:
        path = video_choice.video_file(row["video"], folder, f"video/{below}", below)
        return VideoPart(source=path, start_seconds=start, end_seconds=end)
    shown = sorted(frames.glob("*.jpg"))
    first = int((start or 0.0) * FRAMES_PER_SECOND)
    last = len(shown) if end is None else int(end * FRAMES_PER_SECOND) + 1
    if not shown[first:last]:
        raise EvalError(f"{frames} has {len(shown)} frames, none from {start} to {end} seconds")
    return VideoPart(source=tuple(shown[first:last]), sample_fps=FRAMES_PER_SECOND)


def _seconds(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _ask_carefully(asked: Question) -> list[Piece]:
    options = multiple_choice.lettered(asked.choices, "({letter}) {text}")
    words = f"Question: {asked.text}\nOptions:\n{options}\nOnly give the best option."
    return [*asked.media, f"{CAREFULLY}{words}"]


PARTS = multiple_choice.choice(
    _read_parts,
    ways=(
        Wording("official", OFFICIAL, _ask_carefully),
        Wording("lmms-eval", multiple_choice.LMMS, multiple_choice.ask_lmms),
    ),
    extractors=video_choice.LETTERS,
)
TASKS: Mapping[str, Build] = {"mlvu": PARTS, "mvbench": PARTS}
