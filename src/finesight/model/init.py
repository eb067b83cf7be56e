# SPDX-License-Identifier: Apache-2.0
"""Initialises all weights for training from scratch.

Matrices have a standard deviation of 1 / sqrt(inputs), so that the scale of states does not depend on the width.
Matrices that write into the residual stream are scaled down by the number of such writes. Norms start at 1, biases
at 0.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from finesight.model.head import OutputHead
from finesight.model.vl import VisionLanguageModel

RESIDUAL_WRITERS = ("attn.proj", "self_attn.o_proj", "mlp.down_proj")
"""Endings of the names of layers whose output is added to the residual stream."""

EMBEDDING_STD = 0.02
"""Small, because the tied embedding is also the output head."""


@torch.no_grad()
def init_weights(model: VisionLanguageModel, *, seed: int) -> None:
    """Initialise every parameter in place.

    Args:
        model: the network, on any device.
        seed: random seed; the same seed gives the same weights on the CPU.
    """
    generator = torch.Generator(device=model.device).manual_seed(seed)
    vision_writes = 2 * model.config.vision.depth
    text_writes = 2 * model.config.text.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=EMBEDDING_STD, generator=generator)
        elif isinstance(module, OutputHead):
            if module.weight is not None:
                std = module.weight.shape[1] ** -0.5
                nn.init.normal_(module.weight, std=std, generator=generator)
        elif isinstance(module, (nn.Linear, nn.Conv3d)):
            std = module.weight[0].numel() ** -0.5
            if name.endswith(RESIDUAL_WRITERS):
                std /= math.sqrt(vision_writes if name.startswith("visual.") else text_writes)
            nn.init.normal_(module.weight, std=std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif name.endswith(("norm", "norm1", "norm2", "layernorm", "ln_q")):
            nn.init.ones_(module.weight)
