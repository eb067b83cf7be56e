# SPDX-License-Identifier: Apache-2.0
"""Writes a Hugging Face folder: weights, configuration, and the small files that transformers and vLLM read.

A folder of finesight needs fewer small files than transformers does. Those that are missing are written: the settings
of the tokenizer, the chat template, and the configuration of the processor of videos.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from finesight.config.model import ModelConfig
from finesight.errors import WeightsError
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import save_model
from finesight.processor.from_hf import (
    RECORD,
    read_json,
    read_processor_config,
    write_processor_config,
)
from finesight.text import special_tokens as names

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
"""The conversation format of `finesight.text.chat_template`, for programs that read Jinja."""

_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
    "trained_for.txt",
    RECORD,
    "LICENSE",
)
"""Small files that are taken as they are where a folder has them."""

_TEMPLATES = ("chat_template.json", "chat_template.jinja")


def write_folder(model: VisionLanguageModel, source: Path, draft: Path) -> None:
    """Fill a folder that transformers, vLLM and finesight load.

    Args:
        model: with plain weights of one dtype.
        source: checkpoint folder with the small files.
        draft: an empty folder.

    Raises:
        ConfigError: the configuration cannot be expressed in the published format, or a small file is broken.
        OSError: a file cannot be written.
    """
    save_model(model, draft)
    write_small_files(source, draft, model.config)


def write_small_files(source: Path, draft: Path, config: ModelConfig) -> None:
    """Copy the small files of a checkpoint folder, and write those that transformers needs besides.

    Args:
        source: the checkpoint folder.
        draft: folder to write to.
        config: of the model.

    Raises:
        ConfigError: the processor's configuration is missing or broken.
        OSError: a file cannot be written.
    """
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, draft / name)
    if not (draft / "tokenizer_config.json").is_file():
        _write(draft / "tokenizer_config.json", tokenizer_settings(config))
    if not any((draft / name).is_file() for name in _TEMPLATES) and not _has_template(draft):
        shutil.copyfile(CHAT_TEMPLATE, draft / "chat_template.jinja")
    if not any((draft / name).is_file() for name in ("processor_config.json", _VIDEO)):
        values = write_processor_config(read_processor_config(source, config.vision), config.vision)
        values["video_processor_type"] = values.pop("image_processor_type").replace(
            "Image", "Video"
        )
        _write(draft / _VIDEO, values)


_VIDEO = "video_preprocessor_config.json"


def tokenizer_settings(config: ModelConfig) -> dict[str, Any]:
    """The content of a `tokenizer_config.json` for a `tokenizer.json` that is used as it stands."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": names.IM_END,
        "model_max_length": config.text.max_position_embeddings,
        "pad_token": names.END_OF_TEXT,
        "processor_class": "Qwen2_5_VLProcessor",
        "split_special_tokens": False,
        "unk_token": None,
    }


def _has_template(folder: Path) -> bool:
    """Whether the settings of the tokenizer contain a chat template, as those of the releases do."""
    return bool(read_json(folder / "tokenizer_config.json").get("chat_template"))


def read_chat_template(folder: Path) -> str:
    """The chat template of a checkpoint folder, or ours if it has none.

    Raises:
        ConfigError: a file that should contain it is broken.
    """
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            template = read_json(folder / name).get("chat_template")
            if isinstance(template, str) and template:
                return template
    return CHAT_TEMPLATE.read_text(encoding="utf-8")


def read_license(folder: Path) -> str:
    """The licence of a checkpoint folder: the text of its LICENSE, else the name in its model card; else empty."""
    text = folder / "LICENSE"
    if text.is_file():
        return text.read_text(encoding="utf-8", errors="replace").strip()
    card = folder / "README.md"
    if card.is_file():
        head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        for line in head.splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "license":
                return value.strip()
    return ""


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def check_source(folder: Path) -> None:
    """Raise `WeightsError` if a checkpoint folder has no tokenizer, which every export needs."""
    if not (folder / "tokenizer.json").is_file():
        raise WeightsError(
            f"{folder} has no tokenizer.json",
            hint="copy it from the model that the weights were trained from",
        )


def folder_sizes(folder: Path) -> list[tuple[str, int]]:
    """Name and size in bytes of every file in a folder, in the order of names."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in found)
