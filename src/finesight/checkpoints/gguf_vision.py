# SPDX-License-Identifier: Apache-2.0
"""Reads the vision tower and merger of Qwen2.5-VL from GGUF files.

llama.cpp stores them in a file of their own ("mmproj", architecture `clip`, projector `qwen2.5vl_merger`), Ollama's own
converter in the file of the language model (architecture `qwen25vl`). Both split q, k and v, and the patch embedding by
frame.

Source: llama.cpp's converter `conversion/qwenvl.py`, Ollama's `convert/convert_qwen25vl.go`, and the names of the
`gguf` package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader
from pydantic import ValidationError
from torch import Tensor

from finesight.checkpoints.gguf_file import INCOMPLETE, dequantised, find_value
from finesight.config.model import VisionConfig
from finesight.errors import ConfigError, WeightsError
from finesight.model.shards import some_of

__all__ = ["CLIP", "OLLAMA", "GgufTower"]

CLIP, OLLAMA = "clip", "qwen25vl"
"""Architectures of files with a tower: llama.cpp's, and Ollama's with the language model."""

PROJECTOR = "qwen2.5vl_merger"

_BLOCK_NAMES = {
    "attn_out": "attn.proj",
    "ln1": "norm1",
    "ln2": "norm2",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_WITHOUT_BIAS = ("ln1", "ln2")
_MERGER = {
    CLIP: {"v.post_ln": "ln_q", "mm.0": "mlp.0", "mm.2": "mlp.2"},
    OLLAMA: {"v.merger.ln_q": "ln_q", "v.merger.mlp.0": "mlp.0", "v.merger.mlp.2": "mlp.2"},
}
_PATCHES = {
    CLIP: ("v.patch_embd.weight", "v.patch_embd.weight.1"),
    OLLAMA: ("v.patch_embd_0.weight", "v.patch_embd_1.weight"),
}
_PREFIXES = ("v.", "mm.")

_OTHER_PROJECTORS = {"qwen2vl_merger": "Qwen2-VL", "qwen3vl_merger": "Qwen3-VL"}


class GgufTower:
    """The tower in an open file.

    Args:
        reader: the file.
        path: its path.
        architecture: `CLIP` or `OLLAMA`.

    Raises:
        ConfigError: it holds another tower.
    """

    def __init__(self, reader: GGUFReader, path: Path, architecture: str) -> None:
        self.path, self._reader, self._kind = path, reader, architecture
        self._prefix = "clip.vision." if architecture == CLIP else f"{architecture}.vision."
        self._tensors = {
            each.name: each for each in reader.tensors if each.name.startswith(_PREFIXES)
        }
        if architecture == CLIP:
            self._check_projector()

    def config(self) -> VisionConfig:
        """Shape of the tower.

        Raises:
            ConfigError: a value is missing or contradicts another one.
        """
        depth = self._value("block_count")
        optional = {
            "window_size": self._find("window_size"),
            "rope_theta": self._find("rope.freq_base"),
            "spatial_merge_size": self._find("spatial_merge_size"),
            "temporal_patch_size": self._find("temporal_patch_size"),
        }
        try:
            return VisionConfig(
                depth=depth,
                hidden_size=self._value("embedding_length"),
                intermediate_size=self._rows("v.blk.0.ffn_gate.weight"),
                num_heads=self._value("attention.head_count"),
                out_hidden_size=self._rows(f"{self._merger_end()}.weight"),
                full_attention_layers=self._full_layers(depth),
                patch_size=self._value("patch_size"),
                rms_norm_eps=_short(self._value("attention.layer_norm_epsilon")),
                **{name: _short(value) for name, value in optional.items() if value is not None},
            )
        except (ValidationError, TypeError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise ConfigError(
                f"{self.path}: the vision tower: {reason}", hint=INCOMPLETE
            ) from error

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Published name and float32 values of each tensor of the tower.

        Raises:
            WeightsError: a tensor is missing, unknown or cannot be read.
        """
        left = set(self._tensors)
        for published, parts, dim in self._plan(self.config().depth):
            values = [self._read(name) for name in parts]
            left.difference_update(parts)
            if dim is None:
                joined = values[0]
            else:
                joined = torch.cat(values) if dim == 0 else torch.stack(values, dim)
            yield f"visual.{published}", joined
        if left:
            raise WeightsError(
                f"{self.path} holds {some_of(sorted(left))}, which a tower of Qwen2.5-VL does not have",
                hint="the file is of another model",
            )

    def pixels(self) -> dict[str, Any]:
        """What the file says about pictures: mean, standard deviation and pixel budgets; absent values are left out."""
        keys = {
            "image_mean": "image_mean",
            "image_std": "image_std",
            "min_pixels": "image_min_pixels",
            "max_pixels": "image_max_pixels",
        }
        found = {name: self._find(key) for name, key in keys.items()}
        return {name: _short(value) for name, value in found.items() if value is not None}

    def _plan(self, depth: int) -> Iterator[tuple[str, tuple[str, ...], int | None]]:
        """Published name of each tensor, the stored ones it is made of, and the dimension in which they are joined."""
        yield "patch_embed.proj.weight", _PATCHES[self._kind], 2
        for block in range(depth):
            stored, ours = f"v.blk.{block}.", f"blocks.{block}."
            for ending in ("weight", "bias"):
                if f"{stored}attn_qkv.{ending}" in self._tensors:
                    yield f"{ours}attn.qkv.{ending}", (f"{stored}attn_qkv.{ending}",), None
                else:
                    parts = tuple(f"{stored}attn_{each}.{ending}" for each in "qkv")
                    yield f"{ours}attn.qkv.{ending}", parts, 0
                for name, published in _BLOCK_NAMES.items():
                    if ending == "weight" or name not in _WITHOUT_BIAS:
                        yield f"{ours}{published}.{ending}", (f"{stored}{name}.{ending}",), None
        for name, published in _MERGER[self._kind].items():
            yield f"merger.{published}.weight", (f"{name}.weight",), None
            if published != "ln_q":
                yield f"merger.{published}.bias", (f"{name}.bias",), None

    def _merger_end(self) -> str:
        return next(name for name, ours in _MERGER[self._kind].items() if ours == "mlp.2")

    def _check_projector(self) -> None:
        found = find_value(self._reader, self.path, "clip.projector_type") or self._find(
            "projector_type"
        )
        if found != PROJECTOR:
            family = _OTHER_PROJECTORS.get(str(found), "another model")
            raise ConfigError(
                f"{self.path} is the vision part of {family} (projector {found!r}), expected {PROJECTOR}",
                hint="give the mmproj file of a Qwen2.5-VL model",
            )

    def _full_layers(self, depth: int) -> tuple[int, ...]:
        """Blocks that attend to whole frames: stored as a list, or as the distance between them."""
        for key in ("fullatt_block_indexes", "wa_layer_indexes"):
            if (listed := self._find(key)) is not None:
                return tuple(int(each) for each in listed)
        every = self._value("n_wa_pattern")
        return tuple(range(every - 1, depth, every)) if every else tuple(range(depth))

    def _find(self, key: str) -> Any:
        return find_value(self._reader, self.path, self._prefix + key)

    def _value(self, key: str) -> Any:
        found = self._find(key)
        if found is None:
            raise ConfigError(f"{self.path} has no value {self._prefix + key!r}", hint=INCOMPLETE)
        return found

    def _rows(self, name: str) -> int:
        return int(self._tensor(name).shape[-1])

    def _tensor(self, name: str) -> Any:
        if name not in self._tensors:
            raise WeightsError(f"{self.path} has no tensor {name!r}", hint=INCOMPLETE)
        return self._tensors[name]

    def _read(self, name: str) -> Tensor:
        return torch.from_numpy(dequantised(self._tensor(name), self.path))


def _short(value: Any) -> Any:
    """The shortest decimals of float32 numbers: 1e-06 instead of 9.999999974752427e-07."""
    if isinstance(value, (list, tuple)):
        return [_short(each) for each in value]
    return float(str(np.float32(value))) if isinstance(value, float) else value
