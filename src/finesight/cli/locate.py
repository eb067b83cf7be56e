# SPDX-License-Identifier: Apache-2.0
"""`finesight locate`: boxes or points for a phrase."""

from __future__ import annotations

from enum import StrEnum
from itertools import zip_longest
from typing import Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.pictures import expand, is_many
from finesight.cli.session import ModelChoice, Outputs, run


class Shape(StrEnum):
    """What is asked for."""

    BOX = "box"
    POINT = "point"


def locate(
    phrase: Annotated[str, typer.Argument(help='What to find, such as "the red square".')],
    *,
    image: Annotated[
        list[str],
        typer.Option(
            "--image",
            help="Picture: path, address, folder of pictures, or - for standard input. Repeatable.",
            metavar="FILE",
        ),
    ],
    pages: Annotated[
        list[str] | None,
        typer.Option(
            help="Pages of a picture file that holds several, from 1: 1-3,7 or 5-.", metavar="PAGES"
        ),
    ] = None,
    shape: Annotated[Shape, typer.Option("--as", help="Boxes or points.")] = Shape.BOX,
    every: Annotated[
        bool, typer.Option("--all", help='Ask for every instance of the phrase: "red square".')
    ] = False,
    model: options.ModelName = options.DEFAULT_MODEL,
    as_json: options.AsJson = False,
    save_overlay: options.SaveOverlay = None,
    report: options.Report = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = None,
    seed: options.Seed = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Find what a phrase describes, in pixels of the picture as it is.

    Prints one line per result: x1 y1 x2 y2 and the label, or x y and the label. Of several pictures
    or a folder, each is asked about on its own, and lines begin with the picture's name. Where
    nothing is found, standard error says so and shows the model's answer; the exit code is 0.
    """
    with reported(debug=debug):
        asks_many = is_many(image) or bool(pages)
        outputs = Outputs(as_json, save_overlay, report, lists_places=True, is_many=asks_many)
        outputs.check()
        from finesight.api.locate import locate_question
        from finesight.api.options import conversation_from
        from finesight.api.sources import image_parts

        given = options.given(
            {
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "max_new_tokens": max_new_tokens,
                "seed": seed,
            }
        )
        question = locate_question(phrase, shape, all_=every)
        page_texts = options.pages_of("--image", image, pages or [])
        conversations = []
        for sources, wanted in zip_longest(expand(image), page_texts):
            for source in sources:
                paged = source if wanted is None else (source, wanted)
                parts = image_parts(paged)
                conversations += [conversation_from(question, [part], given) for part in parts]
        run(ModelChoice(model, device, dtype), conversations, given, outputs)
