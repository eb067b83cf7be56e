# SPDX-License-Identifier: Apache-2.0
"""Conversations from which `finesight export --to awq` learns how large the activations of a model are."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from finesight.api.conversations import as_conversation
from finesight.api.network import load_processor
from finesight.batch import PackedBatch, pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.errors import ConfigError
from finesight.evals.suites.english import read_facts, read_prose

_HELDOUT_EVERY = 5
"""Every n-th conversation is compared with, not calibrated with."""

_LEAST = 4
"""Conversations that a file must have."""

_PASSAGES, _PASSAGE_LETTERS, _DRAWINGS = 24, 900, 24

_COLOURS = ("red", "green", "blue", "orange", "purple", "black")

_QUESTIONS = (
    "Describe the picture.",
    "Read all the text in the image.",
    "Locate the shapes, output their bbox coordinates using JSON format.",
    "How many shapes are in the picture?",
)


def calibration_batches(
    folder: Path, file: Path | None
) -> tuple[list[PackedBatch], list[PackedBatch]]:
    """Batches to calibrate with, and others to compare with.

    Args:
        folder: checkpoint folder of the processor.
        file: conversations, one JSON object in each line; None takes built-in ones.

    Raises:
        ConfigError: the file cannot be read, or has too few conversations.
        FinesightError: a conversation cannot be encoded.
    """
    processor = load_processor(folder)
    conversations = _built_in() if file is None else _read(file)
    batches = [
        pack([processor.encode(each, add_generation_prompt=False)]) for each in conversations
    ]
    heldout = batches[::_HELDOUT_EVERY]
    return [each for each in batches if not any(each is other for other in heldout)], heldout


def _read(file: Path) -> list[Conversation]:
    """The conversations of a file; raises `ConfigError` with the line that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--calibrate {file} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(as_conversation(json.loads(line)["messages"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"--calibrate {file}, line {number}: {error}",
                hint='each line is a JSON object such as {"messages": [{"role": "user", "content": "..."}]}',
            ) from error
    if len(found) < _LEAST:
        raise ConfigError(
            f"--calibrate {file} has {len(found)} conversations, at least {_LEAST} are needed",
            hint="a hundred of the kind that the model will see are a good number",
        )
    return found


def _built_in() -> list[Conversation]:
    """Passages of prose, questions with answers, and drawings with their answers, in turns."""
    mixed = zip(_passages(), _drawings(), strict=False)
    return [each for pair in mixed for each in pair]


def _passages() -> Iterator[Conversation]:
    prose, facts = read_prose(), [*read_facts().items()]
    for index in range(_PASSAGES):
        start = index * _PASSAGE_LETTERS % max(len(prose) - _PASSAGE_LETTERS, 1)
        question, answers = facts[index % len(facts)]
        yield (
            _said(TextPart("Continue the text."), prose[start : start + _PASSAGE_LETTERS])
            if index % 2
            else _said(TextPart(question), answers[0])
        )


def _drawings() -> Iterator[Conversation]:
    chance = random.Random(0)
    words = [word for word in read_prose().split() if word.isalpha()]
    for index in range(_DRAWINGS):
        size = 28 * chance.randint(4, 10), 28 * chance.randint(4, 10)
        picture = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(picture)
        boxes = [_shape(draw, size, chance) for _ in range(chance.randint(1, 4))]
        text = " ".join(chance.choices(words, k=3))
        draw.text((8, size[1] - 20), text, fill="black")
        answer = (f"A drawing with {len(boxes)} shapes.", text, json.dumps(boxes), str(len(boxes)))
        kind = index % len(_QUESTIONS)
        yield _said(ImagePart(source=picture), TextPart(_QUESTIONS[kind]), answer[kind])


def _shape(
    draw: ImageDraw.ImageDraw, size: Sequence[int], chance: random.Random
) -> dict[str, object]:
    """Draw a shape; its record in the format of answers."""
    side, colour = chance.randint(14, 48), chance.choice(_COLOURS)
    left, top = (chance.randint(0, each - side - 24) for each in size)
    box = [left, top, left + side, top + side]
    name, shape = chance.choice((("square", draw.rectangle), ("disc", draw.ellipse)))
    shape(box, fill=colour)
    return {"bbox_2d": box, "label": f"{colour} {name}"}


def _said(*parts: object) -> Conversation:
    """A question and its answer, which is the last of the parts."""
    *asked, answer = parts
    return Conversation((Message("user", tuple(asked)), Message("assistant", (TextPart(answer),))))  # type: ignore[arg-type]  # parts of a message
