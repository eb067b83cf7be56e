# SPDX-License-Identifier: Apache-2.0
"""Interface of a benchmark: prompts, extractors, score and metrics.

Data flow of one question:

    rows of the local copy -> `Item` -> responder -> raw text -> `Extractor` -> parts of its score -> metrics

The model gets only a `Conversation`; tasks do not depend on models, nor models on tasks.
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
"""Unit of coordinates in answers: resized pixels, pixels of the file, thousandths, or fractions of the sides.

A property of the answering system, declared and never guessed from the truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question.

    Attributes:
        id: unique in its task.
        conversation: the request; media by path, so that they are loaded only when the item is answered.
        truth: plain JSON values for scoring: gold answers, choices, boxes in pixels of the original.
        group: items that are scored together (rotations of one question); a limit keeps groups complete.
        cluster: the picture or video shared with other items; standard errors are clustered by it.
        tags: names and values that scores are broken down by, such as subject or duration.
    """

    id: str
    conversation: Conversation
    truth: Mapping[str, Any]
    group: str | None = None
    cluster: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CoordinateFrame:
    """Coordinate frame of an answer: maps its numbers to pixels of the picture.

    Attributes:
        space: unit of the numbers.
        original: size of the picture file.
        resized: size the model saw; equal to `original` where it is unknown and `space` does not need it.
    """

    space: Space
    original: Size
    resized: Size

    def scales(self) -> tuple[float, float]:
        """Pixels of the original per unit, horizontally and vertically."""
        width, height = float(self.original.width), float(self.original.height)
        if self.space == "original":
            return 1.0, 1.0
        if self.space == "resized":
            return width / self.resized.width, height / self.resized.height
        parts = 1000.0 if self.space == "relative_1000" else 1.0
        return width / parts, height / parts


@dataclass(frozen=True, slots=True)
class Answered:
    """Input of an extractor.

    Attributes:
        text: the raw answer.
        truth: of the item; extractors may use choices and answer types, never the gold answer.
        frames: coordinate frame of each picture, in order.
    """

    text: str
    truth: Mapping[str, Any]
    frames: tuple[CoordinateFrame, ...] = ()


@dataclass(frozen=True, slots=True)
class Extractor:
    """A named and versioned rule that parses answers.

    Attributes:
        name: in results.
        version: changes whenever any answer would be parsed differently.
        rule: returns a plain JSON value, or None if it finds no answer; gets the answer without its reasoning.
        keeps_text: the answer is compared as a whole, so tags inside it are text; see `finesight.parse.thinking`.
        is_placed: coordinates are mapped to original pixels, so the size of the picture must be known.
    """

    name: str
    version: str
    rule: Callable[[Answered], Any]
    keeps_text: bool = False
    is_placed: bool = False

    def read(self, answered: Answered) -> Any:
        """The parsed answer; None if there is none or the reasoning was cut off before it."""
        part = answer_part(answered.text, keeps_text=self.keeps_text)
        if part is None:
            return None
        return self.rule(answered if part == answered.text else replace(answered, text=part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One item with its parsed answer and score.

    Attributes:
        item: the question.
        parsed: the parsed answer; None if there is none.
        parts: numbers by name, from the task's `score`; empty for an item that failed.
        error: why the item failed; None if it did not.
    """

    item: Item
    parsed: Any
    parts: Mapping[str, float]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of pixels and frames; None leaves the model's own.

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
    """A named prompt.

    Attributes:
        name: "paper", "lmms-eval", "vlmevalkit" or another.
        source: where it comes from.
        items: reads the local copy and makes items with this prompt.
    """

    name: str
    source: str
    items: Callable[[Path, Budget], Iterator[Item]]


Score = Callable[[Any, Mapping[str, Any]], Mapping[str, float]]
"""Parsed answer and truth -> parts of the score."""
Aggregate = Callable[[Sequence[Scored]], Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One benchmark.

    Attributes:
        name: on the command line, such as "mathvision".
        title: its proper name.
        source: paper or page.
        layout: description of the folder of a local copy.
        prompts: the first is the default.
        budget: pixels and frames.
        sampling: of answers.
        extractors: the first is the default.
        score: parts of the score of one item; keys are the same for every item, values are 0..1 unless the metric
            states otherwise. An answer that could not be parsed is passed as None.
        aggregate: metrics of all items; failed items count as wrong.
        main: name of the main metric.
        higher_is_better: whether a larger `main` is better.
        unit: factor of `main` when printed, 100 for percent.
        chance: `main` of random answers; None where that is 0.
        published: `main` of other systems, in printed units.
        notes: remarks on the score.
        judge: rule for judging by a language model; None if the task is scored by rule only.
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
