# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints in the formats of AWQ and GPTQ: round to nearest, packed code by code with slow loops.

Shares no code with the reader. `write` also returns the weights that the formula `(code - zero point) * scale` gives.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finesight.config.model import ModelConfig, TextConfig
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model, save_model
from tests.support.model_cases import SPECIAL, VOCAB, randomize, small_config

FILE = "model.safetensors"

LAYER = "model.layers.1.mlp.down_proj"
"""A quantised layer of `wide_model`."""

_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


@dataclass(frozen=True)
class Scheme:
    """How layers are quantised."""

    method: str = "awq"
    bits: int = 4
    group_size: int = 32
    desc_act: bool = False
    version: int = 1
    is_symmetric: bool = False
    skipped: tuple[str, ...] = ("visual",)

    @property
    def section(self) -> dict[str, Any]:
        """The `quantization_config` that the tools write."""
        shared = {
            "quant_method": self.method,
            "bits": self.bits,
            "group_size": self.group_size,
            "modules_to_not_convert": list(self.skipped),
        }
        if self.method == "awq":
            return shared | {"version": "gemm", "zero_point": True}
        layout = "gptq" if self.version == 1 else "gptq_v2"
        sym = self.is_symmetric
        return shared | {"desc_act": self.desc_act, "checkpoint_format": layout, "sym": sym}


AWQ = Scheme()
GPTQ = Scheme(method="gptq")


def wide_model() -> VisionLanguageModel:
    """A random model whose layers have 128 or 256 inputs, so that groups of 32 and of 128 fit."""
    base = small_config()
    text = {
        "vocab_size": VOCAB,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "mrope_section": (4, 6, 6),
        "max_position_embeddings": 4096,
    }
    model = VisionLanguageModel(
        ModelConfig(
            vision=base.vision.model_copy(update={"out_hidden_size": 128}),
            text=TextConfig(**text),
            special_tokens=SPECIAL,
            dtype="float32",
        )
    )
    randomize(model)
    return model


def write(
    model: VisionLanguageModel, folder: Path, scheme: Scheme = AWQ, *, also: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Write a folder whose decoder layers are quantised, and the layers named in `also`.

    Returns:
        Every weight of the model by name, those of quantised layers dequantised in float64.
    """
    save_model(model, folder)
    stored: dict[str, Tensor] = {}
    values = dict(load_file(folder / FILE))
    for name, weight in sorted(values.items()):
        layer = name.removesuffix(".weight")
        if (name.startswith("model.layers.") and name.endswith("_proj.weight")) or layer in also:
            parts, values[name] = quantise(weight, scheme, seed=len(stored))
            stored |= {f"{layer}.{part}": tensor for part, tensor in parts.items()}
        else:
            stored[name] = weight
    save_file(stored, folder / FILE, metadata={"format": "pt"})
    change_config(folder, quantization_config=scheme.section)
    return values


def load(folder: Path, **options: Any) -> VisionLanguageModel:
    """Load a quantised folder, which warns."""
    with pytest.warns(UserWarning, match="dequantised"):
        return load_model(folder, **options)


def quantise(weight: Tensor, scheme: Scheme, *, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Stored tensors of a weight `[N, K]`, and the weight they stand for in float64."""
    outputs, inputs = weight.shape
    size = inputs if scheme.group_size == -1 else scheme.group_size
    num_groups = -(-inputs // size)
    group_of = [i // size for i in range(inputs)]
    if scheme.desc_act:
        shuffled = torch.randperm(inputs, generator=torch.Generator().manual_seed(seed))
        group_of = [group_of[i] for i in shuffled.tolist()]
    top = 2**scheme.bits - 1
    codes = torch.zeros(inputs, outputs, dtype=torch.int64)
    zeros = torch.zeros(num_groups, outputs, dtype=torch.int64)
    scales = torch.zeros(num_groups, outputs, dtype=torch.float16)
    values = torch.zeros(outputs, inputs, dtype=torch.float64)
    for group in range(num_groups):
        members = [i for i in range(inputs) if group_of[i] == group]
        part = weight[:, members].double()
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        if scheme.is_symmetric:
            scale = (2 * part.abs().amax(1) / top).half()
            zero = torch.full((outputs,), (top + 1) // 2)
        else:
            scale = ((high - low) / top).half()
            zero = (-low / scale.double()).round().clamp(0, top).long()
        code = (part / scale.double()[:, None]).round().long() + zero[:, None]
        code = code.clamp(0, top)
        zeros[group], scales[group] = zero, scale
        values[:, members] = (code - zero[:, None]).double() * scale.double()[:, None]
        for place, member in enumerate(members):
            codes[member] = code[:, place]
    return _stored(codes, zeros, scales, group_of, scheme), values


def _stored(
    codes: Tensor, zeros: Tensor, scales: Tensor, group_of: list[int], scheme: Scheme
) -> dict[str, Tensor]:
    if scheme.method == "awq":
        return {
            "qweight": pack_rows(codes, 4, _AWQ_ORDER),
            "qzeros": pack_rows(zeros, 4, _AWQ_ORDER),
            "scales": scales,
        }
    order = tuple(range(32 // scheme.bits))
    kept = (zeros - 1) % 2**scheme.bits if scheme.version == 1 else zeros
    return {
        "qweight": pack_rows(codes.T, scheme.bits, order).T.contiguous(),
        "qzeros": pack_rows(kept, scheme.bits, order),
        "scales": scales,
        "g_idx": torch.tensor(group_of, dtype=torch.int32),
    }


def pack_rows(codes: Tensor, bits: int, order: tuple[int, ...]) -> Tensor:
    """Pack the codes of each row into int32 words; the code of column `order[i]` is the i-th from the low end."""
    per_word = 32 // bits
    rows = []
    for row in codes.tolist():
        words = []
        for start in range(0, len(row), per_word):
            word = sum(row[start + column] << (bits * i) for i, column in enumerate(order))
            words.append(word - 2**32 if word >= 2**31 else word)
        rows.append(words)
    return torch.tensor(rows, dtype=torch.int32)


def change_config(folder: Path, **changes: Any) -> None:
    """Set values in config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite(folder: Path, change: Any) -> None:
    """Change the tensors of a folder with one file."""
    tensors = load_file(folder / FILE)
    change(tensors)
    save_file(tensors, folder / FILE, metadata={"format": "pt"})
