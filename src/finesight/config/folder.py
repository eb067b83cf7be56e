# SPDX-License-Identifier: Apache-2.0
"""Check by its file names that a folder is a model checkpoint, before any file is opened.

For other folders, the error states what was found and what to do: a LoRA adapter without its model, a model with an
adapter that would not be applied, weights as pickle or GGUF, the parent folder of a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from finesight.errors import ConfigError, FinesightError, MissingWeights

_ADAPTER_CONFIG = "adapter_config.json"

_ADAPTER_FILES = (_ADAPTER_CONFIG, "adapter_model*.safetensors", "adapter_model*.bin")

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

_OTHER_FORMATS = ("*.onnx", "*.h5", "*.msgpack", "*.npz", "*.tflite", "*.ot")

_SHOWN = 5
"""Number of names in an error message; the rest is counted."""


def check_folder(folder: Path, *, needs_weights: bool = True) -> None:
    """Check that a folder holds a checkpoint.

    Args:
        folder: an existing folder.
        needs_weights: False if configuration and tokenizer are enough.

    Raises:
        ConfigError: it holds a LoRA adapter.
        MissingWeights: it has no `config.json`, or no safetensors file.
    """
    if not (folder / "config.json").is_file():
        raise _without_configuration(folder)
    if needs_weights:
        check_weight_files(folder)


def check_weight_files(folder: Path) -> None:
    """Check that a folder holds a whole model as safetensors, and no LoRA adapter.

    Raises:
        ConfigError: there is a LoRA adapter, alone or beside the model.
        MissingWeights: there is no safetensors file.
    """
    adapters = _found(folder, _ADAPTER_FILES)
    weights = [name for name in _found(folder, ["*.safetensors"]) if name not in adapters]
    if adapters and weights:
        raise ConfigError(
            f"{folder} holds a whole model and a LoRA adapter beside it ({', '.join(adapters)}), "
            "which would change the answers but is not applied",
            hint=f"move {', '.join(adapters)} to another folder, to use the model without it or with it as --adapter; "
            "or merge it: " + _merge(folder),
        )
    if adapters:
        raise _adapter_alone(folder)
    if not weights:
        raise _without_safetensors(folder)


def _without_configuration(folder: Path) -> FinesightError:
    if _found(folder, _ADAPTER_FILES):
        return _adapter_alone(folder)
    if _found(folder, ["*.gguf"]):
        return _without_safetensors(folder)
    inner = sorted(
        path.parent
        for pattern in ("*/config.json", "snapshots/*/config.json")
        for path in folder.glob(pattern)
    )
    return MissingWeights(
        f"folder {folder} has no config.json",
        hint=f"a folder inside it holds a checkpoint, use that one: {_some(map(str, inner))}"
        if inner
        else "a checkpoint folder holds config.json, tokenizer.json and *.safetensors",
    )


def _adapter_alone(folder: Path) -> ConfigError:
    try:
        values = json.loads((folder / _ADAPTER_CONFIG).read_text(encoding="utf-8"))
        base = values["base_model_name_or_path"]
    except (OSError, ValueError, TypeError, KeyError):
        base = None  # the message does not need it
    made_for = f" for {base}" if isinstance(base, str) and base else ""
    return ConfigError(
        f"{folder} is a LoRA adapter{made_for}, not a whole model",
        hint=f"use it on its model: --model {base if made_for else 'BASE'} --adapter {folder} (in Python adapters=); "
        "or merge it, and use the folder of the result: "
        + _merge(folder, base if made_for else "BASE"),
    )


def _merge(adapter: Path, base: str | None = None) -> str:
    """Python code that merges an adapter, with peft."""
    return (
        f"model = Qwen2_5_VLForConditionalGeneration.from_pretrained({str(base or 'MODEL')!r}); "
        f"PeftModel.from_pretrained(model, {str(adapter)!r}).merge_and_unload().save_pretrained('merged'), "
        "then copy tokenizer.json and preprocessor_config.json of the model into it"
    )


def _without_safetensors(folder: Path) -> MissingWeights:
    pickles, ggufs = _found(folder, _PICKLES), _found(folder, ["*.gguf"])
    others = _found(folder, _OTHER_FORMATS)
    found = pickles or ggufs or others
    only = f", only {_some(found)}" if found else ""
    hint = "a checkpoint folder holds config.json, tokenizer.json and *.safetensors"
    if pickles:
        hint = (
            "pickle files can run code and are never opened; if you trust this one, convert it once: "
            f"Qwen2_5_VLForConditionalGeneration.from_pretrained({str(folder)!r}).save_pretrained('converted'), "
            "then copy tokenizer.json and preprocessor_config.json into it"
        )
    elif ggufs:
        hint = (
            f"give the file of llama.cpp's language model itself: {folder / ggufs[-1]}; its vision tower (mmproj) "
            "is found beside it or given as --mmproj"
        )
    elif others:
        hint = (
            "weights in ONNX, TensorFlow, Flax or MLX are not read; use the model they were made from, "
            "such as Qwen/Qwen2.5-VL-7B-Instruct"
        )
    return MissingWeights(f"{folder} holds no safetensors file{only}", hint=hint)


def _found(folder: Path, patterns: Iterable[str]) -> list[str]:
    """Names of the files that match one of the patterns."""
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path.name for path in paths if path.is_file())


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + rest
