# SPDX-License-Identifier: Apache-2.0
"""The vision tower: patches to visual tokens.

Most blocks attend inside windows of 112 x 112 pixels, a few over a whole frame pair; no block attends across frame
pairs. Patches are put into window order before the first block, and the merged tokens back into reading order
after the merger.

Attribute names are those of the published checkpoints.
Legend: N patches, M = N / 4 visual tokens, P values of a patch, D width, H heads, E head size.
Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.1.1; parity: tests/parity/test_logits.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finesight.attention_plan import AttentionPlan
from finesight.batch import VisionBatch
from finesight.config.model import VisionConfig
from finesight.model.attention import Backend, attend
from finesight.model.chunks import add_
from finesight.model.layers import RMSNorm, SwiGLU
from finesight.model.rope import Rotary, apply_rotary, vision_rotary


class PatchEmbed(nn.Module):
    """A 3D convolution whose stride equals its kernel, computed as one matrix product per flattened patch."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        kernel = (config.temporal_patch_size, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(
            config.in_channels, config.hidden_size, kernel, stride=kernel, bias=False
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Map `[N, P]` of any float dtype to `[N, D]`."""
        weight = self.proj.weight.flatten(1)
        return functional.linear(patches.to(weight.dtype), weight)


class VisionAttention(nn.Module):
    """Bidirectional self-attention inside each segment."""

    def __init__(self, config: VisionConfig, attention: Backend) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.attention = attention
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor, rotary: Rotary, plan: AttentionPlan) -> Tensor:
        """Map `[N, D]` to `[N, D]`."""
        q, k, v = self.qkv(states).unflatten(-1, (3, self.num_heads, -1)).unbind(1)  # [N, H, E] x 3
        out = attend(apply_rotary(q, rotary), apply_rotary(k, rotary), v, plan, self.attention)
        return self.proj(out.flatten(1))  # type: ignore[no-any-return]  # nn.Module call


class VisionBlock(nn.Module):
    """Attention and feed-forward, each pre-normalised and residual."""

    def __init__(self, config: VisionConfig, attention: Backend) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.norm2 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = VisionAttention(config, attention)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size, bias=True)

    def forward(self, states: Tensor, rotary: Rotary, plan: AttentionPlan) -> Tensor:
        """Map `[N, D]` to `[N, D]`; `states` is overwritten where no gradient is recorded."""
        states = add_(states, self.attn(self.norm1(states), rotary, plan))
        return add_(states, self.mlp(self.norm2(states)))


class PatchMerger(nn.Module):
    """Merge the four patches of a 2 x 2 block into one visual token of the decoder's width."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.width = config.hidden_size * config.merge_area
        self.ln_q = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(self.width, self.width),
            nn.GELU(),
            nn.Linear(self.width, config.out_hidden_size),
        )

    def forward(self, states: Tensor) -> Tensor:
        """Map `[N, D]` in merge order to `[M, out_hidden_size]`."""
        return self.mlp(self.ln_q(states).view(-1, self.width))  # type: ignore[no-any-return]  # nn.Module call


class VisionTransformer(nn.Module):
    """The vision tower.

    Args:
        config: its shape.
        attention: the back end of all its blocks.
    """

    def __init__(self, config: VisionConfig, *, attention: Backend) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.patch_embed = PatchEmbed(config)
        self.blocks = nn.ModuleList(VisionBlock(config, attention) for _ in range(config.depth))
        self.merger = PatchMerger(config)

    def forward(self, vision: VisionBatch) -> Tensor:
        """Encode the pictures and videos of a pack.

        Args:
            vision: their patches and attention plans.

        Returns:
            `[M, out_hidden_size]`, visual tokens in the order of the patches.
        """
        states = self.patch_embed(self._in_window_order(vision.patches, vision))
        rotary = vision_rotary(self._in_window_order(vision.position_hw, vision), self.config)
        for index, block in enumerate(self.blocks):
            plan = vision.frame if index in self.config.full_attention_layers else vision.window
            if self.gradient_checkpointing and torch.is_grad_enabled():
                states = checkpoint(block, states, rotary, plan, use_reentrant=False)
            else:
                states = block(states, rotary, plan)
        return self.merger(states)[vision.window_restore]  # type: ignore[no-any-return]  # nn.Module call

    def _in_window_order(self, rows: Tensor, vision: VisionBatch) -> Tensor:
        """Rows `[N, ...]` of patches in window order; the patches of a visual token stay together."""
        tokens = rows.view(-1, self.config.merge_area, *rows.shape[1:])
        return tokens[vision.window_index].flatten(0, 1)
