# SPDX-License-Identifier: Apache-2.0
"""Real videos, cut and joined: questions on order, on content at a time, on duration, and on times of events."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

from PIL import Image

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.intervals import EVENT_INTERVAL
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.packaged.clips import CLIPS, RABBIT, Clip, Frames, video
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question
from finesight.evals.tasks.video import charades_sta
from finesight.evals.tasks.video.video_choice import choice_on_video

SECONDS_EACH = 2
"""Duration of each clip in a joined video."""
LENGTHS = (2, 3, 4)
"""Possible durations of an event in seconds."""


def facts(folder: Path) -> Iterator[Question]:
    """A fixed list of questions with options, in shuffled order.

    Raises:
        EvalError: a video is missing.
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
    """One question; `number` is the index of the clip in question, or 1 and -1 for forwards and backwards."""
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
    """Temporal grounding of one clip of three, for each ordered choice of three clips.

    Raises:
        EvalError: a video is missing.
    """
    frames = Frames(folder)
    draw = random.Random(1)
    rows = [(some, place % 3) for place, some in enumerate(permutations(CLIPS, 3))]
    draw.shuffle(rows)
    for some, target in rows:
        seconds = [draw.choice(LENGTHS) for _ in some]
        shown: list[Image.Image] = []
        for clip, length in zip(some, seconds, strict=True):
            shown += frames.stretch(clip, length)
        start = float(sum(seconds[:target]))
        span = [start, start + seconds[target]]
        yield Question(
            id=f"{'+'.join(clip.file for clip in some)} {target}",
            text=some[target].shows,
            truth={"span": span},
            oracle=f"The given query happens in {span[0]} - {span[1]} seconds.",
            media=(video(shown),),
            tags={"place": ("first", "middle", "last")[target]},
        )


TASKS: Mapping[str, Build] = {
    "video_facts": choice_on_video(whole(facts), judge=None),
    "video_moments": build(
        whole(moments),
        charades_sta.PAPER,
        extractors=(EVENT_INTERVAL,),
        score=charades_sta.score,
        total=charades_sta.TOTAL,
    ),
}
