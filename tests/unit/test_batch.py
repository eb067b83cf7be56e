# SPDX-License-Identifier: Apache-2.0
"""What identifies a picture, and lengths that disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch, pack, pack_vision
from finesight.errors import LayoutError
from tests.support.model_cases import Grid, sample_from, small_config, vision_input

VISION = small_config().vision


def item(thw=(1, 4, 6), seed=0, seconds=0.0):
    return vision_input(Grid(thw, seconds), torch.Generator().manual_seed(seed), VISION)


def test_a_digest_is_of_pixels_grid_and_clock_and_of_nothing_else():
    one = item()
    assert one.digest == item().digest
    assert one.digest == replace(one, record=replace(one.record, source="elsewhere")).digest
    assert one.digest == replace(one, patches=one.patches.T.contiguous().T).digest
    others = [
        item(seed=1),
        replace(one, patches=one.patches.double()),
        replace(one, grid_thw=(1, 6, 4)),
        replace(one, position_seconds=(0.5,)),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_one_value_changes_the_digest():
    one, other = item(), item()
    other.patches[-1, -1] += 1e-3
    assert one.digest != other.digest


def test_tokens_of_an_inference_step():
    plan = AttentionPlan.paged([2, 1], [2, 5], [[0], [1]], 8)
    batch = PackedBatch.from_tokens(torch.tensor([7, 8, 9]), torch.zeros(3, 3), plan)
    batch.check()
    assert batch.labels.tolist() == [-100] * 3
    assert batch.sample_ids.tolist() == [0, 0, 1]
    assert batch.visual_index.numel() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels against input_ids: 3 instead of"),
        (
            {"attention": AttentionPlan.from_lengths([4], causal=True)},
            "rows of the attention plan against input_ids: 4 instead of 13",
        ),
        ({"vision": None}, "placeholders of a pack without patches: 6 instead of 0"),
        ({"vision": pack_vision([item((1, 2, 2))])}, "placeholders against grids: 6 instead of 1"),
    ],
)
def test_a_pack_whose_lengths_disagree_is_refused(change, said):
    batch = pack([sample_from([3, Grid((1, 4, 6)), 2])])
    batch.check()
    with pytest.raises(LayoutError, match=said):
        replace(batch, **change).check()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"patches": torch.zeros(20, 6)}, "grids against patches: 24 instead of 20"),
        ({"position_hw": torch.zeros(8, 2)}, "patch positions against patches: 8 instead of 24"),
        ({"window": AttentionPlan.from_lengths([16], causal=False)}, "windows against patches: 16"),
        ({"frame": AttentionPlan.from_lengths([16], causal=False)}, "frame pairs against .* 16"),
        ({"window_index": torch.zeros(6, dtype=torch.int64)}, "window index is not a permutation"),
    ],
)
def test_pictures_whose_lengths_disagree_are_refused(change, said):
    with pytest.raises(LayoutError, match=said):
        replace(pack_vision([item()]), **change).check()
