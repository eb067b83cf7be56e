# SPDX-License-Identifier: Apache-2.0
"""`finesight plan`: estimate tokens, memory and time of a question without loading weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.model_choice import ModelChoice
from finesight.cli.output import print_json, readable_duration, readable_size
from finesight.cli.plan_train import check_options, plan_train

if TYPE_CHECKING:
    from finesight.api.options import AskOptions
    from finesight.conversation import Conversation, MediaRecord, Sampling
    from finesight.doctor.estimate import Estimate
    from finesight.processor.processor import Processor


Train = Annotated[
    Path | None, typer.Option(help="Estimate the training of a recipe.", metavar="RECIPE.toml")
]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", help="With --train: override a value of the recipe. Repeatable."),
]
Ranks = Annotated[
    int,
    typer.Option(min=1, help="With --train: plan for 1, 2, 4 ... up to this number of ranks."),
]
PictureTokens = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="With --train: visual tokens of a picture; 0 for text alone. By default 1024, or three"
        " quarters of a pack.",
        metavar="N",
    ),
]


@command
def plan(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="Question or instruction.")] = "",
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
    weights: options.Weights = None,
    train: Train = None,
    override: Override = None,
    ranks: Ranks = 1,
    picture_tokens: PictureTokens = None,
    as_json: options.AsJson = False,
) -> None:
    """Estimate tokens, memory and time of a question without loading weights.

    Prints visual tokens, effective frames per second, prompt length, memory and time. Reads only
    the headers of media and the checkpoint's configuration and tokenizer. A release
    (Qwen/Qwen2.5-VL-7B-Instruct, qwen2.5vl:3b) needs no files and no network; its number of text
    tokens is then an estimate. With --fit, prints the pixel budget that makes the prompt fit.

    With --train, estimates a training instead: parameters by part, memory by kind, operations and
    time of a step. It reads the recipe and the shape of its model only, and model.folder may be the
    name of a release.
    """
    check_options(context, is_training=train is not None)
    if train is not None:
        plan_train(train, override, ranks=ranks, picture_tokens=picture_tokens, as_json=as_json)
        return
    from finesight.api.options import conversation_from

    media = {"fps": fps, "nframes": nframes, "start": start, "end": end}
    limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    asked = {"system": system, "max_new_tokens": max_new_tokens}
    given = options.given({**media, **limits, **asked})
    choice = ModelChoice(name=model, device=device, dtype=dtype, weights=weights)
    parts = options.media_of(context, image, video, pdf, pages)
    conversation = conversation_from(question, parts, given)
    outcome = _estimate(choice, conversation, given, fit)
    if as_json:
        print_json(outcome.to_dict())
    else:
        sys.stdout.write("".join(line + "\n" for line in plan_lines(outcome)))


def _estimate(
    choice: ModelChoice, conversation: Conversation, given: AskOptions, fit_tokens: int | None
) -> Estimate:
    from finesight.api.network import DTYPES, checked_dtype, checked_weights, packed_format
    from finesight.api.options import sampling_from
    from finesight.checkpoints.packed import is_packed_folder, read_receipt
    from finesight.doctor.estimate import Target, estimate
    from finesight.doctor.machine import measure_speed
    from finesight.model.device import checked_device

    weights = checked_weights(choice.weights)
    files = _read_model_files(choice.name, "packed" if weights else "dequantised when loaded")
    sampling = sampling_from(given, files.sampling)
    device = checked_device(choice.device)
    asked = checked_dtype(choice.dtype)
    weights = packed_format(files.folder, device, asked, weights)
    dtype = asked or DTYPES[files.processor.model_config.dtype]
    speed = measure_speed(device, dtype)
    return estimate(
        Target(
            name=choice.name,
            source=files.source,
            text_is_exact=files.text_is_exact,
            processor=files.processor,
            device=device,
            dtype=dtype,
            speed=speed,
            weights=weights,
            file_bytes=read_receipt(files.folder).size_bytes
            if is_packed_folder(files.folder)
            else None,
        ),
        conversation,
        max_new_tokens=sampling.max_new_tokens,
        fit_tokens=fit_tokens,
        add_vision_id=given.get("add_vision_id", False),
    )


@dataclass(frozen=True, slots=True)
class _ModelFiles:
    """What a model's small files contain: processor and sampling defaults."""

    folder: Path
    processor: Processor
    sampling: Sampling
    source: str
    text_is_exact: bool


def _read_model_files(name: str, quantised_is: str) -> _ModelFiles:
    """Read the small files of a model; a release without local files gets its known shape.

    `quantised_is` says what becomes of quantised weights.
    """
    from finesight.api.checkpoints import (
        EMBEDDED,
        cached_checkpoint,
        find_checkpoint,
        read_generation_defaults,
    )
    from finesight.api.network import load_processor
    from finesight.config.sizes import RELEASE_NAMES, released_size
    from finesight.conversation import Sampling
    from finesight.doctor.estimate import release_processor

    size = released_size(name.removesuffix("-AWQ"))  # it has the same shape and vocabulary
    if size is None or Path(name).is_dir():
        folder = find_checkpoint(name, needs_weights=False)
    else:
        cached = cached_checkpoint(RELEASE_NAMES[size])
        if cached is None:
            embedded = find_checkpoint(EMBEDDED, needs_weights=False)
            processor = release_processor(size, embedded)
            source = f"the released shape of {RELEASE_NAMES[size]}, no file of it was read"
            return _ModelFiles(embedded, processor, Sampling(), source, text_is_exact=False)
        folder = cached
    sampling = read_generation_defaults(folder).sampling
    processor, source = load_processor(folder), str(folder)
    quantisation = processor.model_config.quantisation
    if quantisation is not None:
        source += f" ({quantisation.label}, {quantised_is})"
    return _ModelFiles(folder, processor, sampling, source, text_is_exact=True)


def plan_lines(outcome: Estimate) -> list[str]:
    """The plan as lines of text."""
    packed = "" if outcome.weights is None else f", language model in {outcome.weights}"
    lines = [
        f"model    {outcome.model}: {outcome.parameters:,} parameters, {outcome.dtype}{packed}",
        f"source   {outcome.source}",
    ]
    lines += [media_line(record) for record in outcome.media]
    if outcome.budgets:
        lines += [f"to fit   {budget}" for budget in outcome.budgets]
    room = outcome.context_tokens - outcome.prompt_tokens - outcome.max_new_tokens
    approximately = "" if outcome.text_is_exact else "about "
    fits = approximately + (f"{room:,} to spare" if room >= 0 else f"{-room:,} TOO MANY")
    lines += [
        _prompt_line(outcome),
        f"context  {outcome.context_tokens:,} tokens: prompt and at most "
        f"{outcome.max_new_tokens:,} of answer leave {fits}",
        f"memory   {readable_size(outcome.memory_bytes)}: weights {readable_size(outcome.weight_bytes)}, "
        f"cache {readable_size(outcome.cache_bytes)}, computing {readable_size(outcome.working_bytes)}",
        *(() if outcome.fits_memory else (_too_large(outcome),)),
        f"time     about {readable_duration(outcome.seconds)} on {outcome.device}: "
        f"vision {readable_duration(outcome.vision_seconds)}, "
        f"prompt {readable_duration(outcome.prefill_seconds)}, "
        f"{outcome.max_new_tokens:,} tokens of answer {readable_duration(outcome.decode_seconds)}",
        f"         from {outcome.flops_per_second / 1e9:.0f} GFLOP/s and "
        f"{outcome.bytes_per_second / 1e9:.0f} GB/s measured just now",
    ]
    return lines


def _too_large(outcome: Estimate) -> str:
    return (
        f"         DOES NOT FIT: {outcome.device} has {readable_size(outcome.available_bytes)} free"
    )


def _prompt_line(outcome: Estimate) -> str:
    if outcome.text_is_exact:
        return (
            f"prompt   {outcome.prompt_tokens:,} tokens, {outcome.visual_tokens:,} of them visual"
        )
    text = outcome.prompt_tokens - outcome.visual_tokens
    return (
        f"prompt   {outcome.visual_tokens:,} visual tokens (exact) and about {text:,} of text,\n"
        "         counted with the embedded model's vocabulary: from right to twice too many"
    )


def media_line(record: MediaRecord) -> str:
    """Sizes, frames and tokens of one picture or video."""
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
