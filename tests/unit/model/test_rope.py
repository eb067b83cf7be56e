# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from finesight.config.model import YarnConfig
from finesight.model.rope import (
    apply_rotary,
    text_frequencies,
    text_rotary,
    vision_frequencies,
    vision_rotary,
)
from tests.support.model_cases import small_config, yarn_config

TEXT = small_config().text
VISION = small_config().vision


def turned(states, rotary):
    """The rotation written out, pair by pair."""
    rows, heads, size = states.shape
    out = states.clone().double()
    cos, sin = rotary.cos[:, 0].double(), rotary.sin[:, 0].double()
    for row in range(rows):
        for head in range(heads):
            for pair in range(size // 2):
                first, second = states[row, head, pair], states[row, head, pair + size // 2]
                c, s = cos[row, pair], sin[row, pair + size // 2]
                out[row, head, pair] = first * c - second * s
                out[row, head, pair + size // 2] = second * c + first * s
    return out.float()


def test_rotation_is_the_definition():
    states = torch.randn(5, 3, 16, generator=torch.Generator().manual_seed(0))
    rotary = vision_rotary(torch.randint(0, 9, (5, 2)), VISION)
    torch.testing.assert_close(apply_rotary(states, rotary), turned(states, rotary))


def test_slices_of_a_large_input_are_the_whole():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(9001, 4, 16, generator=generator)
    rotary = vision_rotary(torch.randint(0, 99, (9001, 2), generator=generator), VISION)
    with torch.no_grad():
        sliced = apply_rotary(states, rotary)
    whole = apply_rotary(states.clone().requires_grad_(), rotary)
    assert torch.equal(sliced, whole)


def test_scores_depend_on_distance_alone():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 16, generator=generator)

    def score(at_q, at_k):
        turn = [
            apply_rotary(x, vision_rotary(torch.tensor([at]), VISION))
            for x, at in ((q, at_q), (k, at_k))
        ]
        return (turn[0] * turn[1]).sum()

    torch.testing.assert_close(score((3, 8), (1, 2)), score((13, 28), (11, 22)))


def test_vision_heads_turn_by_row_then_column():
    rotary = vision_rotary(torch.tensor([[5, 0], [0, 7]]), VISION)
    frequencies = vision_frequencies(VISION)
    quarter = VISION.head_dim // 4
    torch.testing.assert_close(rotary.cos[0, 0, :quarter], torch.cos(5 * frequencies))
    assert (rotary.cos[0, 0, quarter : 2 * quarter] == 1).all()
    torch.testing.assert_close(rotary.cos[1, 0, quarter : 2 * quarter], torch.cos(7 * frequencies))


def test_text_pairs_follow_their_section():
    rotary = text_rotary(torch.tensor([[2], [3], [5]]), TEXT)
    frequencies, scale = text_frequencies(TEXT)
    axis_of_pair = torch.tensor([2.0] * 2 + [3.0] * 3 + [5.0] * 3)
    assert scale == 1
    torch.testing.assert_close(rotary.cos[0, 0, :8], torch.cos(axis_of_pair * frequencies))


def test_angles_stay_float32_in_a_half_precision_model():
    rotary = text_rotary(torch.tensor([[100_000]] * 3), TEXT)
    assert rotary.cos.dtype == torch.float32
    states = torch.ones(1, 1, 16, dtype=torch.bfloat16)
    assert apply_rotary(states, rotary).dtype == torch.bfloat16


def test_frequencies_made_in_inference_mode_serve_training():
    text_frequencies.cache_clear()
    with torch.inference_mode():
        text_rotary(torch.zeros(3, 1), TEXT)
    states = torch.randn(1, 1, 16, requires_grad=True)
    apply_rotary(states, text_rotary(torch.ones(3, 1), TEXT)).sum().backward()
    assert states.grad is not None


def test_yarn_keeps_fast_pairs_and_stretches_slow_ones():
    plain, _ = text_frequencies(TEXT)
    yarn, scale = text_frequencies(yarn_config().text)
    assert scale == pytest.approx(0.1 * math.log(4) + 1)
    assert yarn[0] == plain[0]
    assert yarn[-1] == plain[-1] / 4
    assert (yarn.diff() < 0).all()


@pytest.mark.parametrize(("factor", "given", "scale"), [(4.0, 1.5, 1.5), (0.5, None, 1.0)])
def test_yarn_scale(factor, given, scale):
    yarn = YarnConfig(factor=factor, original_max_position_embeddings=32, attention_factor=given)
    assert text_frequencies(small_config(yarn=yarn).text)[1] == scale
