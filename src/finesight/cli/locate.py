# SPDX-License-Identifier: Apache-2.0
"""`finesight locate`: find the boxes or points of what a phrase describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.located import Done, PicturePages, Written, each_picture, show_located
from finesight.cli.model_choice import DraftingModel
from finesight.cli.pictures import is_many
from finesight.cli.session import Outputs, run
from finesight.conversation import ImagePart
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.api.model import Model
    from finesight.api.options import AskOptions
    from finesight.apps.grounding.detect import Search
    from finesight.apps.grounding.export import Format
    from finesight.apps.grounding.records import Located
    from finesight.apps.grounding.tile import Tiling
    from finesight.conversation import Part


class Shape(StrEnum):
    """Form of the results."""

    BOX = "box"
    POINT = "point"


class ExportFormat(StrEnum):
    """Format of other programs."""

    COCO = "coco"
    COCO_RESULTS = "coco-results"
    YOLO = "yolo"
    LABEL_STUDIO = "label-studio"
    FIFTYONE = "fiftyone"
    VOC = "voc"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Options of a search with checks."""

    count: Annotated[
        bool,
        typer.Option(
            "--count",
            help="Count every instance: each is verified, and the number is compared with the answer to a question. "
            "Prints number, status and phrase.",
        ),
    ] = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Ask about the crop of each thing whether it is one.")
    ] = False
    tile: Annotated[
        str | None,
        typer.Option(
            help="Divide a huge picture into overlapping tiles: auto, off, or the side of a tile in pixels.",
            metavar="auto|off|N",
        ),
    ] = None
    also: Annotated[
        list[str] | None, typer.Option(help="Another phrase. Repeatable.", metavar="PHRASE")
    ] = None
    export: Annotated[
        list[ExportFormat] | None,
        typer.Option(
            "--export",
            help="Write the boxes into --out as coco, coco-results, yolo, label-studio, fiftyone or voc. Repeatable.",
            metavar="FORMAT",
        ),
    ] = None
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files of --export.", metavar="DIR")
    ] = None
    max_calls: Annotated[
        int,
        typer.Option(min=1, help="Most tiles of a picture, the whole one included.", metavar="N"),
    ] = 35


@command
def locate(
    context: typer.Context,
    phrase: Annotated[str, typer.Argument(help='What to find, such as "the red square".')],
    *,
    image: Annotated[list[str], options.IMAGE],
    pages: PicturePages = None,
    shape: Annotated[Shape, typer.Option("--as", help="Form of the results.")] = Shape.BOX,
    every: Annotated[
        bool, typer.Option("--all", help='Ask for every instance of the phrase: "red square".')
    ] = False,
    search: SearchOptions,
    model: DraftingModel,
    as_json: options.AsJson = False,
    save_overlay: options.SaveOverlay = None,
    report: options.Report = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = None,
    seed: options.Seed = None,
) -> None:
    """Find what a phrase describes, in pixels of the original picture.

    Prints one line per result: x1 y1 x2 y2 and the label, or x y and the label. Several pictures
    or a folder are asked about one by one, and lines begin with the picture's name. If nothing is
    found, a message and the model's answer go to standard error; the exit code is 0.

    With --count, --verify, --tile, --also or --export, the picture is searched with checks: lines end with a score,
    absence is confirmed by a second question, and the exit code is 1 if a picture or a tile was not read.
    """
    asks_many = is_many(image) or bool(pages)
    limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    given = options.given({**limits, "max_new_tokens": max_new_tokens, "seed": seed})
    if _searches(context, search):
        parts = options.media_of(context, image, pages=pages)
        written = Written(save_overlay, report, search.out, _formats(search.export, shape))
        written.check()
        loaded = model.opened(8)
        how = _search_of(loaded, search, shape, given, every=every)
        done = _searched(parts, [phrase, *(search.also or [])], loaded, how)
        named = model.name if as_json else None
        show_located(done, written, counts=search.count, is_many=asks_many, model=named)
        return
    outputs = Outputs(as_json, save_overlay, report, lists_places=True, is_many=asks_many)
    outputs.check()
    from finesight.api.options import conversation_from
    from finesight.apps.grounding.prompts import locate_question

    question = locate_question(phrase, shape, all_=every)
    parts = options.media_of(context, image, pages=pages)
    run(model, [conversation_from(question, [part], given) for part in parts], given, outputs)


def _searches(context: typer.Context, search: SearchOptions) -> bool:
    """Whether pictures are searched with checks; raises `ConfigError` for an option without effect."""
    flags = (search.count, search.verify, search.also, search.export)
    searches = any(flags) or search.tile is not None
    found = context.get_parameter_source("max_calls")
    is_given = found is not None and found.name in ("COMMANDLINE", "ENVIRONMENT")
    if is_given and (not searches or search.tile == "off"):
        raise ConfigError(
            f"--max-calls has no effect {'with --tile off' if searches else 'on a single question'}",
            hint="give --tile auto to divide the picture, or leave it out",
        )
    if not searches:
        Written(folder=search.out).check()
    return searches


def _formats(export: Sequence[ExportFormat] | None, shape: Shape) -> list[Format]:
    """The names of `--export`; raises `ConfigError` for points in a format that has only boxes."""
    formats: list[Format] = [each.value for each in export or []]
    boxes_only = [name for name in formats if name != "label-studio"]
    if shape is Shape.POINT and boxes_only:
        raise ConfigError(
            f"--as point finds points, and --export {boxes_only[0]} has only boxes",
            hint="leave out --as point, or give --export label-studio",
        )
    return formats


def _search_of(
    model: Model, asked: SearchOptions, shape: Shape, given: AskOptions, *, every: bool
) -> Search:
    """The search that the options describe, with the pixel budgets of the model."""
    from finesight.api.grounding import search_for

    search = search_for(
        model, min_pixels=given.get("min_pixels"), max_pixels=given.get("max_pixels")
    )
    tokens = given.get("max_new_tokens") or search.sampling.max_new_tokens
    return replace(
        search,
        shape=shape.value,
        every=every or asked.count,
        count=asked.count,
        verify=asked.verify,
        tile=_tiling(asked.tile),
        max_calls=asked.max_calls,
        sampling=replace(search.sampling, max_new_tokens=tokens, seed=given.get("seed")),
    )


def _tiling(text: str | None) -> Tiling:
    """The value of `--tile`; what is neither a word nor a number is refused by the search."""
    if text is None or text == "auto":
        return "auto"
    return int(text) if text.isdecimal() else cast("Tiling", text)


def _searched(parts: Sequence[Part], phrases: Sequence[str], model: Model, search: Search) -> Done:
    """Search each picture, with progress."""
    from finesight.api.grounding import locate_in, responder_of

    responder = responder_of(model)

    def work(part: ImagePart) -> Located:
        return locate_in(responder, phrases, part, search)

    def words(located: Located) -> str:
        return ", ".join(f"{one.count} {one.phrase}" for one in located.sought)

    return each_picture([one for one in parts if isinstance(one, ImagePart)], work, words)
