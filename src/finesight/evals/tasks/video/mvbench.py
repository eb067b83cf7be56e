# SPDX-License-Identifier: Apache-2.0
"""MVBench and MLVU: small tasks on videos, one JSON file and one folder of videos for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.choice.multiple_choice import letter_of_text
from finesight.evals.tasks.shared.columns import Row, find, row_reader
from finesight.evals.tasks.shared.questions import Broken, Question, Wording
from finesight.evals.tasks.video import video_choice

WORDINGS = (
    Wording("official", video_choice.OFFICIAL_MVBENCH, video_choice.ask_carefully),
    Wording("lmms-eval", multiple_choice.LMMS, multiple_choice.ask_lmms),
)
FRAMES_PER_SECOND = 3.0
"""Of the one task of MVBench that comes as pictures instead of videos."""


def read_parts(benchmark: Benchmark, folder: Path) -> Iterator[Question | Broken]:
    """Questions of all parts whose file is there.

    Raises:
        EvalError: none is.
    """
    find(folder, "json/*.json", "*.json")
    for part, below in benchmark.parts.items():
        if not any((folder / place / f"{part}.json").is_file() for place in ("json", "")):
            continue

        def make(row: Row, root: Path, part: str = part, below: str = below) -> Question:
            video = clip(row, root, below)
            made = video_choice.question(row, video, benchmark, letter=letter_of_text)
            number = row.where.rpartition(" ")[2]
            return replace(made, id=f"{part}/{number}", tags={"task": part.lstrip("0123456789_")})

        files = (f"json/{part}.json", f"{part}.json")
        yield from row_reader(benchmark, make, files=files)(folder)


def clip(row: Row, folder: Path, below: str) -> VideoPart:
    """The stretch of the video that is asked about; the whole video where the row gives none.

    Raises:
        EvalError: the video comes as frames, and none is of that stretch.
    """
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


PARTS = multiple_choice.choice(
    lambda benchmark: partial(read_parts, benchmark),
    ways=WORDINGS,
    extractors=video_choice.LETTERS,
)
TASKS: Mapping[str, Build] = {"mlvu": PARTS, "mvbench": PARTS}
