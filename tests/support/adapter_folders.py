# SPDX-License-Identifier: Apache-2.0
"""Writes random LoRA adapters in the format of peft."""

from __future__ import annotations

from pathlib import Path

import torch

from finesight.checkpoints.adapters import save_adapter
from finesight.model.lora import add_lora, lora_layers
from finesight.model.weights import load_model

DECODER = ("model.layers.*.q_proj", "model.layers.*.v_proj", "model.layers.*.down_proj")
TOWER = ("visual.blocks.*.attn.qkv", "visual.merger.mlp.2")


def write_adapter(
    base: Path, folder: Path, *, seed: int, targets=DECODER, rank: int = 4, size: float = 0.2
) -> Path:
    """Write an adapter that changes answers; returns its folder."""
    model = load_model(base, dtype=torch.float32)
    add_lora(model, targets, rank=rank, alpha=2 * rank, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in lora_layers(model).values():
        for part in (layer.lora_A, layer.lora_B):
            part.weight.data = size * torch.randn(part.weight.shape, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_adapter(model, folder, base=str(base))
    return folder
