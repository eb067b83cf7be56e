# SPDX-License-Identifier: Apache-2.0
"""Telling heads of the decoder's attention where to look.

A decoder finds out by itself that the answer to "where is the cat" stands in the cells of the cat, but only after far
more scenes than a small machine can show. So heads are told. Of a scene: in the last layer of the first half, to look
at the name in the question; in the first layer of the second half, to look at its object. Of a text, in the same
layers: at the character written last, and at the next one. A scene's head is the first, a text's the last; those
between stay free.

Legend: T tokens of a pack, S samples, L tokens of a sample, R tokens of it that look, D hidden, E head size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.data.look_targets import LookTargets
from finesight.model.language import TextAttention
from finesight.model.rope import Rotary, apply_rotary

_FLOOR = -1e30
"""Score of what cannot be seen: finite, because places that are only filled up would give infinity minus infinity."""


def look_loss(
    attention: TextAttention, states: Tensor, rotary: Rotary, looks: LookTargets, head: int = 0
) -> tuple[Tensor, Tensor]:
    """How much of what an attention head sees lies elsewhere than it should.

    Args:
        attention: a layer's attention.
        states: float[T, D], its input.
        rotary: the angles of its tokens.
        looks: targets of the pack, on the same device.
        head: which head; -1 is the last.

    Returns:
        Two scalars: the mean negative logarithm of the share that falls on the wanted tokens, and the mean share.
    """
    size = attention.head_dim
    places = torch.arange(looks.wanted.shape[2], device=states.device)
    # Filling may reach past the pack's last token; what it reads there is masked below.
    tokens = (looks.starts[:, None] + places).clamp(max=len(states) - 1)  # [S, L]
    rows = looks.starts[:, None] + looks.rows
    num_heads, num_keys = (
        part.out_features // size for part in (attention.q_proj, attention.k_proj)
    )
    head %= num_heads
    q = _head(attention.q_proj, head, states, rotary, size)[rows]
    k = _head(attention.k_proj, head * num_keys // num_heads, states, rotary, size)[tokens]
    scores = (q @ k.transpose(1, 2)).float() / size**0.5
    scores = scores.masked_fill(places > looks.rows[:, :, None], _FLOOR)
    index = looks.which.clamp(min=0)[:, :, None].expand(-1, -1, len(places))
    wanted, is_real = looks.wanted.gather(1, index), looks.which >= 0
    share = scores.log_softmax(2).masked_fill(~wanted, _FLOOR).logsumexp(2)
    share = share.masked_fill(~is_real, 0.0)
    number = is_real.sum()
    return -share.sum() / number, (share.detach().exp() * is_real).sum() / number


def _head(projection: nn.Linear, head: int, states: Tensor, rotary: Rotary, size: int) -> Tensor:
    """[T, E], one head of a projection, turned."""
    part = slice(head * size, (head + 1) * size)
    turned = functional.linear(states, projection.weight[part], projection.bias[part])
    return apply_rotary(turned.unsqueeze(1), rotary).squeeze(1)
