# SPDX-License-Identifier: Apache-2.0
"""`finesight locate`: boxes or points for a phrase."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.session import ModelChoice, Outputs, run


class Shape(StrEnum):
    """What is asked for."""

    BOX = "box"
    POINT = "point"


def locate(
    phrase: Annotated[str, typer.Argument(help='What to find, such as "the red square".')],
    *,
    image: Annotated[
        str, typer.Option("--image", help="Picture: path or address.", metavar="FILE")
    ],
    shape: Annotated[Shape, typer.Option("--as", help="Boxes or points.")] = Shape.BOX,
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
    debug: options.Debug = False,
) -> None:
    """Find what a phrase describes, in pixels of the picture as it is.

    Prints one line per result: x1 y1 x2 y2 and the label, or x y and the label.
    """
    with reported(debug=debug):
        outputs = Outputs(as_json, save_overlay, report, lists_places=True)
        outputs.check()
        from finesight.api.model import locate_question
        from finesight.api.options import conversation_from
        from finesight.api.sources import image_part

        given = options.given(
            {
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "max_new_tokens": max_new_tokens,
                "seed": seed,
            }
        )
        question = locate_question(phrase, shape)
        conversation = conversation_from(question, [image_part(image)], given)
        run(ModelChoice(model, device, dtype), conversation, given, outputs)
