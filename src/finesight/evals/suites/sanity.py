# SPDX-License-Identifier: Apache-2.0
"""A small fixed set of questions on reading, pointing and common knowledge, to notice what a fine-tuned model forgot.

It comes with the package, and its pictures are drawn here with Pillow's own font:

- `read`: a drawn line of words; score 1 - character error rate;
- `point`: a coloured shape among others; score 1 if the point is in its box;
- `facts`: short questions without a picture; score 1 if an accepted answer occurs in the answer.

The set is split: the questions of `replay` are of the same kinds with other words and pictures. A model's own answers
to them, mixed into its training, keep what it could do before.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont

from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.evals.core.task import Extractor, Item, Prompt, Score, Task
from finesight.evals.extract.places import FIRST_POINT
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.metrics.chars import cer_capped
from finesight.evals.suites.english import is_known, read_facts
from finesight.evals.tasks.shared.aggregates import average

Half = Literal["scored", "replay"]
ITEMS = 48
"""Questions of each part."""
SCORE = "score"
MEASURES: Mapping[str, str] = {
    "read": "1 - character error rate of drawn words",
    "point": "share of points in the right shape",
    "facts": "share of right answers without a picture",
}
"""What the score of each part is, in words."""

READ = "Read all the text in the image."
POINT = "Point to the {}, output its coordinates in XML format <points x y>object</points>"

_WORDS: Mapping[Half, Sequence[str]] = {
    "scored": (
        "garden", "window", "river", "silver", "market", "letter", "winter", "bridge", "candle", "summer",
        "planet", "forest", "ticket", "mirror", "island", "pepper", "rocket", "saddle", "timber", "violet",
        "yellow", "basket", "copper", "dinner", "engine", "finger", "hammer", "jacket", "kitten", "lemon",
        "meadow", "needle", "orange", "pillow", "rabbit", "spring", "turtle", "velvet", "walnut", "zipper",
    ),
    "replay": (
        "anchor", "button", "castle", "desert", "eleven", "fabric", "guitar", "harbor", "insect", "jungle",
        "kettle", "ladder", "magnet", "nature", "office", "parrot", "quartz", "ribbon", "school", "tunnel",
        "unison", "valley", "wallet", "yogurt", "butter", "circus", "dragon", "flower", "goblet", "helmet",
        "iceman", "jigsaw", "lizard", "monkey", "napkin", "oyster", "pencil", "rescue", "sunset", "temple",
    ),
}  # fmt: skip
_COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 150, 60),
    "blue": (40, 80, 210),
    "yellow": (235, 200, 40),
}
_SHAPES = ("circle", "square", "triangle")
_CELL = 84


def sanity_tasks() -> list[Task]:
    """The three benchmarks."""
    return [
        _task("read", _reading("scored", ITEMS), WHOLE_TEXT, _text_score, max_new_tokens=32),
        _task("point", _pointing("scored"), FIRST_POINT, _point_score, max_new_tokens=48),
        _task("facts", _facts("scored"), WHOLE_TEXT, _fact_score, max_new_tokens=32),
    ]


def replay_items() -> list[Item]:
    """Questions of the other half, with pictures; twice as many on reading, which fine-tuning impairs first."""
    return [*_reading("replay", 2 * ITEMS), *_pointing("replay")]


def _task(
    name: str, items: Sequence[Item], extractor: Extractor, score: Score, *, max_new_tokens: int
) -> Task:
    return Task(
        name=name,
        title=f"Sanity set: {MEASURES[name]}",
        source="this project",
        layout="comes with the package",
        prompts=(Prompt("as written", "this project", lambda *_: iter(items)),),
        sampling=Sampling(max_new_tokens=max_new_tokens, temperature=0.0),
        extractors=(extractor,),
        score=score,
        aggregate=average(SCORE, name=SCORE),
        main=SCORE,
    )


def _reading(half: Half, number_of_items: int) -> list[Item]:
    rng = random.Random(f"read/{half}")
    items = []
    for number in range(number_of_items):
        text = " ".join(rng.sample(_WORDS[half], rng.randint(1, 2)))
        items.append(_item(f"read-{half}-{number}", _line(rng, text), READ, {"answer": text}))
    return items


def _line(rng: random.Random, text: str) -> Image.Image:
    """Dark words on a light ground."""
    font = ImageFont.load_default(rng.randint(15, 22))
    left, top, right, bottom = font.getbbox(text)
    width, height = (28 * -(-int(side + 20) // 28) for side in (right - left, bottom - top))
    image = Image.new("RGB", (width, height), tuple(rng.randint(215, 255) for _ in range(3)))
    ink = tuple(rng.randint(0, 80) for _ in range(3))
    place = ((width - right + left) / 2 - left, (height - bottom + top) / 2 - top)
    ImageDraw.Draw(image).text(place, text, font=font, fill=ink)
    return image


def _pointing(half: Half) -> list[Item]:
    rng = random.Random(f"point/{half}")
    names = [f"{colour} {shape}" for colour in _COLOURS for shape in _SHAPES]
    items = []
    for number in range(ITEMS):
        chosen = rng.sample(names, 3)
        image = Image.new("RGB", (2 * _CELL, 2 * _CELL), "white")
        cells = rng.sample([(x, y) for x in range(2) for y in range(2)], len(chosen))
        boxes = [_shape(rng, image, name, cell) for name, cell in zip(chosen, cells, strict=True)]
        truth = {"answer": chosen[0], "box": list(boxes[0])}
        items.append(_item(f"point-{half}-{number}", image, POINT.format(chosen[0]), truth))
    return items


def _shape(
    rng: random.Random, image: Image.Image, name: str, cell: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Draw a shape in a cell; returns its box."""
    colour, _, shape = name.partition(" ")
    size = rng.randint(34, 60)
    left, top = (at * _CELL + rng.randint(4, _CELL - size - 4) for at in cell)
    box = (left, top, left + size, top + size)
    draw, ink = ImageDraw.Draw(image), _COLOURS[colour]
    if shape == "circle":
        draw.ellipse(box, fill=ink)
    elif shape == "square":
        draw.rectangle(box, fill=ink)
    else:
        corners = ((left + size / 2, top), (left, top + size), (left + size, top + size))
        draw.polygon(corners, fill=ink)
    return box


def _facts(half: Half) -> list[Item]:
    """Every second question of the file for each half."""
    rows = list(read_facts().items())[half == "replay" :: 2][:ITEMS]
    return [
        _item(f"facts-{half}-{number}", None, question, {"answer": golds[0], "golds": [*golds]})
        for number, (question, golds) in enumerate(rows)
    ]


def _item(name: str, image: Image.Image | None, question: str, truth: Mapping[str, Any]) -> Item:
    shown = () if image is None else (ImagePart(source=image),)
    message = Message("user", (*shown, TextPart(question)))
    return Item(
        id=name,
        conversation=Conversation((message,)),
        truth={**truth, "oracle": truth["answer"]},
    )


def _text_score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {SCORE: 1 - cer_capped(str(parsed or ""), truth["answer"])}


def _point_score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {SCORE: float(parsed is not None and point_in_box(parsed, truth["box"]))}


def _fact_score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {SCORE: float(is_known(str(parsed or ""), truth["golds"]))}
