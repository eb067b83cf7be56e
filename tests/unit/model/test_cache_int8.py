# SPDX-License-Identifier: Apache-2.0
"""Keys and values in int8: each head of each token has its own scale."""

from __future__ import annotations

import torch

from finesight.model.cache import Int8Blocks


def test_rows_come_back_within_half_a_step_of_their_own_scale():
    torch.manual_seed(0)
    blocks = Int8Blocks(
        torch.zeros(3, 4, 2, 8, dtype=torch.int8), torch.zeros(3, 4, 2, dtype=torch.float32)
    )
    rows = torch.randn(5, 2, 8) * torch.tensor([1e-3, 1.0, 300.0, 1.0, 0.0])[:, None, None]
    slots = torch.tensor([11, 0, 5, 6, 7])
    blocks.store(rows, slots)
    scales = blocks.scales.flatten(0, 1)[slots]
    found = blocks.values.flatten(0, 1)[slots].float() * scales.unsqueeze(-1)
    error = (found - rows).abs()
    largest = rows.abs().amax(-1, keepdim=True)
    assert (error <= 0.51 / 127 * largest + 1e-6).all()
    assert torch.equal(found[4], torch.zeros(2, 8))
    untouched = [slot for slot in range(12) if slot not in slots.tolist()]
    assert not blocks.values.flatten(0, 1)[untouched].any()
