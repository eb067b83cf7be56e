# SPDX-License-Identifier: Apache-2.0
"""Plans say which rows attend to which, and refuse what cannot be."""

from __future__ import annotations

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import pack
from finesight.errors import LayoutError
from tests.support.model_cases import Grid, sample_from


def test_the_worked_example_of_packed_segments():
    plan = AttentionPlan.from_lengths([4, 2, 4], causal=False)
    assert plan.cu_seqlens_q.tolist() == plan.cu_seqlens_k.tolist() == [0, 4, 6, 10]
    assert plan.cu_seqlens_q.dtype == torch.int32
    assert (plan.max_seqlen_q, plan.max_seqlen_k) == (4, 4)
    assert plan.order.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 4, 5]
    assert plan.batches == ((2, 4), (1, 2))
    assert plan.slot_mapping is None


def test_the_worked_example_of_a_paged_sequence():
    plan = AttentionPlan.paged([1], [6], [[7, 2]], 4)
    assert plan.block_table.tolist() == [[7, 2]]
    assert plan.block_table.dtype == torch.int32
    assert plan.slot_mapping.tolist() == [9]
    assert plan.first_slots == (-1,)


def test_prefill_and_decode_in_one_step():
    plan = AttentionPlan.paged([3, 1], [3, 9], [[5], [1, 2, 3, 8]], 4)
    assert plan.cu_seqlens_q.tolist() == [0, 3, 4]
    assert plan.cu_seqlens_k.tolist() == [0, 3, 12]
    assert (plan.max_seqlen_q, plan.max_seqlen_k) == (3, 9)
    assert plan.block_table.tolist() == [[5, 0, 0], [1, 2, 3]]  # block 8 is not in use yet
    assert plan.slot_mapping.tolist() == [20, 21, 22, 12]
    assert plan.seqused_k.tolist() == [3, 9]
    assert plan.first_slots == (20, 4)


@pytest.mark.parametrize(
    ("new", "total", "said"),
    [
        (0, 5, "sequence 1 has 0 new tokens of 5"),
        (6, 5, "sequence 1 has 6 new tokens of 5"),
        (1, 9, "sequence 1 has 9 tokens, its blocks hold 8"),
    ],
)
def test_a_sequence_that_cannot_be_is_refused(new, total, said):
    with pytest.raises(LayoutError, match=said):
        AttentionPlan.paged([1, new], [1, total], [[0], [1, 2]], 4)


def test_no_segment_is_refused():
    with pytest.raises(LayoutError, match="0 segments"):
        AttentionPlan.from_lengths([], causal=True)


def test_a_batch_moves_with_every_tensor_of_the_records_inside_it():
    batch = pack([sample_from([2, Grid((2, 4, 4), 1.0), 3]), sample_from([3, Grid((1, 6, 10)), 9])])
    moved = batch.to("meta")
    plans = (moved.attention, moved.vision.window, moved.vision.frame)
    assert all(plan.cu_seqlens_k.device.type == plan.order.device.type == "meta" for plan in plans)
    assert moved.vision.patches.device.type == moved.input_ids.device.type == "meta"
    assert moved.attention.query_lengths == batch.attention.query_lengths
    assert moved.vision.window.batches == batch.vision.window.batches
    paged = AttentionPlan.paged([1], [6], [[7, 2]], 4).to("meta")
    assert paged.slot_mapping.device.type == paged.block_table.device.type == "meta"


def test_continuations_share_their_beginning() -> None:
    plan = AttentionPlan.shared([(2, [1, 2]), (1, [1])])
    assert plan.spread is not None
    assert plan.kept is not None
    assert plan.spread.tolist() == [0, 1, 2, 0, 1, 3, 4, 5, 6]
    assert plan.kept.tolist() == [0, 1, 2, 5, 6, 7, 8]
    assert plan.query_lengths == (3, 4, 2)
    assert plan.num_rows == 7
    assert AttentionPlan.from_lengths([3, 4], causal=True).num_rows == 7
    with pytest.raises(LayoutError, match="has no continuation"):
        AttentionPlan.shared([(2, [])])
