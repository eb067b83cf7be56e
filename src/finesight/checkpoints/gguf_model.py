# SPDX-License-Identifier: Apache-2.0
"""Makes a checkpoint folder of a Qwen2.5-VL model in GGUF files, once, in the user's cache.

Everything that works with a checkpoint folder (training, packing, export) works with it afterwards, and loading maps
the weights into memory instead of dequantising them each time. Tensors are read and written one by one, so the weights
are never in memory as a whole. The folder is in bfloat16; if matrices of the language model are stored as F32, in
float32.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType
from platformdirs import user_cache_path
from torch import Tensor

from finesight import files
from finesight.checkpoints.cached import cached_folder, sha256_of, write_receipt
from finesight.checkpoints.gguf import GgufDecoder
from finesight.checkpoints.gguf_file import INCOMPLETE, find_value, open_gguf
from finesight.checkpoints.gguf_vision import CLIP, OLLAMA, GgufTower
from finesight.config.model import ModelConfig, SpecialTokenIds, TextConfig
from finesight.errors import ConfigError, MissingWeights, WeightsError
from finesight.inputs import shown_bytes
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import write_shards
from finesight.text import special_tokens as names
from finesight.text.tokenizer import Tokenizer

__all__ = ["GgufSource", "assembled_gguf", "find_mmproj"]

_QWEN2VL = "qwen2vl"
"""Architecture of llama.cpp's files; of Qwen2-VL, too, whose mmproj differs."""

_VERSION = 1
"""Changes when the same files give another folder."""

_PIXELS = {"min_pixels": 56 * 56, "max_pixels": 28 * 28 * 16384}
"""Budgets of the published models; files may lack them."""

_PROBED_BYTES = 2**20
_LEAST_PIXELS = 28 * 28


@dataclass(frozen=True, slots=True)
class GgufSource:
    """A model in GGUF files.

    Attributes:
        model: file of the language model.
        mmproj: file of the vision tower; None if it is in the other file.
        label: what a user calls it.
        digests: SHA-256 that files must have, by path.
        generation: values for generation_config.json.
        license_text: of the weights; empty if unknown.
    """

    model: Path
    mmproj: Path | None
    label: str
    digests: Mapping[Path, str] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    license_text: str = ""


class _Language(GgufDecoder):
    """The language model of Qwen2.5-VL in a GGUF file."""

    architectures = (_QWEN2VL, OLLAMA)

    def config(self) -> TextConfig:
        text = GgufDecoder.config(self)
        for key in ("rope.dimension_sections", "rope.mrope_section"):
            found = find_value(self.reader, self.path, f"{self.architecture}.{key}")
            if found is None:
                continue
            sections = tuple(int(each) for each in found[:3])
            if len(sections) != 3 or 2 * sum(sections) != text.head_dim:
                raise ConfigError(
                    f"{self.path} has rotary sections {sections} for heads of {text.head_dim}",
                    hint=INCOMPLETE,
                )
            return text.model_copy(update={"mrope_section": sections, "raster_positions": False})
        raise ConfigError(f"{self.path} has no rotary sections (M-RoPE)", hint=INCOMPLETE)

    def _tokens(self) -> tuple[list[str], list[int]]:
        """Texts and types without the names that stand for unused rows of the embedding."""
        texts, types = GgufDecoder._tokens(self)
        size = len(texts)
        while size and texts[size - 1] == f"[PAD{size - 1}]":
            size -= 1
        return texts[:size], types[:size]


def find_mmproj(model: Path) -> Path:
    """The file of the vision tower beside that of the language model.

    Raises:
        MissingWeights: there is none.
        ConfigError: there are several.
    """
    found = _towers_beside(model)
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"there are {len(found)} vision towers beside {model}: {', '.join(each.name for each in found)}",
            hint=f"choose one: --mmproj {found[0]} (in Python mmproj=)",
        )
    raise MissingWeights(
        f"{model} is the language model alone; its vision tower is in a second file, mmproj-....gguf",
        hint="download it into the same folder, or give it as --mmproj (in Python mmproj=)",
    )


def _towers_beside(model: Path) -> list[Path]:
    return sorted(
        path
        for path in model.parent.glob("*.gguf")
        if "mmproj" in path.name.lower() and path.name != model.name
    )


def assembled_gguf(source: GgufSource, *, cache: Path | None = None) -> Path:
    """The checkpoint folder of GGUF files, made at the first use.

    Args:
        source: the files.
        cache: folder of such folders; None takes the user's.

    Raises:
        ConfigError: a file holds another model, or needs a feature that is not read.
        WeightsError: a file is broken, or the cache cannot be written.
    """
    parent = (cache or user_cache_path("finesight")) / "gguf"
    label = re.sub(r"[^\w.-]+", "-", Path(source.label).name.removesuffix(".gguf"))
    if source.mmproj is None and len(beside := _towers_beside(source.model)) == 1:
        source = replace(source, mmproj=beside[0])  # the folder is made of it, too
    folder = parent / f"{label[:40]}-{_fingerprint(source)}"
    return cached_folder(folder, partial(_assemble, source, folder))


def _assemble(source: GgufSource, folder: Path) -> None:
    language, tower = _opened(source)
    config, backend = _config_of(language, tower)
    num_bytes = _bytes_of(config)
    _check_room(folder.parent, num_bytes)
    stated = find_value(language.reader, source.model, "general.license")
    license_name = _first_line(source.license_text or str(stated or ""))
    tail = f"; its licence: {license_name}" if license_name else ""
    warnings.warn(
        f"reading {source.label}, once, into {folder} ({num_bytes / 1e9:.1f} GB, {config.dtype}){tail}",
        stacklevel=2,
    )
    for path, digest in source.digests.items():
        _check_digest(path, digest)
    with files.whole_folder(folder, error=WeightsError) as draft:
        write_shards(draft, config, _tensors(language, tower, config))
        (draft / "tokenizer.json").write_text(backend, encoding="utf-8")
        files.write_json(draft / "preprocessor_config.json", _processor(tower), error=WeightsError)
        generation = {
            "eos_token_id": [*config.special_tokens.eos],
            "pad_token_id": config.special_tokens.pad,
            "do_sample": False,
            **source.generation,
        }
        files.write_json(draft / "generation_config.json", generation, error=WeightsError)
        if source.license_text:
            (draft / "LICENSE").write_text(source.license_text, encoding="utf-8")
        write_receipt(draft)


def _opened(source: GgufSource) -> tuple[_Language, GgufTower]:
    """Both parts of a model.

    Raises:
        ConfigError: a file holds another model.
    """
    language = _Language(source.model)
    if language.architecture == OLLAMA:
        return language, GgufTower(language.reader, source.model, OLLAMA)
    path = source.mmproj or find_mmproj(source.model)
    reader = open_gguf(path)
    if (found := find_value(reader, path, "general.architecture")) != CLIP:
        raise ConfigError(
            f"{path} holds a model of architecture {found!r}, expected a vision tower (clip)",
            hint="give the mmproj file of a Qwen2.5-VL model",
        )
    return language, GgufTower(reader, path, CLIP)


def _config_of(language: _Language, tower: GgufTower) -> tuple[ModelConfig, str]:
    """The configuration, and the content of tokenizer.json."""
    text, vision = language.config(), tower.config()
    if vision.out_hidden_size != text.hidden_size:
        raise ConfigError(
            f"the tower in {tower.path} gives visual tokens of width {vision.out_hidden_size}, "
            f"the language model in {language.path} has width {text.hidden_size}",
            hint="give the mmproj file of the same model",
        )
    backend = language.tokenizer()
    tokenizer = Tokenizer(backend, source=str(language.path))
    id_of = tokenizer.special_id
    tokens = SpecialTokenIds(
        image_pad=id_of(names.IMAGE_PAD),
        video_pad=id_of(names.VIDEO_PAD),
        vision_start=id_of(names.VISION_START),
        vision_end=id_of(names.VISION_END),
        eos=(id_of(names.IM_END), id_of(names.END_OF_TEXT)),
        pad=id_of(names.END_OF_TEXT),
    )
    if tokenizer.vocab_size > text.vocab_size:
        raise ConfigError(
            f"{language.path} has {tokenizer.vocab_size} tokens, but only {text.vocab_size} embeddings",
            hint=INCOMPLETE,
        )
    wide = any(
        len(each.shape) > 1 and each.tensor_type == GGMLQuantizationType.F32
        for each in language.reader.tensors
        if not each.name.startswith(("v.", "mm."))
    )
    config = ModelConfig(
        vision=vision,
        text=text,
        special_tokens=tokens,
        dtype="float32" if wide else "bfloat16",
    )
    return config, backend.to_str()


def _tensors(
    language: _Language, tower: GgufTower, config: ModelConfig
) -> Iterator[tuple[str, Tensor]]:
    """All tensors in the folder's dtype; raises `WeightsError` unless names and shapes are those of the model."""
    expected = VisionLanguageModel.without_memory(config).state_dict()
    missing = set(expected)
    dtype = getattr(torch, config.dtype)
    for part in (tower, language):
        for name, values in part.tensors():
            if name not in expected or values.shape != expected[name].shape:
                wanted = tuple(expected[name].shape) if name in expected else "no such tensor"
                raise WeightsError(
                    f"{part.path} holds {name} of shape {tuple(values.shape)}, expected {wanted}",
                    hint=INCOMPLETE,
                )
            missing.discard(name)
            yield name, values.to(dtype)
    if missing:
        raise WeightsError(
            f"{language.path} lacks {sorted(missing)[0]}, one of {len(missing)} tensors",
            hint=INCOMPLETE,
        )


def _bytes_of(config: ModelConfig) -> int:
    count = VisionLanguageModel.without_memory(config).num_parameters()
    return int(count * getattr(torch, config.dtype).itemsize)


def _check_room(cache: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(cache).free
    if free < num_bytes:
        raise WeightsError(
            f"{cache} has {shown_bytes(free)} free, the weights take {shown_bytes(num_bytes)}",
            hint="free some space, or set XDG_CACHE_HOME to a folder on another disk",
        )


def _check_digest(path: Path, digest: str) -> None:
    found = sha256_of(path)
    if found != digest:
        raise WeightsError(
            f"{path} has the SHA-256 {found}, expected {digest}",
            hint="the file is damaged: download it again",
        )


def _processor(tower: GgufTower) -> dict[str, Any]:
    """The content of preprocessor_config.json."""
    vision, stored = tower.config(), tower.pixels()
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        **_PIXELS,
        **stored,
        "patch_size": vision.patch_size,
        "temporal_patch_size": vision.temporal_patch_size,
        "merge_size": vision.spatial_merge_size,
    }


def _fingerprint(source: GgufSource) -> str:
    """Hash of what the folder is made of: sizes, times, beginnings and ends of the files."""
    digest = hashlib.blake2b(repr(_VERSION).encode(), digest_size=8)
    for path in (source.model, source.mmproj):
        if path is None:
            continue
        status = path.stat()
        digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PROBED_BYTES))
            file.seek(max(0, status.st_size - _PROBED_BYTES))
            digest.update(file.read())
    digest.update(json.dumps([dict(source.generation), source.license_text]).encode())
    return digest.hexdigest()


def _first_line(text: str) -> str:
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:100]
