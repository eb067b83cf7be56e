# SPDX-License-Identifier: Apache-2.0
"""Video-MMMU: questions on lectures in three tracks: perception, comprehension and adaptation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Item, Scored
from finesight.evals.extract.mcq import MMMU_OFFICIAL
from finesight.evals.extract.mmmu_open import MMMU_OPEN
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.judge.rules import OPEN_ANSWER
from finesight.evals.tasks.choice import mmmu
from finesight.evals.tasks.choice.multiple_choice import LMMS, letter_of, lettered, unlettered
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.build import build
from finesight.evals.tasks.shared.columns import Row, picture, read_rows, texts
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, either
from finesight.evals.tasks.video.video_choice import video_file

TRACKS = ("Perception", "Comprehension", "Adaptation")
IGNORE = "Please ignore the Quiz question in last frame of the video."
APPLY = (
    "You should watch and learn the video content. Then apply what you learned to answer the following {kind} question."
    " The image for this question is at the end of the video."
)


def _make(track: str, row: Row, folder: Path) -> Question:
    """One row of a track; the question of the last track has a picture of its own."""
    identity, choices = str(row["id"]), texts(row.get("options"))
    is_open = row.get("question_type") == "open" or not choices
    options = () if is_open else unlettered(choices)
    answer = str(row["answer"]) if is_open else letter_of(row["answer"], options)
    found = next(iter(sorted(folder.glob(f"**/{identity}.mp4"))), None)
    video = VideoPart(source=found or video_file(identity, folder))
    shown = (picture(row["image"], folder),) if row.get("image") else ()
    return Question(
        id=f"{track}/{identity}",
        text=row["question"],
        truth={"choices": list(options), "answer": answer, "golds": [answer]},
        oracle=f"The answer is {answer}" if is_open else answer,
        media=(video, *shown),
        choices=options,
        cluster=identity,
        tags={
            "track": track,
            "discipline": identity.split("_")[-2] if "_" in identity else identity,
        },
    )


def _questions(benchmark: Benchmark, folder: Path) -> Iterator[Question | Item]:
    for track in TRACKS:
        files = [f"{track}/{file}" for file in benchmark.files]
        yield from read_rows(benchmark, folder, partial(_make, track), files=files)


def _ask(asked: Question) -> list[Piece]:
    """The official prompt; in the last track a picture follows the video."""
    options = f"\n{lettered(asked.choices)}" if asked.choices else ""
    if asked.tags["track"] != "Adaptation":
        return [*asked.media, f"{asked.text}{options}\n{IGNORE}"]
    kind = "multi-choice" if asked.choices else "open-ended"
    return [*asked.media, f"{APPLY.format(kind=kind)}\n{asked.text}{options}"]


def _aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Means over items and tags; `overall` is the mean of the tracks."""
    metrics = average(by=("track", "discipline"))(scored)
    return {"overall": metrics["accuracy/macro/track"], **metrics}


ROBUST_OR_OPEN = either("robust-or-open", f"2+{ROBUST_LETTER.version}", ROBUST_LETTER, MMMU_OPEN)
OFFICIAL = either("mmmu-official", "2", MMMU_OFFICIAL, MMMU_OPEN)


TASKS: Mapping[str, Build] = {
    "video_mmmu": build(
        _questions,
        Wording("lmms-eval", LMMS, _ask),
        extractors=(ROBUST_OR_OPEN, OFFICIAL),
        score=mmmu.score,
        aggregate=_aggregate,
        judge=OPEN_ANSWER,
    )
}
