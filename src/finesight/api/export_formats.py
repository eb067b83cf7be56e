# SPDX-License-Identifier: Apache-2.0
"""The formats of `finesight export`: each function fills a draft folder and returns notes for the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from finesight.api.checkpoints import read_generation_defaults
from finesight.api.export_source import open_source
from finesight.api.network import checked_dtype
from finesight.checkpoints.export import formats
from finesight.checkpoints.export.formats import ExportSource, OnStage, Target
from finesight.checkpoints.export.gguf_file import GgufWeights, checked_gguf_weights
from finesight.checkpoints.export.gguf_model import token_limits
from finesight.checkpoints.export.plain import without_adapters
from finesight.errors import ConfigError
from finesight.model.lora import lora_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of one export, as typed; None where an option was not given."""

    weights: str | None
    vision_weights: str | None
    dtype: str | None
    adapter: Path | None
    separate_adapter: bool
    base: str | None
    calibrate: Path | None
    group_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One export.

    Attributes:
        model: as typed.
        folder: checkpoint folder with the small files.
        draft: empty folder to fill.
        options: of the format.
        on_stage: progress.
    """

    model: str
    folder: Path
    draft: Path
    options: ExportOptions
    on_stage: OnStage

    def source(self, *, is_separate: bool = False, dtype: str | None = None) -> ExportSource:
        """Load the network; see `open_source`."""
        self.on_stage("load", 0, 1)
        return open_source(
            self.model,
            self.folder,
            adapter=self.options.adapter,
            is_separate=is_separate,
            dtype=checked_dtype(dtype),
        )

    def formats(self) -> tuple[GgufWeights, GgufWeights]:
        """Formats of a GGUF language model and vision tower."""
        weights = checked_gguf_weights(self.options.weights or "f16")
        usual = "bf16" if weights == "bf16" else "f16"
        return weights, checked_gguf_weights(self.options.vision_weights or usual)


def _hf(job: Job) -> list[str]:
    is_separate = job.options.separate_adapter
    source = job.source(is_separate=is_separate, dtype=job.options.dtype)
    is_trained = bool(lora_layers(source.model))
    if is_separate and source.adapter is None and not is_trained:
        raise ConfigError(
            f"--separate-adapter: {job.model} has no adapter",
            hint="give --adapter DIR, or leave the option out",
        )
    if is_trained:
        (job.draft / formats.ADAPTER).mkdir()
        formats.write_lora(source, job.draft / formats.ADAPTER)
        plain = without_adapters(source.model)
        source = ExportSource(source.name, source.folder, plain, is_run=source.is_run)
    formats.write_hf(source, job.draft)
    return []


def _lora(job: Job) -> list[str]:
    source, base = job.source(is_separate=True), job.options.base or job.model
    formats.write_lora(source, job.draft, base=base, is_whole=True)
    return []


def _gguf(job: Job) -> list[str]:
    weights, vision_weights = job.formats()
    source = job.source()
    formats.write_gguf(
        source, job.draft, weights, vision_weights=vision_weights, on_stage=job.on_stage
    )
    least, most = token_limits(job.folder, source.model.config)
    language, vision = formats.gguf_names(weights, vision_weights)
    return [
        f"llama-server -m {language} --mmproj {vision} --image-min-tokens {least} --image-max-tokens {most}"
    ]


def _ollama(job: Job) -> list[str]:
    weights, vision_weights = job.formats()
    sampling = read_generation_defaults(job.folder).sampling
    parameters: dict[str, float | int] = {"temperature": sampling.temperature}
    if sampling.temperature > 0:
        parameters |= {"top_p": sampling.top_p}
        parameters |= {"top_k": sampling.top_k} if sampling.top_k else {}
    parameters |= {"repeat_penalty": sampling.repetition_penalty}
    formats.write_ollama(
        job.source(),
        job.draft,
        weights,
        vision_weights=vision_weights,
        parameters=parameters,
        on_stage=job.on_stage,
    )
    return [f"ollama create {Path(job.model).name} -f Modelfile"]


def _awq(job: Job) -> list[str]:
    from finesight.api.export_calibration import calibration_batches
    from finesight.checkpoints.export.awq import GROUP_SIZE, write_awq

    source = job.source()
    size = job.options.group_size or GROUP_SIZE
    calibration, heldout = calibration_batches(job.folder, job.options.calibrate)
    report = write_awq(
        source, job.draft, calibration, heldout, group_size=size, on_stage=job.on_stage
    )
    return [
        f"divergence from the model on {report.tokens:,d} other tokens: {report.kl:.4g} nats per token;"
        f" rounded to nearest without calibration: {report.kl_rounded:.4g}"
    ]


def _onnx(job: Job) -> list[str]:
    from finesight.checkpoints.export.onnx_tower import (
        HELPER,
        ONNX_FILE,
        check_packages,
        write_onnx,
    )

    check_packages()
    source = job.source(dtype="float32")
    job.on_stage("tracing the vision tower", 0, 1)
    write_onnx(source, job.draft)
    return [f"{HELPER.name} makes the inputs of {ONNX_FILE}, with numpy and pillow alone"]


Writer: TypeAlias = Callable[[Job], list[str]]

WRITERS: dict[Target, Writer] = {
    "hf": _hf,
    "lora": _lora,
    "gguf": _gguf,
    "ollama": _ollama,
    "awq": _awq,
    "onnx": _onnx,
}
