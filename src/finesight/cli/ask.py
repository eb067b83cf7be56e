# SPDX-License-Identifier: Apache-2.0
"""`finesight ask`: ask about pictures, videos and PDF pages."""

from __future__ import annotations

from typing import Annotated

import typer

from finesight.cli import constraints, options
from finesight.cli.errors import reported
from finesight.cli.session import ModelChoice, Outputs, run


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="Question or instruction.")],
    *,
    model: options.ModelName = options.DEFAULT_MODEL,
    mmproj: options.Mmproj = None,
    adapters: options.Adapters = None,
    image: options.Images = None,
    video: options.Videos = None,
    pdf: options.Pdfs = None,
    pages: options.Pages = None,
    as_json: options.AsJson = False,
    save_overlay: options.SaveOverlay = None,
    report: options.Report = None,
    fps: options.Fps = None,
    nframes: options.NumFrames = None,
    start: options.Start = None,
    end: options.End = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    fit_tokens: options.Fit = None,
    add_vision_id: options.NumberMedia = False,
    system: options.System = None,
    max_new_tokens: options.MaxNewTokens = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    presence_penalty: options.PresencePenalty = None,
    frequency_penalty: options.FrequencyPenalty = None,
    stop: options.Stop = None,
    seed: options.Seed = None,
    loop_retries: constraints.LoopRetries = None,
    json_schema: constraints.JsonSchema = None,
    regex: constraints.Regex = None,
    choice: constraints.Choice = None,
    grammar: constraints.Grammar = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    vision_weights: options.VisionWeights = None,
    draft_tokens: options.DraftTokens = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Ask about pictures, videos and PDF pages, shown in the order given.

    The answer goes to standard output. Defaults come from the checkpoint's own files.
    """
    with reported(debug=debug):
        outputs = Outputs(as_json, save_overlay, report)
        outputs.check()
        from finesight.api.options import conversation_from

        given = options.given(locals())
        parts = options.media_of(context, image, video, pdf, pages)
        conversation = conversation_from(question, parts, given)
        run(ModelChoice.of(locals()), [conversation], given, outputs)
