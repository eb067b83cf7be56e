# SPDX-License-Identifier: Apache-2.0
"""Configurations of the named sizes: the four releases, and the embedded model tiny.

The shape of tiny works with every exporter: text head size 64, widths that are multiples of 64, full-attention layers
at equal distances up to the last one, tied embeddings.

Source: Qwen2.5-VL report, Table 1, corrected where the released config.json differs (both intermediate sizes of 3B,
the vision intermediate size of 7B, the embedding rows of all).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from finesight.config.model import ModelConfig, SpecialTokenIds, TextConfig, VisionConfig
from finesight.errors import ConfigError

_TINY = Path(__file__).parents[1] / "assets" / "tiny"
"""Folder of the embedded model; its config.json defines the size tiny."""
_FULL_ATTENTION_LAYERS = (7, 15, 23, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """Values that differ between the releases."""

    vision_inner: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool


_RELEASES = {
    "3b": _Release(
        vision_inner=3420, hidden=2048, inner=11_008, layers=36, heads=16, kv_heads=2, vocab=151_936, tied=True
    ),
    "7b": _Release(
        vision_inner=3420, hidden=3584, inner=18_944, layers=28, heads=28, kv_heads=4, vocab=152_064, tied=False
    ),
    "32b": _Release(
        vision_inner=3456, hidden=5120, inner=27_648, layers=64, heads=40, kv_heads=8, vocab=152_064, tied=False
    ),
    "72b": _Release(
        vision_inner=3456, hidden=8192, inner=29_568, layers=80, heads=64, kv_heads=8, vocab=152_064, tied=False
    ),
}  # fmt: skip

_RELEASED_TOKENS = SpecialTokenIds(
    pad=151_643, eos=(151_645, 151_643), vision_start=151_652, vision_end=151_653, image_pad=151_655, video_pad=151_656
)  # fmt: skip

SIZE_NAMES = ("tiny", *_RELEASES)

RELEASE_NAMES = {size: f"Qwen/Qwen2.5-VL-{size.upper()}-Instruct" for size in _RELEASES}
"""The published name of each released size."""

_WRITTEN = re.compile(r"(?:qwen/)?qwen2[._]5-?vl-?(\d+b)(?:-instruct)?", re.IGNORECASE)

_OLLAMA_TAG = re.compile(r"qwen2\.5vl(?::(?:latest|(\d+b)(?:-[\w.-]+)?))?", re.IGNORECASE)

_OLLAMA_LATEST = "7b"


def named_config(
    name: str,
    *,
    vocab_size: int | None = None,
    special_tokens: SpecialTokenIds | None = None,
) -> ModelConfig:
    """The configuration of a named size.

    Args:
        name: one of `SIZE_NAMES`.
        vocab_size: rows of the embedding, for a tokenizer of another size.
        special_tokens: ids from that tokenizer.

    Raises:
        ConfigError: no such size.
    """
    if name not in SIZE_NAMES:
        near = get_close_matches(name, SIZE_NAMES)
        raise ConfigError(
            f"unknown size {name!r}, expected one of {', '.join(SIZE_NAMES)}",
            hint=f"did you mean {near[0]!r}?" if near else "a folder is loaded by its path",
        )
    config = ModelConfig.from_folder(_TINY) if name == "tiny" else _release(_RELEASES[name])
    changes: dict[str, TextConfig | SpecialTokenIds] = {}
    if vocab_size is not None:
        changes["text"] = config.text.model_copy(update={"vocab_size": vocab_size})
    if special_tokens is not None:
        changes["special_tokens"] = special_tokens
    return config.model_copy(update=changes)


def released_size(name: str) -> str | None:
    """The released size of a model name; None for other names.

    Accepts published names with or without owner and `-Instruct`, in any case, and the names of Ollama.
    """
    found = _WRITTEN.fullmatch(name) or _OLLAMA_TAG.fullmatch(name)
    size = (found[1] or _OLLAMA_LATEST).lower() if found else ""
    return size if size in _RELEASES else None


def _release(size: _Release) -> ModelConfig:
    return ModelConfig(
        vision=VisionConfig(
            depth=32,
            hidden_size=1280,
            intermediate_size=size.vision_inner,
            num_heads=16,
            out_hidden_size=size.hidden,
            full_attention_layers=_FULL_ATTENTION_LAYERS,
        ),
        text=TextConfig(
            vocab_size=size.vocab,
            hidden_size=size.hidden,
            intermediate_size=size.inner,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.kv_heads,
            tie_word_embeddings=size.tied,
            mrope_section=(16, 24, 24),
        ),
        special_tokens=_RELEASED_TOKENS,
        dtype="bfloat16",
    )
