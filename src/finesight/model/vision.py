# SPDX-License-Identifier: Apache-2.0
"""The vision tower: patches in, visual tokens out.

Most blocks attend inside windows of 112 x 112 pixels, a few over a whole frame pair; nothing ever attends across frame
pairs. Patches are put into window order once, before the first block, and the merged tokens back into reading order
once, after the merger.

Attribute names are those of the published checkpoints.
Legend: N patches, M = N / 4 visual tokens, P values of a patch, D width, H heads, E head size.
Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.1.1; parity: tests/parity/test_logits.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finesight.batch import VisionLayout
from finesight.config.model import VisionConfig
from finesight.model.attention import Backend, SegmentPlan, attend, plan_segments
from finesight.model.layers import RMSNorm, SwiGLU, add_
from finesight.model.rope import Rotary, apply_rotary, vision_rotary


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionPlan:
    """What all blocks of one forward share.

    Attributes:
        order: int64[M], the visual token computed at each place.
        restore: int64[M], its inverse.
        rotary: angles of the patches, in computing order.
        window: groups of windowed blocks.
        frame: groups of full-attention blocks.
    """

    order: Tensor
    restore: Tensor
    rotary: Rotary
    window: SegmentPlan
    frame: SegmentPlan


class PatchEmbed(nn.Module):
    """A 3D convolution whose stride is its kernel, applied as what it is: one matrix product per flattened patch."""

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
    """Self-attention inside each group, both ways."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor, rotary: Rotary, plan: SegmentPlan) -> Tensor:
        """Map `[N, D]` to `[N, D]`."""
        q, k, v = self.qkv(states).unflatten(-1, (3, self.num_heads, -1)).unbind(1)  # [N, H, E] x 3
        out = attend(apply_rotary(q, rotary), apply_rotary(k, rotary), v, plan)
        return self.proj(out.flatten(1))  # type: ignore[no-any-return]  # nn.Module call


class VisionBlock(nn.Module):
    """Attention and feed-forward, each on normalised states and added to them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.norm2 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = VisionAttention(config)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size, bias=True)

    def forward(self, states: Tensor, rotary: Rotary, plan: SegmentPlan) -> Tensor:
        """Map `[N, D]` to `[N, D]`; `states` is overwritten where no gradient is recorded."""
        states = add_(states, self.attn(self.norm1(states), rotary, plan))
        return add_(states, self.mlp(self.norm2(states)))


class PatchMerger(nn.Module):
    """Join the four patches of a 2 x 2 block into one visual token of the decoder's width."""

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
    """The tower.

    Args:
        config: its shape.
        attention: the back end of all its blocks.
    """

    def __init__(self, config: VisionConfig, *, attention: Backend) -> None:
        super().__init__()
        self.config = config
        self.attention: Backend = attention
        self.gradient_checkpointing = False
        self.patch_embed = PatchEmbed(config)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config)

    def forward(self, patches: Tensor, layout: VisionLayout) -> Tensor:
        """Encode the pictures and videos of a pack.

        Args:
            patches: float[N, P], in merge order.
            layout: how they are grouped.

        Returns:
            `[M, out_hidden_size]`, visual tokens in the order of the patches.
        """
        plan = self.plan(layout)
        states = self.patch_embed(_permute_tokens(patches, plan.order, self.config.merge_area))
        for index, block in enumerate(self.blocks):
            segments = plan.frame if index in self.config.full_attention_layers else plan.window
            if self.gradient_checkpointing and torch.is_grad_enabled():
                states = checkpoint(block, states, plan.rotary, segments, use_reentrant=False)
            else:
                states = block(states, plan.rotary, segments)
        return self.merger(states)[plan.restore]  # type: ignore[no-any-return]  # nn.Module call

    def plan(self, layout: VisionLayout) -> VisionPlan:
        """Prepare what the blocks share; the only place that reads lengths on the host."""
        area = self.config.merge_area
        if self.attention == "sdpa":
            order, window_lengths, frame_rows = _windows_by_length(layout, area)
            restore = torch.argsort(order)
        else:
            order, restore, frame_rows = layout.window_index, layout.window_restore, None
            window_lengths = layout.cu_seqlens_window.diff()
        positions = _permute_tokens(layout.position_hw, order, area)
        return VisionPlan(
            order=order,
            restore=restore,
            rotary=vision_rotary(positions, self.config),
            window=plan_segments(
                functional.pad(window_lengths.cumsum(0), (1, 0)).to(torch.int32),
                layout.max_seqlen_window,
                causal=False,
                backend=self.attention,
            ),
            frame=plan_segments(
                layout.cu_seqlens_frame,
                layout.max_seqlen_frame,
                causal=False,
                backend=self.attention,
                rows=frame_rows,
            ),
        )


def _permute_tokens(rows: Tensor, order: Tensor, area: int) -> Tensor:
    """Rows `[N, ...]` with whole visual tokens (groups of `area` rows) in another order."""
    return rows.view(-1, area, *rows.shape[1:])[order].flatten(0, 1)


def _windows_by_length(layout: VisionLayout, area: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Windows of a pack with equal ones side by side, so that windowed blocks gather nothing.

    Returns:
        int64[M] visual token at each place, int64[W] patches of each window, and int64[N] the place of each patch of
        the frame pairs in turn (None where a single frame pair makes its order irrelevant).
    """
    cu_windows = layout.cu_seqlens_window.long() // area  # [W+1], in visual tokens
    lengths = cu_windows.diff()
    by_length = torch.argsort(lengths, descending=True, stable=True)
    new_lengths = lengths[by_length]
    shift = cu_windows[:-1][by_length] - (new_lengths.cumsum(0) - new_lengths)
    places = torch.arange(layout.window_index.numel(), device=lengths.device)
    moved = torch.repeat_interleave(shift, new_lengths, output_size=places.numel()) + places
    order = layout.window_index[moved]
    if layout.cu_seqlens_frame.numel() == 2:
        return order, new_lengths * area, None
    # Windows never leave their frame pair, so sorting by the old place brings frame pairs together again.
    tokens = torch.argsort(moved)
    patches = tokens.unsqueeze(1) * area + torch.arange(area, device=tokens.device)
    return order, new_lengths * area, patches.flatten()
