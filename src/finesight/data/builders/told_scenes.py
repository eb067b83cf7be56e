# SPDX-License-Identifier: Apache-2.0
"""Scenes told in words: the questions of pictured scenes, with a list of the things in place of the picture.

To answer where something is, a decoder must find the name of the question among the things shown and copy what is known
there. Pictures teach that slowly, because what a young tower shows is half wrong. A list teaches the same search and
the same forms of answer for less work, and a turn that repeats the list makes copying worth learning.
"""

from __future__ import annotations

import random
from dataclasses import replace

from pydantic import Field

from finesight.data.builders.scenes import Scenes, ScenesConfig
from finesight.data.record import Record
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.icons import IconLibrary
from finesight.data.sources.words import WordLists

__all__ = ["ToldScenes", "ToldScenesConfig"]

INTRODUCTIONS = (
    "The image shows, with bounding boxes:",
    "Objects in the image and their coordinates:",
    "In the image there are:",
)
REPEAT = ("Repeat the list.", "Write the list of objects again.", "Copy the list above.")
NOTHING = "nothing"


class ToldScenesConfig(ScenesConfig):
    """What scenes are told; what is said of pictures in the options counts for where things could stand."""

    repeat_share: float = Field(
        default=0.5, ge=0, le=1, description="share of records with a turn that repeats the list"
    )


class ToldScenes:
    """Draws scenes and tells them.

    Args:
        config: what scenes.
        icons: the drawings; they decide how large things are.
        fonts: the font catalogue, for words.
        words: word lists of the config's split.
    """

    family = "told"

    def __init__(
        self, config: ToldScenesConfig, icons: IconLibrary, fonts: FontCatalogue, words: WordLists
    ) -> None:
        self.config = config
        self._scenes = Scenes(config, icons, fonts, words)

    def record(self, record_id: str, seed: int) -> Record:
        """Tell the scene of a seed; the same seed, config and assets give the same record."""
        rng = random.Random(f"told/{seed}")  # the scene draws from a stream of its own
        scene = self._scenes.record(record_id, seed)
        listed = [f"{thing.name} {list(thing.box)}" for thing in scene.objects] or [NOTHING]
        separator = rng.choice(("\n", "\n", "; "))
        told = separator.join(listed)
        turns = list(scene.turns)
        tasks = list(scene.meta["tasks"])
        if rng.random() < self.config.repeat_share:
            turns.append((rng.choice(REPEAT), told))
            tasks.append({"kind": "repeat", "name": "", "objects": list(range(len(scene.objects)))})
        return replace(
            scene,
            family=self.family,
            image=None,
            objects=(),
            context=f"{rng.choice(INTRODUCTIONS)}\n{told}",
            turns=tuple(turns),
            meta={**scene.meta, "generator": "told_scenes/1", "tasks": tasks},
        )
