# SPDX-License-Identifier: Apache-2.0
"""Telling a head of the decoder's attention where to look.

A decoder finds out by itself that the answer to "where is the cat" stands in the cells of the cat, but only after far
more scenes than a small machine can show. So two heads are told: in the last layer of the first half, to look at the
name in the question; in the first layer of the second half, to look at its object. A third, beside the second, learns
to see all objects of a name at once. The others stay free.

Legend: T tokens of a pack, S samples, L tokens of a sample, R tokens of it that look, D hidden, E head size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.data.looks import LookTargets
from finesight.model.language import TextAttention
from finesight.model.rope import Rotary, apply_rotary

_FLOOR = -1e30
"""Score of what cannot be seen: finite, because places that are only filled up would give infinity minus infinity."""


def look_loss(
    attention: TextAttention, states: Tensor, rotary: Rotary, looks: LookTargets
) -> tuple[Tensor, Tensor]:
    """How much of what the first attention head sees lies elsewhere than it should.

    Args:
        attention: a layer's attention.
        states: float[T, D], its input.
        rotary: the angles of its tokens.
        looks: targets of the pack, on the same device.

    Returns:
        Two scalars: the mean negative logarithm of the share that falls on the wanted tokens, and the mean share.
    """
    shares, wanted, is_real = _log_shares(attention, 0, states, rotary, looks)
    share = shares.masked_fill(wanted == 0, _FLOOR).logsumexp(2).masked_fill(~is_real, 0.0)
    number = is_real.sum()
    return -share.sum() / number, (share.detach().exp() * is_real).sum() / number


def count_loss(
    attention: TextAttention, states: Tensor, rotary: Rotary, looks: LookTargets
) -> tuple[Tensor, Tensor]:
    """How far the attention of another head, with a key of its own where there are several, is from the wanted weights.

    Every object gets the same share, the first token some of its own, so that the shares tell how many there are.

    Returns:
        Two scalars: the mean Kullback-Leibler divergence, and the mean share that falls on wanted tokens. The
        arguments are those of `look_loss`.
    """
    per_key = attention.q_proj.out_features // attention.k_proj.out_features
    head = min(per_key, attention.q_proj.out_features // attention.head_dim - 1)
    shares, wanted, is_real = _log_shares(attention, head, states, rotary, looks)
    aims = wanted / wanted.sum(2, keepdim=True).clamp(min=1e-9)
    difference = torch.xlogy(aims, aims) - aims * shares.masked_fill(aims == 0, 0.0)
    number = is_real.sum()
    share = (shares.detach().exp() * (wanted > 0)).sum(2) * is_real
    return (difference.sum(2) * is_real).sum() / number, share.sum() / number


def _log_shares(
    attention: TextAttention, head: int, states: Tensor, rotary: Rotary, looks: LookTargets
) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms of what the head sees, float32[S, R, L]; what it should see; and bool[S, R], which rows are real."""
    size = attention.head_dim
    key = head * attention.k_proj.out_features // attention.q_proj.out_features
    places = torch.arange(looks.wanted.shape[2], device=states.device)
    # Filling may reach past the pack's last token; what it reads there is masked below.
    tokens = (looks.starts[:, None] + places).clamp(max=len(states) - 1)  # [S, L]
    rows = looks.starts[:, None] + looks.rows
    q = _head(attention.q_proj, head, states, rotary, size)[rows]
    k = _head(attention.k_proj, key, states, rotary, size)[tokens]
    scores = (q @ k.transpose(1, 2)).float() / size**0.5
    scores = scores.masked_fill(places > looks.rows[:, :, None], _FLOOR)
    index = looks.which.clamp(min=0)[:, :, None].expand(-1, -1, len(places))
    return scores.log_softmax(2), looks.wanted.gather(1, index), looks.which >= 0


def _head(projection: nn.Linear, head: int, states: Tensor, rotary: Rotary, size: int) -> Tensor:
    """[T, E], one head of a projection, turned."""
    part = slice(head * size, (head + 1) * size)
    turned = functional.linear(states, projection.weight[part], projection.bias[part])
    return apply_rotary(turned.unsqueeze(1), rotary).squeeze(1)
