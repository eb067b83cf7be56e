# SPDX-License-Identifier: Apache-2.0
"""`finesight locate`: find the boxes or points of what a phrase describes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.pictures import is_many
from finesight.cli.session import ModelChoice, Outputs, run


class Shape(StrEnum):
    """Form of the results."""

    BOX = "box"
    POINT = "point"


def locate(
    context: typer.Context,
    phrase: Annotated[str, typer.Argument(help='What to find, such as "the red square".')],
    *,
    image: Annotated[list[str], options.IMAGE],
    pages: Annotated[
        list[str] | None,
        typer.Option(
            help="Pages of a picture file that holds several, from 1: 1-3,7 or 5-.", metavar="PAGES"
        ),
    ] = None,
    shape: Annotated[Shape, typer.Option("--as", help="Form of the results.")] = Shape.BOX,
    every: Annotated[
        bool, typer.Option("--all", help='Ask for every instance of the phrase: "red square".')
    ] = False,
    model: options.ModelName = options.DEFAULT_MODEL,
    mmproj: options.Mmproj = None,
    adapters: options.Adapters = None,
    as_json: options.AsJson = False,
    save_overlay: options.SaveOverlay = None,
    report: options.Report = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = None,
    seed: options.Seed = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    draft_tokens: options.DraftTokens = 0,
    vision_weights: options.VisionWeights = None,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Find what a phrase describes, in pixels of the original picture.

    Prints one line per result: x1 y1 x2 y2 and the label, or x y and the label. Several pictures
    or a folder are asked about one by one, and lines begin with the picture's name. If nothing is
    found, a message and the model's answer go to standard error; the exit code is 0.
    """
    with reported(debug=debug):
        asks_many = is_many(image) or bool(pages)
        outputs = Outputs(as_json, save_overlay, report, lists_places=True, is_many=asks_many)
        outputs.check()
        from finesight.api.options import conversation_from
        from finesight.apps.grounding.prompts import locate_question

        given = options.given(locals())
        question = locate_question(phrase, shape, all_=every)
        parts = options.media_of(context, image, pages=pages)
        conversations = [conversation_from(question, [part], given) for part in parts]
        choice = ModelChoice.of(locals())
        run(choice, conversations, given, outputs)
