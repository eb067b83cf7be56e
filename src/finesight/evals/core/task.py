# SPDX-License-Identifier: Apache-2.0
"""What a benchmark is: how its copy is read, what is asked, how an answer is read, scored and added up.

A task is data and four functions, each named and versioned where a score depends on it. The model sees nothing but a
`Conversation`; tasks do not depend on models, nor models on tasks.

The way of one question:

    rows of the local copy -> `Item` -> Responder -> raw text -> `Extractor` -> parts of its score -> metrics
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from finesight.conversation import Conversation, Sampling
from finesight.evals.core.judgement import JudgeRule
from finesight.geometry import Size
from finesight.parse.thinking import answer_part
from finesight.processor.resize import smart_resize

Space = Literal["resized", "original", "relative_1000", "relative_1"]
"""What the numbers of a box or point mean: pixels the model saw, pixels of the file, thousandths, or shares.

It is a property of the answering system, declared by its adapter, never guessed from the truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question.

    Attributes:
        id: unique in its task.
        conversation: what is asked; media by path, so that an item is cheap until it is answered.
        truth: what scoring needs, as plain JSON values: gold answers, choices, boxes in pixels of the original.
        group: items that are scored together (rotations of one question); a limit keeps groups whole.
        cluster: the picture or video shared with other items; errors are clustered by it.
        tags: columns that scores are broken down by, such as subject or duration.
    """

    id: str
    conversation: Conversation
    truth: Mapping[str, Any]
    group: str | None = None
    cluster: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CoordinateFrame:
    """Coordinate frame of an answer: what is needed to place its numbers on its picture.

    Attributes:
        space: what the numbers mean.
        original: size of the picture file.
        resized: size the model saw; equal to `original` where it is not known and `space` does not need it.
    """

    space: Space
    original: Size
    resized: Size

    def scales(self) -> tuple[float, float]:
        """Pixels of the original per unit said, across and down."""
        width, height = float(self.original.width), float(self.original.height)
        if self.space == "original":
            return 1.0, 1.0
        if self.space == "resized":
            return width / self.resized.width, height / self.resized.height
        parts = 1000.0 if self.space == "relative_1000" else 1.0
        return width / parts, height / parts


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as its extractor sees it.

    Attributes:
        text: the raw answer.
        truth: of the item; extractors may read choices and answer types from it, never the gold answer.
        frames: coordinate frame of each picture, in order.
    """

    text: str
    truth: Mapping[str, Any]
    frames: tuple[CoordinateFrame, ...] = ()


@dataclass(frozen=True, slots=True)
class Extractor:
    """A named rule that reads an answer.

    Attributes:
        name: what results call it.
        version: changes whenever any answer would be read differently.
        rule: gives a plain JSON value, or None where there is no answer to be read; sees no thoughts.
        keeps_text: the answer is compared as a whole, so that tags inside it are text; see
            `finesight.parse.thinking`.
        is_placed: numbers of the answer are mapped to original pixels of its picture, whose size must be known.
    """

    name: str
    version: str
    rule: Callable[[Answered], Any]
    keeps_text: bool = False
    is_placed: bool = False

    def read(self, answered: Answered) -> Any:
        """What the rule makes of the part that answers; None where thinking was cut off before it."""
        part = answer_part(answered.text, keeps_text=self.keeps_text)
        if part is None:
            return None
        return self.rule(answered if part == answered.text else replace(answered, text=part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One item with its answer and the parts of its score.

    Attributes:
        item: the question.
        parsed: what the extractor read; None if nothing.
        parts: numbers by name, as the task's `score` gave them; empty for an item that failed.
        error: why there is no answer; None if there is one.
    """

    item: Item
    parsed: Any
    parts: Mapping[str, float]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Pixels and frames given to media; None leaves the model's own.

    Attributes:
        min_pixels: of a picture.
        max_pixels: of a picture.
        fps: of a video.
        max_frames: of a video.
        total_pixels: of all frames of a video.
    """

    min_pixels: int | None = None
    max_pixels: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    total_pixels: int | None = None

    def seen_size(self, width: float, height: float) -> Size:
        """Size at which a model with the grid of Qwen2.5-VL sees a picture of this width and height."""
        rows, columns = smart_resize(
            int(height), int(width), min_pixels=self.min_pixels, max_pixels=self.max_pixels
        )
        return Size(columns, rows)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named way to ask.

    Attributes:
        name: "paper", "lmms-eval", "vlmevalkit" or another.
        source: where it comes from.
        items: reads the local copy and asks in this way.
    """

    name: str
    source: str
    items: Callable[[Path, Budget], Iterator[Item]]


Score = Callable[[Any, Mapping[str, Any]], Mapping[str, float]]
"""What was read and the truth -> parts of the score."""
Aggregate = Callable[[Sequence[Scored]], Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One benchmark.

    Attributes:
        name: what the command line calls it, such as "mathvision".
        title: its proper name.
        source: paper or page.
        layout: in words, what the folder of a local copy holds.
        prompts: ways to ask; the first is the default.
        budget: pixels and frames.
        sampling: how answers are drawn.
        extractors: ways to read; the first is the default.
        score: parts of the score of one item; keys are the same for every item, values lie in 0..1 unless the metric
            says otherwise. An answer that could not be read is passed as None.
        aggregate: metrics of all items; failed items count as wrong.
        main: the metric that is quoted.
        higher_is_better: whether a larger `main` is better.
        unit: what `main` is multiplied by when printed, 100 for percent.
        chance: what `main` would be for random answers; None where that is 0.
        published: `main` of other systems, as printed by `source` of each, in printed units.
        notes: what a reader of a score must know.
        judge: how a language model may judge its answers, beside the score by rule; None where it is never done.
        is_live: whether items are episodes that an environment plays; see `finesight.evals.live`.
    """

    name: str
    title: str
    source: str
    layout: str
    prompts: tuple[Prompt, ...]
    extractors: tuple[Extractor, ...]
    score: Score
    aggregate: Aggregate
    main: str
    budget: Budget = field(default_factory=Budget)
    sampling: Sampling = field(default_factory=Sampling)
    higher_is_better: bool = True
    unit: float = 100.0
    chance: float | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    judge: JudgeRule | None = None
    is_live: bool = False
