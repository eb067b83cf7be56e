# SPDX-License-Identifier: Apache-2.0
"""One function for each format, each of which fills a draft folder.

::

    hf       config.json, safetensors, tokenizer and processor files; perhaps adapter/ in peft's format
    gguf     model-F16.gguf, mmproj-F16.gguf
    ollama   the same, and a Modelfile
    lora     adapter_config.json, adapter_model.safetensors

`finesight.checkpoints.export.awq` and `.onnx_tower` write the other two. Every export has an `export.json` that says
what it is, so that it can be replaced without the danger of deleting something else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from finesight import files
from finesight.checkpoints.adapters import CONFIG, WEIGHTS, merge_adapter, save_adapter
from finesight.checkpoints.export.folder import check_source, read_license, write_folder
from finesight.checkpoints.export.gguf_file import GgufWeights
from finesight.checkpoints.export.gguf_model import (
    LANGUAGE_FILE,
    VISION_FILE,
    write_language_model,
    write_vision_tower,
)
from finesight.checkpoints.export.ollama import modelfile
from finesight.checkpoints.export.plain import adaptable
from finesight.checkpoints.pixels import copy_budget, mark_budget
from finesight.errors import ConfigError
from finesight.model.lora import lora_layers
from finesight.model.vl import VisionLanguageModel
from finesight.processor.from_hf import RECORD, read_json

Target = Literal["hf", "gguf", "lora", "onnx", "ollama", "awq"]

TARGETS: tuple[Target, ...] = get_args(Target)

RECEIPT = "export.json"
"""File of every export with its format and the name of the model."""

ADAPTER = "adapter"
"""Folder of an adapter that is exported beside its model."""

OnStage: TypeAlias = Callable[[str, int, int], None]
"""Progress: stage, number of parts done, number of all."""

_NUM_CTX = 8192
"""Largest context that a Modelfile sets: Ollama reserves its memory at the start."""


@dataclass(frozen=True, slots=True)
class ExportSource:
    """What is exported.

    Attributes:
        name: of the model, for display.
        folder: checkpoint folder with the small files.
        model: the network with plain weights; it has LoRA layers only if adapters of a run stay separate.
        adapter: folder of an adapter that stays separate; None if there is none.
        is_run: whether a run has trained it.
        trained: names of parameters that a run has trained besides its adapters.
    """

    name: str
    folder: Path
    model: VisionLanguageModel
    adapter: Path | None = None
    is_run: bool = False
    trained: tuple[str, ...] = ()


def write_hf(source: ExportSource, draft: Path) -> None:
    """Write a Hugging Face folder, with a separate adapter in a folder inside it.

    Raises:
        FinesightError: a small file is missing or broken, or an adapter does not fit.
        OSError: a file cannot be written.
    """
    check_source(source.folder)
    write_folder(source.model, source.folder, draft)
    if source.is_run:
        mark_budget(source.folder, draft)
    if source.adapter is not None:
        (draft / ADAPTER).mkdir()
        write_lora(source, draft / ADAPTER)


def write_lora(
    source: ExportSource, draft: Path, *, base: str | None = None, is_whole: bool = False
) -> None:
    """Write the adapter of a model in peft's format, with the pixel budget of its training.

    Args:
        source: with a separate adapter, or a network with LoRA layers.
        draft: the folder.
        base: name of the model that the adapter belongs to, as peft looks it up; None takes the source's.
        is_whole: whether modules that were trained whole are stored as well; False if the base is exported with them.

    Raises:
        ConfigError: there is no adapter.
        WeightsError: it does not fit the model.
        OSError: a file cannot be written.
    """
    name = base or source.name
    if source.adapter is not None:
        model = adaptable(source.model, source.adapter)
        merge_adapter(model.state_dict(), source.adapter)  # raises if it does not fit
        shutil.copyfile(source.adapter / WEIGHTS, draft / WEIGHTS)
        values = read_json(source.adapter / CONFIG) | {"base_model_name_or_path": name}
        files.write_json(draft / CONFIG, values, error=None)
        copy_budget(source.adapter, draft)
        if (source.adapter / RECORD).is_file():
            shutil.copyfile(source.adapter / RECORD, draft / RECORD)
    elif lora_layers(source.model):
        save_adapter(source.model, draft, base=name, trained=source.trained if is_whole else ())
        copy_budget(source.folder, draft)
        mark_budget(source.folder, draft)
    else:
        raise ConfigError(
            f"{source.name} has no adapter to write",
            hint="give --adapter DIR, or the folder of a run that trained one",
        )


def write_gguf(
    source: ExportSource,
    draft: Path,
    weights: GgufWeights,
    *,
    vision_weights: GgufWeights,
    on_stage: OnStage,
) -> None:
    """Write language model and vision tower as GGUF files.

    Args:
        source: what is exported.
        draft: the folder.
        weights: format of the language model.
        vision_weights: format of the vision tower.
        on_stage: progress.

    Raises:
        ConfigError: the model has a part without counterpart in llama.cpp.
        WeightsError: a value is beyond the range of float16.
        OSError: a file cannot be written.
    """
    check_source(source.folder)
    write_language_model(
        source.model,
        source.folder,
        draft / gguf_names(weights, vision_weights)[0],
        weights,
        name=source.name,
        license_name=_license_name(source.folder),
        on_tensor=lambda done, total: on_stage("language model", done, total),
    )
    write_vision_tower(
        source.model,
        source.folder,
        draft / gguf_names(weights, vision_weights)[1],
        vision_weights,
        name=source.name,
        on_tensor=lambda done, total: on_stage("vision tower", done, total),
    )


def write_ollama(
    source: ExportSource,
    draft: Path,
    weights: GgufWeights,
    *,
    vision_weights: GgufWeights,
    parameters: Mapping[str, float | int],
    on_stage: OnStage,
) -> None:
    """Write GGUF files and a Modelfile; `parameters` are sampling parameters, the others are those of `write_gguf`."""
    write_gguf(source, draft, weights, vision_weights=vision_weights, on_stage=on_stage)
    context = min(source.model.config.text.max_position_embeddings, _NUM_CTX)
    text = modelfile(
        gguf_names(weights, vision_weights),
        parameters={"num_ctx": context, **parameters},
        license_text=read_license(source.folder),
    )
    (draft / "Modelfile").write_text(text, encoding="utf-8")


def gguf_names(weights: GgufWeights, vision_weights: GgufWeights) -> tuple[str, str]:
    """Names of the files of the language model and of the vision tower."""
    return LANGUAGE_FILE.format(weights.upper()), VISION_FILE.format(vision_weights.upper())


def write_receipt(draft: Path, target: Target, name: str, values: Mapping[str, Any]) -> None:
    """Write what an export is, with the options that it was made with."""
    (draft / RECEIPT).write_text(
        json.dumps({"format": target, "model": name, **values}, indent=2) + "\n", encoding="utf-8"
    )


def check_target(out: Path, source: Path, *, overwrite: bool) -> None:
    """Check that an export may be written.

    Args:
        out: the folder to write.
        source: folder of the model.
        overwrite: whether an earlier export may be replaced.

    Raises:
        ConfigError: the folder exists, and is no export or may not be replaced; or it contains the model.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise ConfigError(f"{out} exists", hint="give another folder, or --overwrite")
    if not out.is_dir() or out.is_symlink():
        raise ConfigError(f"{out} is no folder", hint="delete it, or give another folder")
    if source.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{out} contains the model that is exported", hint="give another folder")
    if any(out.iterdir()) and not (out / RECEIPT).is_file():
        raise ConfigError(
            f"{out} is no export: it has no {RECEIPT}, so --overwrite does not delete it",
            hint="delete it yourself, or give another folder",
        )


def _license_name(folder: Path) -> str:
    """The first line of the licence, which is its name."""
    return (read_license(folder).splitlines() or [""])[0].strip()
