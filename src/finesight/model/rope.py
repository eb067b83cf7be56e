# SPDX-License-Identifier: Apache-2.0
"""Rotary positions: two-dimensional in the vision tower, three-row M-RoPE in the text decoder, YaRN for long context.

Cosine and sine are computed once per forward in float32 and never in a lower precision: at position 100,000 a bfloat16
angle is off by hundreds of radians. They are not buffers of the model, so that `model.to(bfloat16)` cannot round them.

Legend: N patches, T tokens, E head size. Values `i` and `i + E/2` of a head form one rotary pair.
Source: RoFormer (arXiv 2104.09864), Qwen2-VL section 2.1 (M-RoPE), YaRN (arXiv 2309.00071).
Parity: tests/parity/test_logits.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from finesight.config.model import TextConfig, VisionConfig, YarnConfig
from finesight.kernels import ops, rows
from finesight.model.chunks import chunk_rows, in_chunks


@dataclass(frozen=True, slots=True)
class Rotary:
    """Cosines and sines of one forward pass.

    Attributes:
        cos: float32[N, 1, E].
        sin: float32[N, 1, E], the first half negated, to multiply the swapped halves.
    """

    cos: Tensor
    sin: Tensor

    def rows(self, index: Tensor) -> Rotary:
        """The angles of the rows in `index`."""
        return Rotary(self.cos[index], self.sin[index])


def apply_rotary(states: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the heads `[N, H, E]` by the angles of their rows, in float32; the result has their dtype."""
    if ops.fuses(states):
        return ops.rotary(states, rotary.cos, rotary.sin)
    if rows.fits(states):
        return rows.rotary(states, rotary.cos, rotary.sin)
    return in_chunks(_turn, chunk_rows(states), states, rotary.cos, rotary.sin)


def _turn(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide = states.float()
    swapped = wide.roll(wide.shape[-1] // 2, dims=-1)
    return torch.addcmul(wide * cos, swapped, sin).to(states.dtype)


def vision_rotary(position_hw: Tensor, config: VisionConfig) -> Rotary:
    """Angles of patches: the quarters of a head rotate with row, column, row and column.

    Args:
        position_hw: int64[N, 2], row and column of each patch within its frame.
        config: head size and base.
    """
    frequencies = _vision_constants(config, position_hw.device)  # [E/4]
    angles = position_hw.float().unsqueeze(-1) * frequencies  # [N, 2, E/4]
    return _rotary(angles.flatten(1))


def text_rotary(position_ids: Tensor, config: TextConfig) -> Rotary:
    """Angles of tokens: each rotary pair follows the time, the row or the column of its token.

    Args:
        position_ids: int64[3, T].
        config: head size, base, sections and YaRN.
    """
    frequencies, axis, scale = _text_constants(config, position_ids.device)  # [E/2], [E/2]
    positions = position_ids.float()[axis]  # [E/2, T]
    return _rotary(positions.T * frequencies, scale)


# A copy to a device synchronises, so constants are copied once per device, not per forward pass.
@lru_cache(maxsize=16)
def _vision_constants(config: VisionConfig, device: torch.device) -> Tensor:
    """float32[E/4], radians per patch."""
    with torch.inference_mode(False):
        return vision_frequencies(config).to(device)


@lru_cache(maxsize=16)
def _text_constants(config: TextConfig, device: torch.device) -> tuple[Tensor, Tensor, float]:
    """float32[E/2] radians per position, int64[E/2] axis of each rotary pair, scale of cosine and sine."""
    frequencies, scale = text_frequencies(config)
    with torch.inference_mode(False):
        axis = torch.arange(3).repeat_interleave(torch.tensor(config.mrope_section))
        return frequencies.to(device), axis.to(device), scale


@lru_cache(maxsize=16)
def vision_frequencies(config: VisionConfig) -> Tensor:
    """float32[E/4] on the CPU: radians per patch."""
    return _inverse_powers(config.rope_theta, config.head_dim // 2)


@lru_cache(maxsize=16)
def text_frequencies(config: TextConfig) -> tuple[Tensor, float]:
    """float32[E/2] radians per position on the CPU, and the scale of cosine and sine (1 without YaRN)."""
    frequencies = _inverse_powers(config.rope_theta, config.head_dim)
    if config.yarn is None:
        return frequencies, 1.0
    return _yarn_frequencies(frequencies, config, config.yarn), _yarn_scale(config.yarn)


def _rotary(angles: Tensor, scale: float = 1.0) -> Rotary:
    """Angles `[N, E/2]` to the two factors `[N, 1, E]`."""
    cos, sin = angles.cos() * scale, angles.sin() * scale
    return Rotary(torch.cat((cos, cos), -1).unsqueeze(1), torch.cat((-sin, sin), -1).unsqueeze(1))


def _inverse_powers(theta: float, size: int) -> Tensor:
    # A tensor cached in inference mode could not be used in training later.
    with torch.inference_mode(False), torch.device("cpu"):
        return 1.0 / theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size)


def _yarn_frequencies(frequencies: Tensor, config: TextConfig, yarn: YarnConfig) -> Tensor:
    """YaRN: keep frequencies with many turns in the original context, divide those with few, blend the others."""

    def pair_with(turns: float) -> float:
        """The (fractional) index of the rotary pair with this many turns over the original context."""
        context = yarn.original_max_position_embeddings
        return (
            config.head_dim
            * math.log(context / (turns * 2 * math.pi))
            / (2 * math.log(config.rope_theta))
        )

    first = max(math.floor(pair_with(yarn.beta_fast)), 0)
    last = min(math.ceil(pair_with(yarn.beta_slow)), config.head_dim - 1)
    with torch.inference_mode(False), torch.device("cpu"):
        pairs = torch.arange(config.head_dim // 2, dtype=torch.float32)
        # Equal ends would divide by zero; a tiny width makes the ramp a step.
        interpolated = ((pairs - first) / max(last - first, 0.001)).clamp(0, 1)
        return frequencies / yarn.factor * interpolated + frequencies * (1 - interpolated)


def _yarn_scale(yarn: YarnConfig) -> float:
    if yarn.attention_factor is not None:
        return yarn.attention_factor
    return 0.1 * math.log(yarn.factor) + 1.0 if yarn.factor > 1 else 1.0
