# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from finesight.batch import pack, pack_vision
from finesight.model.vision import VisionTransformer
from tests.support.model_cases import (
    Grid,
    draw_runs,
    randomize,
    sample_from,
    small_config,
    vision_input,
)

CONFIG = small_config().vision


@pytest.fixture(scope="module")
def tower():
    network = VisionTransformer(CONFIG, attention="sdpa").eval()
    randomize(network)
    return network


def item(thw, seed=0):
    return vision_input(Grid(thw), torch.Generator().manual_seed(seed), CONFIG)


@torch.inference_mode()
def encode(tower, items):
    return tower(pack_vision(items))


def test_a_single_picture_moves_no_row():
    """Windows of equal length are neighbours in the window order."""
    vision = pack_vision([item((1, 10, 18))])
    assert vision.window.order is None
    assert vision.frame.order is None
    lengths = [length for _, length in vision.window.batches]
    assert len(lengths) == len(set(lengths))


def test_frame_pairs_of_equal_size_move_no_row_in_full_blocks():
    assert pack_vision([item((3, 10, 18)), item((1, 10, 18))]).frame.order is None


def test_frame_pairs_and_pictures_do_not_see_each_other(tower):
    items = [item((3, 6, 10), 1), item((1, 12, 4), 2)]
    together = encode(tower, items).split([45, 12])
    changed = item((3, 6, 10), 1)
    changed.patches[60:120] = 0  # the second of three frame pairs
    states = encode(tower, [changed, items[1]]).split([45, 12])
    torch.testing.assert_close(states[1], together[1])
    torch.testing.assert_close(states[0][:15], together[0][:15])
    torch.testing.assert_close(states[0][30:], together[0][30:])
    assert (states[0][15:30] - together[0][15:30]).abs().max() > 0.01


@pytest.mark.parametrize("seed", range(6))
def test_back_ends_agree_on_drawn_cases(tower, seed):
    other = VisionTransformer(CONFIG, attention="reference").eval()
    other.load_state_dict(tower.state_dict())
    sample = sample_from([1, Grid((1, 4, 6)), *draw_runs(seed, 400)], seed)
    batch = pack([sample])
    with torch.inference_mode():
        ours, theirs = (network(batch.vision) for network in (tower, other))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_order_of_pictures_is_kept(tower):
    items = [item((1, 4, 4), 1), item((1, 20, 20), 2), item((1, 4, 4), 3)]
    alone = torch.cat([encode(tower, [part]) for part in items])
    torch.testing.assert_close(encode(tower, items), alone, atol=1e-5, rtol=1e-5)


def test_patch_embedding_is_the_convolution(tower):
    patches = item((1, 4, 6)).patches
    embed = tower.patch_embed
    cubes = patches.view(-1, 3, 2, 14, 14)
    torch.testing.assert_close(embed(patches), embed.proj(cubes).flatten(1), atol=1e-4, rtol=1e-4)


def test_half_precision_slices_are_close_to_float32(tower):
    """More rows than a slice holds, and a frame pair long enough for blocks of rows."""
    half = VisionTransformer(CONFIG, attention="sdpa").eval()
    half.load_state_dict(tower.state_dict())
    half.to(torch.bfloat16)
    items = [item((1, 40, 60))]
    truth = encode(tower, items)
    error = (
        encode(half, items).float() - truth
    ).square().mean().sqrt() / truth.square().mean().sqrt()
    assert error < 0.03
