# SPDX-License-Identifier: Apache-2.0
"""`finesight export MODEL OUT --to FORMAT`: write a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.command import command

if TYPE_CHECKING:
    from finesight.api.export_formats import ExportOptions
    from finesight.checkpoints.export.formats import Target

_TARGETS = "hf, gguf, ollama, lora, awq or onnx"


_USED_BY: dict[str, tuple[str, ...]] = {
    "weights": ("gguf", "ollama"),
    "vision_weights": ("gguf", "ollama"),
    "dtype": ("hf",),
    "separate_adapter": ("hf",),
    "base": ("lora",),
    "calibrate": ("awq",),
    "group_size": ("awq",),
}
"""Formats that an option has an effect on."""


_ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Checkpoint folder, a name, as of ask --model, or the folder of a training run."
    ),
]
_OutArgument = Annotated[Path, typer.Argument(help="Folder to write.")]
_To = Annotated[str, typer.Option(help=f"Format: {_TARGETS}.")]
_Weights = Annotated[
    str | None,
    typer.Option(
        help="gguf, ollama: format of the language model: f16, bf16, q8_0 or q4_0. [default: f16]"
    ),
]
_VisionWeights = Annotated[
    str | None,
    typer.Option(
        help="gguf, ollama: format of the vision tower. [default: bf16 with --weights bf16, else f16]"
    ),
]
_Dtype = Annotated[
    str | None,
    typer.Option(
        help="hf: float32, bfloat16 or float16; by default the checkpoint's, or float32 for packed weights."
    ),
]
_Adapter = Annotated[
    Path | None,
    typer.Option(help="LoRA adapter in peft's format to add to the weights.", metavar="DIR"),
]
_SeparateAdapter = Annotated[
    bool,
    typer.Option(
        "--separate-adapter",
        help="hf: write the adapter to OUT/adapter in peft's format, instead of adding it.",
    ),
]
_Base = Annotated[
    str | None,
    typer.Option(
        help="lora: name or folder of the model that peft applies it to; by default MODEL."
    ),
]
_Calibrate = Annotated[
    Path | None,
    typer.Option(
        help="awq: conversations to calibrate with, one JSON object with messages in each line; by default"
        " text and drawings that come with finesight.",
        metavar="FILE",
    ),
]
_GroupSize = Annotated[
    int | None, typer.Option(min=8, help="awq: inputs that share a scale. [default: 128]")
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in OUT.")]


@command
def export(
    model: _ModelArgument,
    out: _OutArgument,
    *,
    to: _To,
    weights: _Weights = None,
    vision_weights: _VisionWeights = None,
    dtype: _Dtype = None,
    adapter: _Adapter = None,
    separate_adapter: _SeparateAdapter = False,
    base: _Base = None,
    calibrate: _Calibrate = None,
    group_size: _GroupSize = None,
    overwrite: _Overwrite = False,
) -> None:
    """Write a model for other programs: transformers, vLLM, llama.cpp, Ollama, peft, onnxruntime.

    OUT appears when it is complete. Each file is printed with its size.
    """
    from finesight.api.export_formats import ExportOptions

    _export(
        model,
        out,
        to,
        ExportOptions(
            weights=weights,
            vision_weights=vision_weights,
            dtype=dtype,
            adapter=adapter,
            separate_adapter=separate_adapter,
            base=base,
            calibrate=calibrate,
            group_size=group_size,
        ),
        overwrite=overwrite,
    )


def _export(model: str, out: Path, to: str, chosen: ExportOptions, *, overwrite: bool) -> None:
    from finesight import files
    from finesight.api.export_formats import WRITERS, Job
    from finesight.api.export_source import source_folder
    from finesight.checkpoints.export.folder import folder_sizes
    from finesight.checkpoints.export.formats import check_target, write_receipt
    from finesight.cli.output import check_writable
    from finesight.cli.progress import StageProgress
    from finesight.errors import WeightsError

    target = _checked(to, chosen)
    folder = source_folder(model)
    check_target(out, folder, overwrite=overwrite)
    check_target(out, Path(model), overwrite=overwrite)
    check_writable(out, is_folder=True)
    with StageProgress() as progress, files.whole_folder(out, error=WeightsError) as draft:
        job = Job(model=model, folder=folder, draft=draft, options=chosen, on_stage=progress)
        notes = WRITERS[target](job)
        write_receipt(draft, target, model, _given(chosen))
    total = 0
    for name, size in folder_sizes(out):
        typer.echo(f"{size:>15,d}  {out / name}")
        total += size
    typer.echo(f"{total:>15,d}  bytes in all")
    for note in notes:
        typer.echo(note, err=True)


def _checked(to: str, chosen: ExportOptions) -> Target:
    """The format; raises `ConfigError` for an unknown one, or an option without effect on it."""
    from finesight.checkpoints.export.formats import TARGETS
    from finesight.cli.names import did_you_mean
    from finesight.errors import ConfigError

    target = next((known for known in TARGETS if to == known), None)
    if target is None:
        raise ConfigError(f"--to {to!r} is no format", hint=did_you_mean(to, TARGETS))
    for name, formats in _USED_BY.items():
        if getattr(chosen, name) and target not in formats:
            raise ConfigError(
                f"--{name.replace('_', '-')} has no effect on --to {to}",
                hint=f"it is an option of --to {' and --to '.join(formats)}",
            )
    return target


def _given(chosen: ExportOptions) -> dict[str, Any]:
    """Options that were given, for the receipt."""
    names = [*_USED_BY, "adapter"]
    values = {name: getattr(chosen, name) for name in names}
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in values.items()
        if value
    }
