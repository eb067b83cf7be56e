# SPDX-License-Identifier: Apache-2.0
"""Report sections of wrong answers: pictures with gold and predicted boxes and points, answer, truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.errors import FinesightError, MediaError
from finesight.evals.core.episode import in_words
from finesight.evals.core.journal import Sample
from finesight.evals.core.scoring import NO_QUESTION, REASONS
from finesight.evals.core.task import Item
from finesight.geometry import Box, Point
from finesight.media.image import load_image
from finesight.media.pdf import load_page
from finesight.media.video import open_video
from finesight.present.marks import marks_from, shortened
from finesight.present.overlay import draw_marks
from finesight.present.page import Facts, Figure, Section, Text, data_address
from finesight.present.sheet import chosen_frames, contact_sheet

LONGEST_SIDE = 640
"""Of an embedded picture, in pixels."""

PLACE_KEYS = ("boxes", "box", "bbox", "points", "point")
"""Keys of boxes and points in truths and answers, in pixels of the original."""

SEEN_KEY = "targets"
"""Key of a parsed answer with the true boxes; those of episodes come from the environment."""

ERROR_PARTS = frozenset({"error", "wrong_format"})
"""Parts of a score that count errors although the main metric is higher for better answers."""

_MOST_PICTURES = 4
_MOST_FRAMES = 9
_STRIP_WIDTH = 960
_LONGEST_TEXT = 2000


def wrong(samples: Sequence[Sample], *, most: int, higher_is_better: bool = True) -> list[Sample]:
    """Samples that failed or did not score full marks, evenly spaced over the run if there are too many.

    Args:
        samples: of a run.
        most: number of samples at most.
        higher_is_better: whether larger parts of a score are better.
    """
    found = [sample for sample in samples if is_wrong(sample, higher_is_better=higher_is_better)]
    if len(found) <= most:
        return found
    return [found[place * len(found) // most] for place in range(most)]


def failure_section(sample: Sample, item: Item | None) -> Section:
    """The section of a wrong answer.

    Args:
        sample: the answer.
        item: from the copy, for pictures that are not separate files; None if there is no copy.
    """
    parts = [f"{name}: {value:.3g}" for name, value in sample.parts.items()]
    facts = (*parts, f"finish: {sample.finish_reason}", f"{sample.num_tokens} tokens")
    error = f"{REASONS.get(sample.error, sample.error)}: {sample.message}" if sample.error else ""
    answer = "(no answer)"
    if sample.text is not None:
        answer = _short(in_words(sample.text)) or "(the answer is empty)"
    truth = {key: value for key, value in sample.truth.items() if key != "oracle"}
    return Section(
        _short(sample.question) or "(no words)",
        (
            *_figures(sample, item),
            Text("Answer", answer),
            Text("Read as", "nothing" if sample.parsed is None else _as_text(sample.parsed)),
            Text("Truth", _as_text(truth)),
            Facts(facts if sample.text is not None else (), (error,) if error else ()),
        ),
        source=sample.id,
    )


def shapes_in(value: Any) -> Iterator[Box | Point]:
    """Boxes (four numbers) and points (two numbers) in a nested JSON value."""
    if isinstance(value, Mapping):
        keyed = [value[key] for key in PLACE_KEYS if key in value]
        for each in keyed or value.values():
            yield from shapes_in(each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        numbers = [float(each) for each in value if isinstance(each, int | float)]
        if len(numbers) == len(value) == 4:
            yield Box(*numbers)
        elif len(numbers) == len(value) == 2:
            yield Point(*numbers)
        elif not numbers:
            for each in value:
                yield from shapes_in(each)


def is_wrong(sample: Sample, *, higher_is_better: bool) -> bool:
    """Whether an answer failed or did not score full marks."""
    if sample.error is not None:
        return sample.error not in NO_QUESTION
    if not higher_is_better:
        return any(sample.parts.values())
    return any(value < 1 for name, value in sample.parts.items() if name not in ERROR_PARTS)


def _figures(sample: Sample, item: Item | None) -> Iterator[Figure]:
    parts = [] if item is None else list(item.conversation.media())
    for index, media in enumerate(sample.media[:_MOST_PICTURES]):
        name = str(media["source"])
        part = parts[index] if index < len(parts) else None
        if part is None and not Path(name).exists():
            yield Figure(caption=f"{name} (not shown: no such file; give the copies with --data)")
            continue
        if media["kind"] != "image":
            yield _strip(part if isinstance(part, VideoPart) else None, name)
            continue
        try:
            image = open_image(
                part if isinstance(part, ImagePart) else ImagePart(source=Path(name))
            )
        except MediaError as error:
            yield Figure(caption=f"{name} (not shown: {error.message})")
            continue
        if index == 0:
            image = with_places(image, sample)
        address = data_address(image, longest_side=LONGEST_SIDE)
        yield Figure(picture=address, alt=name, caption=name)


def _strip(part: VideoPart | None, name: str) -> Figure:
    """Frames of a video with their times: those shown to the model, or frames of the file without the copy."""
    asked = part or VideoPart(source=Path(name), max_frames=_MOST_FRAMES)
    try:
        clip = open_video(asked, ProcessorConfig())
        shown = clip.only(chosen_frames(clip.num_frames, _MOST_FRAMES))
        frames = [Image.fromarray(frame) for frame in shown.frames()]
    except FinesightError as error:
        return Figure(caption=f"{name} (not shown: {error.message})")
    sheet = contact_sheet(frames, shown.clock.source_seconds, width=_STRIP_WIDTH)
    counts = f"{shown.num_frames} of the {clip.num_frames} frames that were asked about"
    if part is None:
        counts = f"{shown.num_frames} frames of the file; those that were asked about need the copy"
    address = data_address(sheet, longest_side=max(sheet.size))
    return Figure(picture=address, alt=name, caption=f"{name} ({counts})")


def open_image(part: ImagePart) -> Image.Image:
    """The picture or the PDF page of a part.

    Raises:
        MediaError: the file does not exist or cannot be read.
    """
    return load_image(part.source) if part.page is None else load_page(part.source, part.page)


def with_places(image: Image.Image, sample: Sample) -> Image.Image:
    """A picture with gold and predicted boxes and points; unchanged if there is no gold one."""
    truth = {key: sample.truth[key] for key in PLACE_KEYS if key in sample.truth}
    seen = _seen(sample)
    if not truth and not seen:
        return image
    gold = [*shapes_in(truth), *shapes_in(seen)]
    shapes: list[tuple[Box | Point, str]] = [(shape, "gold") for shape in gold]
    shapes += [(shape, "predicted") for shape in shapes_in(sample.parsed)]
    return draw_marks(image, marks_from(shapes))


def _seen(sample: Sample) -> Any:
    """True boxes inside a parsed answer."""
    return sample.parsed.get(SEEN_KEY, ()) if isinstance(sample.parsed, Mapping) else ()


def _as_text(value: Any) -> str:
    is_text = isinstance(value, str)
    return _short(value if is_text else json.dumps(value, ensure_ascii=False, default=str))


def _short(text: str) -> str:
    return shortened(text, _LONGEST_TEXT)
