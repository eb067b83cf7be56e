# SPDX-License-Identifier: Apache-2.0
"""Checks a file of training data: problems of its rows, lengths in tokens, and samples as the model gets them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from finesight.batch import IGNORE_INDEX
from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.data.encode import EncoderConfig, TrainingEncoder, some_turns
from finesight.data.formats.config import ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import Problem, Reason
from finesight.data.importing import notes_of
from finesight.data.places import marked, written
from finesight.data.record import Record, text_of
from finesight.errors import FinesightError
from finesight.geometry import Box, Point, Size
from finesight.media.image import load_image
from finesight.media.video import open_video
from finesight.processor.processor import Processor
from finesight.text import special_tokens as names

__all__ = ["CheckReport", "Lengths", "Run", "Shown", "ShownMedia", "check_file"]

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
        places: index and shape of each place that the texts mention, in pixels of `image`.
        num_tokens: visual tokens; of a video, those of all frames.
    """

    image: Image.Image
    original: Size
    places: tuple[tuple[int, Box | Point], ...]
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample as the model gets it; the worse answer of a preference pair, if there is one, apart."""

    place: str
    runs: tuple[Run, ...]
    media: tuple[ShownMedia, ...]
    rejected: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths in tokens: least, median, 90th percentile, largest and sum."""

    least: int
    median: int
    p90: int
    largest: int
    total: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Lengths:
        """Of at least one sample."""
        ranked = sorted(values)
        at = (len(ranked) - 1) / 10
        return cls(ranked[0], ranked[round(5 * at)], ranked[round(9 * at)], ranked[-1], sum(ranked))


@dataclass(slots=True, kw_only=True)
class CheckReport:
    """What was found in a file.

    Attributes:
        path: the file.
        format: its format.
        num_records: rows that can be used.
        reasons: rows that cannot, by reason.
        problems: each of them.
        notes: sentences for the user.
        tokens: lengths of samples, None without any.
        visual_tokens: visual tokens of samples, None without any.
        counts: pictures, videos, turns, and the like.
        samples: some samples as the model gets them.
    """

    path: Path
    format: str
    num_records: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    tokens: Lengths | None = None
    visual_tokens: Lengths | None = None
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[Shown] = field(default_factory=list)


def check_file(
    path: Path,
    processor: Processor,
    config: ImportConfig | None = None,
    *,
    num_samples: int = 10,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Check every row of a file.

    Args:
        path: a file or folder of any known format.
        processor: of the model that will be trained.
        config: settings of the import.
        num_samples: number of samples shown, drawn at random.
        seed: of the choice of samples.
        progress: called with the number of rows done.

    Raises:
        ConfigError: the format is not known, or there is no such file.
        DataError: the file cannot be opened.
    """
    reading = Reading(path, config)
    report = CheckReport(path=path, format=reading.format)
    rng = random.Random(seed)
    chosen: list[tuple[int, Record]] = []
    lengths: list[tuple[int, int]] = []
    for number, found in enumerate(_planned(reading, processor, lengths), 1):
        if isinstance(found, Problem):
            report.problems.append(found)
            report.reasons[found.reason] += 1
        else:
            report.num_records += 1
            _count(report.counts, found)
            _keep_some(chosen, (number, found), report.num_records, num_samples, rng)
        if progress is not None:
            progress(number)
    report.notes = notes_of(reading)
    if lengths:
        report.tokens = Lengths.of([tokens for tokens, _ in lengths])
        report.visual_tokens = Lengths.of([visual for _, visual in lengths])
    report.samples = [
        _shown(record, processor) for _, record in sorted(chosen, key=lambda each: each[0])
    ]
    return report


def _planned(
    reading: Reading, processor: Processor, lengths: list[tuple[int, int]]
) -> Iterator[Record | Problem]:
    """Records and problems; a record that the processor refuses is a problem."""
    for found in reading:
        if isinstance(found, Record):
            try:
                lengths.append(_lengths(found, processor))
            except FinesightError as error:
                yield Problem(str(found.meta["row"]), "encoding", error.message, error.hint)
                continue
        yield found


def _sampled(record: Record) -> Record:
    """The record with as many of its independent questions as a sample has by default."""
    if not record.any_order:
        return record
    talk = some_turns(record.conversation, np.random.default_rng(0), EncoderConfig().max_turns)
    return replace(record, conversation=talk, any_order=False)


def _lengths(record: Record, processor: Processor) -> tuple[int, int]:
    """Tokens and visual tokens of a sample."""
    record = _sampled(record)
    talk = record.conversation
    media = processor.plan_media(talk)
    messages = written(talk.messages, record.places, [item.resize for item in media])
    plan = processor.plan(replace(talk, messages=messages), add_generation_prompt=False)
    return plan.num_tokens, sum(item.visual_tokens for item in media)


def _count(counts: Counter[str], record: Record) -> None:
    media = [type(part).__name__ for part in record.conversation.media()]
    counts["pictures"] += media.count("ImagePart")
    counts["videos"] += media.count("VideoPart")
    counts["rows without media"] += not media
    counts["answers"] += sum(
        message.role == "assistant" and message.is_target
        for message in record.conversation.messages
    )
    counts["boxes and points"] += len(record.places)
    counts["preference pairs"] += bool(record.rejected)
    counts["held-out rows"] += record.meta["split"] == "heldout"


def _keep_some(
    chosen: list[tuple[int, Record]],
    new: tuple[int, Record],
    num_seen: int,
    most: int,
    rng: random.Random,
) -> None:
    """Reservoir sampling: each record is kept with the same probability."""
    if len(chosen) < most:
        chosen.append(new)
    elif (place := rng.randrange(num_seen)) < most:
        chosen[place] = new


def _shown(record: Record, processor: Processor) -> Shown:
    record = _sampled(record)
    encoder = TrainingEncoder(EncoderConfig(jitter=0.0), processor)
    made = encoder.encode(record, np.random.default_rng(0)).sample
    runs = _runs(made.input_ids.tolist(), made.labels.tolist(), processor)
    rejected: tuple[Run, ...] = ()
    if record.rejected:
        worse = encoder.encode(record.with_rejected, np.random.default_rng(0)).sample
        found = _runs(worse.input_ids.tolist(), worse.labels.tolist(), processor)
        rejected = tuple(run for run in found if run.is_target)
    messages = (*record.conversation.messages, *record.rejected)
    asked = {index for message in messages for index in marked(text_of(message))}
    media = []
    for index, part in enumerate(record.conversation.media()):
        resize = made.vision[index].record.resize
        image = _first_picture(part).resize((resize.resized.width, resize.resized.height))
        places = tuple(
            (number, _shape(place.resized(resize)))
            for number, place in enumerate(record.places)
            if place.media == index and number in asked
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


def as_json(report: CheckReport) -> dict[str, Any]:
    """The report without pictures, in plain types."""
    return {
        "path": str(report.path),
        "format": report.format,
        "num_records": report.num_records,
        "reasons": dict(report.reasons),
        "problems": [
            {"place": one.place, "reason": one.reason, "message": one.message, "hint": one.hint}
            for one in report.problems
        ],
        "notes": list(report.notes),
        "counts": dict(report.counts),
        "tokens": _lengths_json(report.tokens),
        "visual_tokens": _lengths_json(report.visual_tokens),
        "samples": [_sample_json(sample) for sample in report.samples],
    }


def _lengths_json(lengths: Lengths | None) -> dict[str, int] | None:
    if lengths is None:
        return None
    return {name: getattr(lengths, name) for name in ("least", "median", "p90", "largest", "total")}


def _sample_json(sample: Shown) -> dict[str, Any]:
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
