# SPDX-License-Identifier: Apache-2.0
"""`finesight plan`: what a question will cost, before any weight is loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import CommandLine, reported
from finesight.cli.output import print_json
from finesight.cli.session import ModelChoice

if TYPE_CHECKING:
    from finesight.api.options import AskOptions
    from finesight.conversation import Conversation, MediaRecord
    from finesight.doctor.estimate import Estimate


def plan(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What will be asked.")] = "",
    *,
    model: options.ModelName = options.DEFAULT_MODEL,
    image: options.Images = None,
    video: options.Videos = None,
    pdf: options.Pdfs = None,
    pages: options.Pages = None,
    fit: options.Fit = None,
    fps: options.Fps = None,
    nframes: options.NumFrames = None,
    start: options.Start = None,
    end: options.End = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    system: options.System = None,
    max_new_tokens: options.MaxNewTokens = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Say what a question will take, before any weight is loaded.

    Prints visual tokens, effective frames per second, length, memory and time. Reads file headers
    and the checkpoint's small files only. With --fit, prints the pixel budget
    that makes the prompt fit.
    """
    with reported(debug=debug):
        from finesight.api.options import conversation_from

        given = options.given(
            {
                "fps": fps,
                "nframes": nframes,
                "start": start,
                "end": end,
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "system": system,
                "max_new_tokens": max_new_tokens,
            }
        )
        command_line = context.find_object(CommandLine)
        parts = options.media_in_order(
            command_line.words if command_line else (),
            images=image or [],
            videos=video or [],
            pdfs=pdf or [],
            pages=pages or [],
        )
        conversation = conversation_from(question, parts, given)
        outcome = _estimate(ModelChoice(model, device, dtype), conversation, given, fit)
        if as_json:
            print_json(outcome.to_dict())
        else:
            sys.stdout.write("".join(line + "\n" for line in plan_lines(outcome)))


def _estimate(
    choice: ModelChoice, conversation: Conversation, given: AskOptions, fit_tokens: int | None
) -> Estimate:
    from finesight.api.checkpoints import find_checkpoint, read_generation_defaults
    from finesight.api.model import DTYPES, checked_dtype, load_processor
    from finesight.api.options import sampling_from
    from finesight.doctor.estimate import Target, estimate
    from finesight.doctor.machine import measure_speed
    from finesight.model.device import checked_device

    folder = find_checkpoint(choice.name, needs_weights=False)
    processor = load_processor(folder)
    sampling = sampling_from(given, read_generation_defaults(folder).sampling)
    device = checked_device(choice.device)
    dtype = checked_dtype(choice.dtype) or DTYPES[processor.model_config.dtype]
    speed = measure_speed(device, dtype)
    return estimate(
        Target(choice.name, processor, device, dtype, speed),
        conversation,
        max_new_tokens=sampling.max_new_tokens,
        fit_tokens=fit_tokens,
        add_vision_id=given.get("add_vision_id", False),
    )


def plan_lines(outcome: Estimate) -> list[str]:
    """The plan as lines for people."""
    lines = [f"model    {outcome.model}: {outcome.parameters:,} parameters, {outcome.dtype}"]
    lines += [media_line(record) for record in outcome.media]
    if outcome.budgets:
        lines += [f"to fit   {budget}" for budget in outcome.budgets]
    room = outcome.context_tokens - outcome.prompt_tokens - outcome.max_new_tokens
    fits = f"{room:,} to spare" if room >= 0 else f"{-room:,} TOO MANY"
    lines += [
        f"prompt   {outcome.prompt_tokens:,} tokens, {outcome.visual_tokens:,} of them visual",
        f"context  {outcome.context_tokens:,} tokens: prompt and at most "
        f"{outcome.max_new_tokens:,} of answer leave {fits}",
        f"memory   {_size(outcome.memory_bytes)}: weights {_size(outcome.weight_bytes)}, "
        f"cache {_size(outcome.cache_bytes)}, computing {_size(outcome.working_bytes)}",
        f"time     about {_duration(outcome.seconds)} on {outcome.device}: "
        f"vision {_duration(outcome.vision_seconds)}, "
        f"prompt {_duration(outcome.prefill_seconds)}, "
        f"{outcome.max_new_tokens:,} tokens of answer {_duration(outcome.decode_seconds)}",
        f"         from {outcome.flops_per_second / 1e9:.0f} GFLOP/s and "
        f"{outcome.bytes_per_second / 1e9:.0f} GB/s measured just now",
    ]
    return lines


def media_line(record: MediaRecord) -> str:
    """One picture or video: its sizes, its frames, its tokens."""
    original, resized = record.resize.original, record.resize.resized
    page = "" if record.page is None else f" page {record.page + 1}"
    clip = ""
    if record.clock is not None and record.sample_fps is not None:
        times = record.clock.source_seconds
        clip = (
            f", {len(times)} frames from {times[0]:.2f} s to {times[-1]:.2f} s, "
            f"effective {record.sample_fps:.3g} fps"
        )
    notes = "".join(f"\n         note: {note}" for note in record.notes)
    return (
        f"{record.kind:<8} {record.source}{page}: {original.width} x {original.height} -> "
        f"{resized.width} x {resized.height}{clip}, {record.visual_tokens:,} tokens{notes}"
    )


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
