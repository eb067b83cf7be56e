# SPDX-License-Identifier: Apache-2.0
"""Samples as the model gets them: runs of tokens with their loss mask, media at their resized size with places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
from PIL import Image

from finesight.batch import IGNORE_INDEX
from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.data.encode import EncoderConfig, TrainingEncoder, some_turns
from finesight.data.places import call_texts, marked
from finesight.data.record import Record, text_of
from finesight.geometry import Box, Point, Size
from finesight.media.image import load_image
from finesight.media.video import open_video
from finesight.processor.processor import Processor
from finesight.text import special_tokens as names

__all__ = ["Run", "Shown", "ShownMedia", "drawn", "sample_json", "shown"]

RunKind = Literal["context", "target", "control", "media"]


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring tokens of one kind.

    Attributes:
        text: their text; of media, the token and how often it occurs.
        kind: prompt, text to learn, control token, or visual tokens.
        is_target: whether they are learned.
        num_tokens: number of tokens.
    """

    text: str
    kind: RunKind
    is_target: bool
    num_tokens: int


@dataclass(frozen=True, slots=True)
class ShownMedia:
    """A picture, or the first frame of a video, at the size the model sees, with the places of the record in it.

    Attributes:
        image: resized.
        original: size before.
        places: number and shape of each place that the texts mention, in pixels of `image`; numbered from 1, in their
            order.
        num_tokens: visual tokens; of a video, those of all frames.
    """

    image: Image.Image
    original: Size
    places: tuple[tuple[int, Box | Point], ...]
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample as the model gets it; the worse answer of a preference pair is stored separately."""

    place: str
    runs: tuple[Run, ...]
    media: tuple[ShownMedia, ...]
    rejected: tuple[Run, ...] = ()


def drawn(record: Record) -> Record:
    """The record as one sample: with as many of its independent questions as a sample has by default."""
    if not record.any_order:
        return record
    talk = some_turns(record.conversation, np.random.default_rng(0), EncoderConfig().max_turns)
    return replace(record, conversation=talk, any_order=False)


def shown(record: Record, processor: Processor) -> Shown:
    """A record as the model gets it, without augmentation."""
    record = drawn(record)
    encoder = TrainingEncoder(EncoderConfig(jitter=0.0), processor)
    made = encoder.encode(record, np.random.default_rng(0)).sample
    runs = _runs(made.input_ids.tolist(), made.labels.tolist(), processor)
    rejected: tuple[Run, ...] = ()
    if record.rejected:
        worse = encoder.encode(record.with_rejected, np.random.default_rng(0)).sample
        found = _runs(worse.input_ids.tolist(), worse.labels.tolist(), processor)
        rejected = tuple(run for run in found if run.is_target)
    messages = (*record.conversation.messages, *record.rejected)
    texts = [text for message in messages for text in (text_of(message), *call_texts(message))]
    found_marks = [index for text in texts for index in marked(text)]
    asked = dict.fromkeys(found_marks if record.places else ())
    media = []
    for index, part in enumerate(record.conversation.media()):
        resize = made.vision[index].record.resize
        image = _first_picture(part).resize((resize.resized.width, resize.resized.height))
        places = tuple(
            (number, _shape(record.places[asked_for].resized(resize)))
            for number, asked_for in enumerate(asked, 1)
            if record.places[asked_for].media == index
        )
        visual = made.vision[index].record.visual_tokens
        media.append(ShownMedia(image, resize.original, places, visual))
    return Shown(str(record.meta["row"]), tuple(runs), tuple(media), rejected)


def _shape(values: tuple[int, ...]) -> Box | Point:
    return Box(*values) if len(values) == 4 else Point(*values)


def _first_picture(part: ImagePart | VideoPart) -> Image.Image:
    if isinstance(part, ImagePart):
        return load_image(part.source, page=part.page)
    clip = open_video(part, ProcessorConfig())
    return Image.fromarray(next(clip.only([0]).frames()))


def _runs(ids: Sequence[int], labels: Sequence[int], processor: Processor) -> Iterator[Run]:
    """The tokens in runs of one kind."""
    tokenizer = processor.tokenizer
    control = {index: name for name, index in tokenizer.special_ids.items()}
    pads = {tokenizer.special_id(name) for name in (names.IMAGE_PAD, names.VIDEO_PAD)}

    def kind_of(pair: tuple[int, int]) -> tuple[bool, int]:
        token, label = pair
        return label != IGNORE_INDEX, token if token in control else -1

    for (is_target, special), run in groupby(zip(ids, labels, strict=True), kind_of):
        tokens = [token for token, _ in run]
        if special < 0:
            text = tokenizer.decode(tokens, skip_special=False)
            yield Run(text, "target" if is_target else "context", is_target, len(tokens))
        elif special in pads:
            text = f"{control[special]} x {len(tokens)}"
            yield Run(text, "media", is_target, len(tokens))
        else:
            yield Run(control[special] * len(tokens), "control", is_target, len(tokens))


def sample_json(sample: Shown) -> dict[str, Any]:
    """A sample without pictures, in plain types."""
    return {
        "place": sample.place,
        "runs": [
            {"text": run.text, "is_target": run.is_target, "num_tokens": run.num_tokens}
            for run in sample.runs
        ],
        "media": [
            {
                "original": [item.original.width, item.original.height],
                "resized": list(item.image.size),
                "visual_tokens": item.num_tokens,
                "places": [
                    [shape.x1, shape.y1, shape.x2, shape.y2]
                    if isinstance(shape, Box)
                    else [shape.x, shape.y]
                    for _, shape in item.places
                ],
            }
            for item in sample.media
        ],
    }
