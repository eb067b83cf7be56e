# SPDX-License-Identifier: Apache-2.0
"""`finesight.locate` and `finesight.inspect`: pictures, pixel budgets and adapters for `finesight.apps.grounding`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

import numpy as np

from finesight.api.model import Model
from finesight.api.shared import responder_and_name, shared_model
from finesight.api.sources import media_parts
from finesight.apps.grounding.alerts import write_inspection_sarif
from finesight.apps.grounding.detect import Search, search_within
from finesight.apps.grounding.findings import Inspected
from finesight.apps.grounding.inspect import inspect as inspect_picture
from finesight.apps.grounding.locate import locate as locate_phrases
from finesight.apps.grounding.presets import Inspection, read_inspection
from finesight.apps.grounding.records import Located
from finesight.apps.grounding.tile import Tiling
from finesight.conversation import Conversation, ImagePart, Reply, Sampling
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.media.image import load_image
from finesight.media.source import source_name
from finesight.responder import Responder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finesight.api.options import AskOptions
    from finesight.api.sources import ImageSource
    from finesight.parse.answer import Answer

__all__ = ["inspect", "locate", "locate_in", "pixels_of", "responder_of", "search_for"]


@overload
def locate(  # type: ignore[overload-overlap]  # the second has an argument more
    phrase: str,
    image: ImageSource | None = None,
    *,
    model: str | Path = "tiny",
    as_: Literal["box", "point"] = "box",
    all_: bool = False,
    **options: Unpack[AskOptions],
) -> Answer: ...
@overload
def locate(
    phrase: str | Sequence[str],
    image: ImageSource,
    *,
    model: str | Path | Responder = "tiny",
    as_: Literal["box", "point"] = "box",
    all_: bool = False,
    count: bool = False,
    verify: bool = False,
    tile: Tiling | None = None,
    max_calls: int = 35,
    **options: Unpack[AskOptions],
) -> Located: ...
def locate(
    phrase: str | Sequence[str],
    image: ImageSource | None = None,
    *,
    model: str | Path | Responder = "tiny",
    as_: Literal["box", "point"] = "box",
    all_: bool = False,
    count: bool = False,
    verify: bool = False,
    tile: Tiling | None = None,
    max_calls: int = 35,
    **options: Unpack[AskOptions],
) -> Answer | Located:
    """Find what a phrase describes.

    With one phrase and none of `count`, `verify` and `tile`, one question is asked, and its answer is returned; see
    `Model.locate`. Otherwise the picture is searched with checks, and the result has a score for each thing, what was
    looked at, and says so if something is absent.

    Args:
        phrase: such as "the red square"; a list is a question for each.
        image: one picture, as `Model.ask` takes it.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        as_: boxes or points.
        all_: every instance of the phrase, not the one that it describes best.
        count: find every instance, ask about the crop of each, and compare with the answer to "How many?".
        verify: ask about each thing whether it is one.
        tile: how a huge picture is divided: "auto", "off", or the side of a tile in pixels.
        max_calls: most tiles of "auto".
        **options: see `AskOptions`; a search takes min_pixels, max_pixels and max_new_tokens.

    Raises:
        FinesightError: an option or the picture is wrong.
    """
    is_plain = isinstance(phrase, str) and isinstance(model, (str, Path))
    if is_plain and not (count or verify or tile is not None):
        plain = shared_model(str(model))
        return plain.locate(str(phrase), image, as_=as_, all_=all_, **options)
    if image is None:
        raise ConfigError("there is no picture to search", hint='locate("person", "crowd.jpg")')
    responder, _ = responder_and_name(model)
    tokens = options.pop("max_new_tokens", None)
    least, most = options.pop("min_pixels", None), options.pop("max_pixels", None)
    if options:
        raise ConfigError(
            f"a search does not take {', '.join(options)}",
            hint="it takes min_pixels, max_pixels and max_new_tokens",
        )
    search = replace(
        search_for(responder, min_pixels=least, max_pixels=most),
        shape=as_,
        every=all_ or count,
        count=count,
        verify=verify,
        tile="auto" if tile is None else tile,
        max_calls=max_calls,
    )
    if tokens is not None:
        search = replace(search, sampling=replace(search.sampling, max_new_tokens=tokens))
    return locate_in(responder, [phrase] if isinstance(phrase, str) else phrase, image, search)


def inspect(
    inspection: str | Path | Inspection,
    images: ImageSource | Sequence[ImageSource],
    *,
    model: str | Path | Responder = "tiny",
    reference: ImageSource | None = None,
    overrides: Sequence[str] = (),
    search: Search | None = None,
    sarif: str | Path | None = None,
) -> list[Inspected]:
    """Check pictures against an inspection.

    Args:
        inspection: name of a shipped one, such as "ppe", a TOML file, or the inspection itself.
        images: one or a list, as `Model.ask` takes them.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        reference: the picture that some inspections compare with.
        overrides: `dotted.key=value` items, such as `checks.people.most=2`.
        search: pixel budgets and tiles; None takes those of the model.
        sarif: SARIF 2.1.0 file to write with what does not pass.

    Returns:
        The findings and the verdict of each picture.

    Raises:
        AppError: the SARIF file cannot be written.
        ConfigError: there is no such inspection, a value is wrong, or a reference picture is missing or not needed.
        MediaError: a picture cannot be opened.
    """
    if not isinstance(inspection, Inspection):
        inspection = read_inspection(inspection, overrides=overrides)
    responder, _ = responder_and_name(model)
    if reference is not None and not inspection.needs_reference:
        raise ConfigError(
            f"reference has no effect: no check of {inspection.title!r} compares",
            hint="leave it out, or set reference = true in a check of kind count or question",
        )
    used = search or search_for(responder)
    beside = None if reference is None else pixels_of(_part(reference))
    inspected = [
        inspect_picture(
            responder,
            pixels_of(part),
            inspection,
            reference=beside,
            search=used,
            source=source_name(part.source),
            page=part.page,
        )
        for part in _parts(images)
    ]
    if sarif is not None:
        write_inspection_sarif(Path(sarif), inspection, inspected, failed=())
    return inspected


def locate_in(
    responder: Responder, phrases: Sequence[str], image: ImageSource, search: Search
) -> Located:
    """Find phrases in one picture, with checks; see `finesight.apps.grounding.locate`.

    Raises:
        ConfigError: an option is wrong, or a phrase is empty.
        MediaError: the picture cannot be opened.
    """
    part = _part(image)
    pixels = pixels_of(part)
    name = source_name(part.source)
    return locate_phrases(responder, pixels, phrases, search, source=name, page=part.page)


def search_for(
    responder: Responder, *, min_pixels: int | None = None, max_pixels: int | None = None
) -> Search:
    """The search with the pixel budgets of a model.

    A tile is shown at no more than the model's own limit. Small pictures are enlarged only for a model that takes
    pictures as large as the official ones do.

    Args:
        responder: a loaded model, or another responder, which has the budgets of the official models.
        min_pixels: least area; None takes the model's.
        max_pixels: largest area; None takes the model's.
    """
    largest = responder.processor.config.max_pixels if isinstance(responder, Model) else None
    return search_within(largest, min_pixels=min_pixels, max_pixels=max_pixels)


def pixels_of(part: ImagePart) -> NDArray[np.uint8]:
    """The picture of a part in its original size, upright.

    Returns:
        uint8[H, W, 3].

    Raises:
        MediaError: it cannot be opened.
    """
    return np.asarray(load_image(part.source, page=part.page))


@dataclass(frozen=True, slots=True)
class _Adapted:
    """A model that answers and scores with one of its adapters."""

    model: Model
    adapter: str

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        return self.model.respond(conversations, sampling, adapter=self.adapter)

    def score(self, conversations: Sequence[Conversation]) -> list[list[float]]:
        return self.model.score(conversations, adapter=self.adapter)


def responder_of(model: Model) -> Responder:
    """The model, or the model with its adapter if it was loaded with one.

    Raises:
        ConfigError: it has several.
    """
    if len(model.adapters) > 1:
        raise ConfigError(
            "several --adapter are given for one answer",
            hint="give one; chat, batch and serve take several",
        )
    return _Adapted(model, model.adapters[0]) if model.adapters else model


def _part(image: ImageSource) -> ImagePart:
    parts = _parts(image)
    if len(parts) != 1:
        raise ConfigError(
            f"{shown(image)} is {len(parts)} pictures, and one is needed",
            hint="give them one by one",
        )
    return parts[0]


def _parts(images: ImageSource | Sequence[ImageSource]) -> list[ImagePart]:
    return [part for part in media_parts(images, (), ()) if isinstance(part, ImagePart)]
