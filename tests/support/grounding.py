# SPDX-License-Identifier: Apache-2.0
"""Drawn pictures with many things at known places, and responders that know them, with or without noise."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field

import numpy as np

from finesight.conversation import ImagePart
from finesight.geometry import Box, iou
from tests.support.app_responders import Oracle, Question

COLOURS = {"red square": (210, 40, 40), "blue square": (40, 60, 210), "green square": (40, 160, 60)}


@dataclass
class Scene:
    """A picture and the boxes of its things, by name."""

    pixels: np.ndarray
    things: dict[str, list[Box]]

    def boxes(self, name: str) -> list[Box]:
        return self.things.get(name, [])


def scene(seed: int, *, size, counts: dict[str, int], sides=(5, 400), gap=2) -> Scene:
    """Squares and rectangles that do not touch, of sides that are spread evenly on a logarithmic scale."""
    rng = random.Random(seed)
    width, height = size
    pixels = np.full((height, width, 3), 245, np.uint8)
    taken = np.zeros((height, width), bool)
    things: dict[str, list[Box]] = {name: [] for name in counts}
    wanted = [name for name, count in counts.items() for _ in range(count)]
    low, high = np.log(sides[0]), np.log(sides[1])
    lengths = sorted((round(float(np.exp(rng.uniform(low, high)))) for _ in wanted), reverse=True)
    rng.shuffle(wanted)
    for name, length in zip(wanted, lengths, strict=True):
        shorter = max(sides[0], round(length * rng.uniform(0.7, 1.0)))
        w, h = (length, shorter) if rng.random() < 0.5 else (shorter, length)
        for _ in range(2000):
            x, y = rng.randrange(0, width - w + 1), rng.randrange(0, height - h + 1)
            around = np.s_[max(0, y - gap) : y + h + gap, max(0, x - gap) : x + w + gap]
            if not taken[around].any():
                break
        else:
            raise AssertionError("the picture is too small for its things")
        taken[y : y + h, x : x + w] = True
        pixels[y : y + h, x : x + w] = COLOURS[name]
        things[name].append(Box(x, y, x + w, y + h))
    return Scene(pixels, things)


def shown_part(question: Question, whole: np.ndarray) -> Box | None:
    """Which part of a picture the last picture of a question is; None if it is a copy.

    Parts are views of the picture, so their first pixel's address tells the corner.
    """
    source = [part for part in question.conversation.media() if isinstance(part, ImagePart)][
        -1
    ].source
    if not isinstance(source, np.ndarray) or not np.shares_memory(source, whole):
        is_whole = np.shape(source) == whole.shape and np.array_equal(source, whole)
        return Box(0, 0, whole.shape[1], whole.shape[0]) if is_whole else None
    start = source.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    row, rest = divmod(start, whole.strides[0])
    x, y = rest // whole.strides[1], row
    return Box(x, y, x + source.shape[1], y + source.shape[0])


def visible(box: Box, part: Box) -> Box | None:
    """What a part shows of a thing; None if it is less than a quarter."""
    inner = Box(
        max(box.x1, part.x1), max(box.y1, part.y1), min(box.x2, part.x2), min(box.y2, part.y2)
    )
    return inner if inner.area >= 0.25 * box.area and inner.width > 0 else None


@dataclass
class Noise:
    """Shares of things that a list of places leaves out, invents and repeats, each time anew."""

    missed: float = 0.0
    invented: float = 0.0
    doubled: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def applied(self, boxes: list[Box], part: Box) -> list[Box]:
        kept = []
        for box in boxes:
            if self.rng.random() < self.missed:
                continue
            kept.append(box)
            if self.rng.random() < self.doubled:
                dx, dy = 0.08 * box.width, 0.08 * box.height
                kept.append(Box(box.x1 + dx, box.y1 - dy, box.x2 + dx, box.y2 - dy))
            if self.rng.random() < self.invented:
                x = self.rng.uniform(part.x1, part.x2 - box.width)
                y = self.rng.uniform(part.y1, part.y2 - box.height)
                kept.append(Box(x, y, x + box.width, y + box.height))
        return kept


@dataclass
class Knows:
    """Answers about one scene: places, numbers and yes or no.

    A box is confirmed if it fits one thing, and not if its crop shows something else.
    """

    scene: Scene
    noise: Noise = field(default_factory=Noise)
    number: int = 0  # added to every count

    def __call__(self, question: Question) -> str:
        text = question.text
        name = next((one for one in COLOURS if one in text), "")
        part = shown_part(question, self.scene.pixels)
        if text.startswith("Is "):
            return "Yes" if self._is_true(question, text, name, part) else "No"
        assert part is not None, text
        inside = [each for box in self.scene.boxes(name) if (each := visible(box, part))]
        if text.startswith("How many"):
            half = [box for box in self.scene.boxes(name) if _share(box, part) >= 0.5]
            return str(len(half) + self.number)
        found = self.noise.applied(inside, part)
        local = [Box(b.x1 - part.x1, b.y1 - part.y1, b.x2 - part.x1, b.y2 - part.y1) for b in found]
        if "point" in text.lower():
            rows = [
                json.dumps({"point_2d": self._middle(question, box), "label": name})
                for box in local
            ]
            return "```json\n[" + ",\n".join(rows) + "]\n```"
        if name and not found:
            return "```json\n[]\n```" if len(name) % 2 else f"There is no {name} in the image."
        return question.boxes_json([(box, name) for box in local])

    @staticmethod
    def _middle(question: Question, box: Box) -> list[int]:
        x1, y1, x2, y2 = question.numbers(box)
        return [round((x1 + x2) / 2), round((y1 + y2) / 2)]

    def _is_true(self, question: Question, text: str, name: str, part: Box | None) -> bool:
        boxes = self.scene.boxes(name)
        if (
            part is not None
            and part.area == self.scene.pixels.shape[0] * self.scene.pixels.shape[1]
        ):
            return bool(boxes)
        if part is None:  # a picture with a red box drawn in
            marked = red_box(question.pictures[-1])
            factor = self.scene.pixels.shape[1] / question.pictures[-1].shape[1]
            place = Box(*(edge * factor for edge in (marked.x1, marked.y1, marked.x2, marked.y2)))
            wanted = min(boxes, key=lambda b: b.x1) if "leftmost" in text else None
            return any(iou(place, box) > 0.5 for box in ([wanted] if wanted else boxes))
        inner = without_margin(part)
        return sum(iou(inner, box) >= 0.4 for box in boxes) == 1


def without_margin(part: Box, margin=0.3) -> Box:
    """The box whose crop with a margin of its longer side is this part, inside the picture."""
    more = margin * max(part.width, part.height) / (1 + 2 * margin)
    return Box(part.x1 + more, part.y1 + more, part.x2 - more, part.y2 - more)


def red_box(pixels: np.ndarray) -> Box:
    """The box that pure red lines enclose."""
    rows, columns = np.nonzero((pixels == (255, 0, 0)).all(axis=-1))
    return Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def _share(box: Box, part: Box) -> float:
    width = min(box.x2, part.x2) - max(box.x1, part.x1)
    height = min(box.y2, part.y2) - max(box.y1, part.y1)
    return max(0, width) * max(0, height) / box.area


class Scoring(Oracle):
    """An oracle that also gives log-probabilities of the answers "Yes" and "No"."""

    def __init__(self, answer, sure=0.95):
        super().__init__(answer)
        self.sure = sure
        self.scored = 0

    def score(self, conversations):
        found = []
        for conversation in conversations:
            *asked_, answer = conversation.messages
            assert [one.is_target for one in asked_] == [False] * len(asked_)
            self.scored += 1
            (said,) = (part.text for part in answer.parts)
            true = self.answer(_question(conversation, asked_))
            found.append([float(np.log(self.sure if said == true else 1 - self.sure))])
        return found


def _question(conversation, messages) -> Question:
    from dataclasses import replace

    from tests.support.app_responders import asked

    return asked(replace(conversation, messages=tuple(messages)))


def f1(found: list[Box], truth: list[Box], least: float = 0.5) -> float:
    """F1 of boxes, each matched to at most one, best overlaps first."""
    pairs = sorted(
        (
            (iou(one, other), i, j)
            for i, one in enumerate(found)
            for j, other in enumerate(truth)
            if iou(one, other) >= least
        ),
        reverse=True,
    )
    used_found, used_truth = set(), set()
    for _, i, j in pairs:
        if i not in used_found and j not in used_truth:
            used_found.add(i)
            used_truth.add(j)
    hits = len(used_found)
    return 2 * hits / (len(found) + len(truth)) if found or truth else 1.0


def digits(text: str) -> list[int]:
    return [int(one) for one in re.findall(r"\d+", text)]
