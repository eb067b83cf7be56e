# SPDX-License-Identifier: Apache-2.0
"""`finesight ask`: ask about pictures, videos and PDF pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.constraints import Constraints
from finesight.cli.model_choice import DraftingModel
from finesight.cli.session import Outputs, run


@command
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="Question or instruction.")],
    *,
    image: options.Images = None,
    video: options.Videos = None,
    pdf: options.Pdfs = None,
    pages: options.Pages = None,
    start: options.Start = None,
    end: options.End = None,
    as_json: options.AsJson = False,
    save_overlay: options.SaveOverlay = None,
    report: options.Report = None,
    model: DraftingModel,
    asked: options.QuestionOptions,
    constraints: Constraints,
) -> None:
    """Ask about pictures, videos and PDF pages, shown in the order given.

    The answer goes to standard output. Defaults come from the checkpoint's own files.
    """
    outputs = Outputs(as_json, save_overlay, report)
    outputs.check()
    from finesight.api.options import conversation_from

    given = options.given({**asdict(asked), **asdict(constraints), "start": start, "end": end})
    parts = options.media_of(context, image, video, pdf, pages)
    conversation = conversation_from(question, parts, given)
    run(model, [conversation], given, outputs)
