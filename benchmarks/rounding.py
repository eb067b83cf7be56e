# SPDX-License-Identifier: Apache-2.0
"""What rounding the weights to int8 and int4 changes: next tokens of answers to real questions, boxes of shapes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from benchmarks.comparison import Comparison
from finesight.errors import ConfigError, MediaError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from finesight.api.model import Model
    from finesight.batch import EncodedSample
    from finesight.model.vl import VisionLanguageModel

DATA = "FINESIGHT_REAL_DATA"
_BARS = {"int8": 0.01, "int4": 0.05}
"""Divergence in nats a token."""

_MOST_PIXELS = 2.0

_ROUNDED: dict[str, dict[str, str]] = {
    "int8": {"weights": "int8"},
    "int4": {"weights": "int4"},
    "a vision tower in int8": {"dtype": "bfloat16", "vision_weights": "int8"},
}
"""What is rounded, and the options that do it."""

_COLORS = ("red", "green", "blue", "orange", "purple", "black")


def bench_rounding(*, model: str = "tiny", questions: int = 200) -> Iterator[Comparison]:
    """KL divergence of the next-token distributions from those of bfloat16, along the answers of bfloat16.

    The questions are the first of MATH-Vision whose pictures are in the folder that FINESIGHT_REAL_DATA names.

    Raises:
        ConfigError: the folder is not given.
    """
    from finesight import load
    from finesight.conversation import Sampling
    from finesight.engine.request import Request
    from finesight.engine.sequence import extended
    from finesight.evals.core import registry

    folder = os.environ.get(DATA)
    if not folder:
        raise ConfigError(f"{DATA} names no folder", hint="set it to the folder with the real data")
    task = registry.task("mathvision")
    items = task.prompts[0].items(Path(folder) / "mathvision", task.budget)
    exact = load(model, device="cpu", dtype="bfloat16")
    samples: list[tuple[EncodedSample, int]] = []
    for item in items:
        if len(samples) == questions:
            break
        request = Request(conversation=item.conversation, sampling=Sampling(max_new_tokens=24))
        try:
            sample = request.encode(exact.processor)
        except MediaError:  # a copy may have some of the pictures only
            continue
        reply = exact.engine.submit(request, replace(sample)).reply()
        samples.append((extended(sample, list(reply.token_ids)), len(reply.token_ids)))
    expected = [_logprobs(exact.network, *each) for each in samples]
    for weights, bar in _BARS.items():
        rounded = load(model, device="cpu", weights=weights).network  # type: ignore[arg-type]  # one of the formats
        found = [_logprobs(rounded, *each) for each in samples]
        pairs = [
            (p, q)
            for one, other in zip(expected, found, strict=True)
            for p, q in zip(one, other, strict=True)
        ]
        divergence = mean(float((p.exp() * (p - q)).sum()) for p, q in pairs)
        changed = mean(int(p.argmax()) != int(q.argmax()) for p, q in pairs)
        yield Comparison(
            f"nats a token by which {weights} differs from bf16, {len(samples)} questions, {len(pairs)} tokens",
            divergence,
            bar,
            1.0,
            at_least=False,
            note=f"{changed:.1%} of the likeliest tokens change",
        )


def _logprobs(model: VisionLanguageModel, sample: EncodedSample, answer: int) -> Tensor:
    """float32[answer, V], log-probabilities of the tokens of the answer's places."""
    import torch

    from finesight.batch import pack

    with torch.inference_mode():
        hidden = model(pack([sample]))[-answer - 1 : -1]
        return model.logits(hidden).float().log_softmax(-1)


def bench_boxes(*, model: str = "tiny", pictures: int = 120) -> Iterator[Comparison]:
    """By how many pixels boxes move with rounded weights, on drawn pictures of one shape each.

    The shift of a box is the largest change of a coordinate. The median counts, over the pictures in which both sides
    find a box.
    """
    from finesight import load

    drawn = list(_drawn_shapes(pictures))
    exact = load(model, device="cpu", dtype="bfloat16")
    expected = [_first_box(exact, *each) for each in drawn]
    for name, options in _ROUNDED.items():
        rounded = load(model, device="cpu", **options)  # type: ignore[arg-type]  # known formats
        found = [_first_box(rounded, *each) for each in drawn]
        pairs = [(one, other) for one, other in zip(expected, found, strict=True) if one and other]
        shifts = [max(abs(p - q) for p, q in zip(*pair, strict=True)) for pair in pairs]
        moved = sum(shift > _MOST_PIXELS for shift in shifts)
        lost = sum(
            (one is None) != (other is None) for one, other in zip(expected, found, strict=True)
        )
        yield Comparison(
            f"median pixels by which boxes in {pictures} pictures move with {name}, against {_MOST_PIXELS:.0f}",
            median(shifts),
            _MOST_PIXELS,
            1.0,
            at_least=False,
            note=f"{len(shifts)} boxes, mean {mean(shifts):.2f}, {moved} by more; {lost} found by one side only",
        )


def _drawn_shapes(count: int) -> Iterator[tuple[Image, str]]:
    """Pictures of 280 x 196 pixels with one shape, and a phrase for it."""
    from PIL import Image, ImageDraw

    draw = random.Random(0)
    for _ in range(count):
        color, shape = draw.choice(_COLORS), draw.choice(("circle", "square"))
        picture = Image.new("RGB", (280, 196), "white")
        size, left, top = draw.randint(24, 72), draw.randint(4, 200), draw.randint(4, 116)
        corners = (left, top, left + size, top + size)
        pen = ImageDraw.Draw(picture)
        (pen.ellipse if shape == "circle" else pen.rectangle)(corners, fill=color)
        yield picture, f"{color} {shape}"


def _first_box(model: Model, picture: Image, phrase: str) -> tuple[float, ...] | None:
    boxes = model.locate(phrase, picture).boxes
    if not boxes or boxes[0].original is None:
        return None
    box = boxes[0].original
    return box.x1, box.y1, box.x2, box.y2
