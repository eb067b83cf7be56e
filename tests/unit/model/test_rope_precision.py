# SPDX-License-Identifier: Apache-2.0
"""Rotary angles are exact in a half-precision model, however far away the token or patch is."""

from __future__ import annotations

import math

import pytest
import torch

from finesight.batch import pack
from finesight.config.model import TextConfig, VisionConfig, YarnConfig
from finesight.model import rope
from finesight.model.rope import apply_rotary, text_frequencies, text_rotary, vision_rotary
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import Grid, randomize, sample_from, small_config

HEAD = 128
"""Head size of the published text decoders."""


def published_text(**changes) -> TextConfig:
    """The rotary numbers of Qwen2.5-VL-7B."""
    numbers = {
        "vocab_size": 64,
        "hidden_size": HEAD,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
        "mrope_section": (16, 24, 24),
        "rope_theta": 1_000_000.0,
    }
    return TextConfig(**numbers | changes)


def published_vision() -> VisionConfig:
    """Heads of 80 values, as the published towers have."""
    return VisionConfig(
        depth=1,
        hidden_size=160,
        intermediate_size=64,
        num_heads=2,
        out_hidden_size=64,
        full_attention_layers=(0,),
    )


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def default_dtype(request):
    """Frameworks build half-precision models under such a default."""
    before = torch.get_default_dtype()
    text_frequencies.cache_clear()
    rope.vision_frequencies.cache_clear()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)
    text_frequencies.cache_clear()
    rope.vision_frequencies.cache_clear()


def angle(position: int, pair: int, size: int, theta: float) -> float:
    return position / theta ** (2 * pair / size)


def test_angles_of_a_distant_token(default_dtype):
    positions = (100_003, 90_001, 80_021)
    rotary = text_rotary(torch.tensor(positions).unsqueeze(1), published_text())
    axes = [0] * 16 + [1] * 24 + [2] * 24
    angles = [angle(positions[axis], pair, HEAD, 1e6) for pair, axis in enumerate(axes)]
    assert rotary.cos.dtype == rotary.sin.dtype == torch.float32
    assert rotary.cos.shape == rotary.sin.shape == (1, 1, HEAD)
    cos = torch.tensor([math.cos(a) for a in angles], dtype=torch.float32)
    sin = torch.tensor([math.sin(a) for a in angles], dtype=torch.float32)
    # float32 places an angle of 100,000 radians to 1/128.
    near = {"atol": 2e-2, "rtol": 0.0}
    torch.testing.assert_close(rotary.cos[0, 0], torch.cat((cos, cos)), **near)
    torch.testing.assert_close(rotary.sin[0, 0], torch.cat((-sin, sin)), **near)


def test_angles_of_a_distant_patch(default_dtype):
    config = published_vision()
    rotary = vision_rotary(torch.tensor([[1001, 517]]), config)
    quarter, theta = config.head_dim // 4, 10_000.0
    assert rotary.cos.dtype == rotary.sin.dtype == torch.float32
    assert rotary.cos.shape == rotary.sin.shape == (1, 1, 4 * quarter)
    for axis, position in enumerate((1001, 517)):
        for pair in range(quarter):
            true = angle(position, pair, 2 * quarter, theta)
            place = axis * quarter + pair
            for half, sign in ((0, -1.0), (2 * quarter, 1.0)):
                assert float(rotary.cos[0, 0, half + place]) == pytest.approx(
                    math.cos(true), abs=1e-3
                )
                assert float(rotary.sin[0, 0, half + place]) == pytest.approx(
                    sign * math.sin(true), abs=1e-3
                )


def test_a_half_precision_head_is_turned_exactly_and_rounded_once():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(64, 2, HEAD, generator=generator).bfloat16()
    rotary = text_rotary(torch.randint(0, 30_000, (3, 64), generator=generator), published_text())
    cos, sin = rotary.cos.double(), rotary.sin.double()
    wide = states.double()
    first, second = wide.chunk(2, dim=-1)
    exact = wide * cos + torch.cat((second, first), -1) * sin
    found = apply_rotary(states, rotary)
    assert found.dtype == torch.bfloat16
    # A value between two neighbours may be rounded by way of float32; nothing else differs.
    assert (found == exact.bfloat16()).double().mean() > 0.999


def test_a_model_cast_to_half_precision_keeps_its_angles(monkeypatch):
    """`model.to(bfloat16)` rounds weights; what the layers are turned by has to stay as it was."""
    seen = []
    turn = rope.apply_rotary

    def watch(states, rotary):
        seen.append(rotary)
        return turn(states, rotary)

    for module in ("attention", "language", "vision"):
        monkeypatch.setattr(f"finesight.model.{module}.apply_rotary", watch, raising=False)
    config = small_config()
    model = VisionLanguageModel(config).eval()
    randomize(model)
    angles = []
    for dtype in (torch.float32, torch.bfloat16):
        seen.clear()
        model.to(dtype)
        with torch.inference_mode():
            model(pack([sample_from([40, Grid((1, 10, 14)), 60], 0)]))
        angles.append([(rotary.cos.clone(), rotary.sin.clone()) for rotary in seen])
    assert len(angles[0]) == len(angles[1])
    assert len(angles[0]) >= 2 * (config.text.num_hidden_layers + config.vision.depth)
    for before, after in zip(*angles, strict=True):
        assert after[0].dtype == torch.float32
        assert torch.equal(before[0], after[0])
        assert torch.equal(before[1], after[1])


def test_yarn_of_the_published_models():
    """Qwen2.5 with factor 4 over 32,768 tokens: pairs up to 23 stay, pairs from 40 on are stretched whole.

    A pair turns `32768 / (2 pi * 10^(6 pair / 64))` times over the trained context: 32 times at pair 23.6 and once at
    pair 39.65. The ramp goes from the pair below the first to the pair above the second, 17 steps.
    """
    plain, _ = text_frequencies(published_text())
    yarn = YarnConfig(factor=4.0, original_max_position_embeddings=32_768)
    stretched, scale = text_frequencies(published_text(yarn=yarn))
    share = [min(max((pair - 23) / 17, 0.0), 1.0) for pair in range(HEAD // 2)]
    expected = plain * torch.tensor([1 - s + s / 4 for s in share])
    torch.testing.assert_close(stretched, expected, rtol=1e-5, atol=0.0)
    assert torch.equal(stretched[:24], plain[:24])
    assert torch.equal(stretched[40:], plain[40:] / 4)
    assert float(stretched[39] / plain[39]) == pytest.approx(1 / 17 + 4 / 17, rel=1e-5)
    assert scale == pytest.approx(0.1 * math.log(4) + 1)


def test_yarn_of_a_context_so_short_that_no_pair_turns_often():
    """The fast end of the ramp would lie below pair 0 and is pair 0: no pair is stretched by a negative share."""
    yarn = YarnConfig(factor=2.0, original_max_position_embeddings=64)
    plain, _ = text_frequencies(published_text())
    stretched, _ = text_frequencies(published_text(yarn=yarn))
    # 64 / (2 pi turns): 32 turns at pair -5.3, one turn at pair 10.75; the ramp is pairs 0 to 11.
    share = [min(pair / 11, 1.0) for pair in range(HEAD // 2)]
    expected = plain * torch.tensor([1 - s + s / 2 for s in share])
    torch.testing.assert_close(stretched, expected, rtol=1e-5, atol=0.0)


def test_yarn_of_a_context_longer_than_any_turn():
    """The slow end of the ramp ends at the last value of a head, not beyond."""
    yarn = YarnConfig(factor=2.0, original_max_position_embeddings=1 << 60)
    plain, _ = text_frequencies(published_text())
    stretched, _ = text_frequencies(published_text(yarn=yarn))
    first = math.floor(HEAD * math.log((1 << 60) / (64 * math.pi)) / (2 * math.log(1e6)))
    assert first > HEAD // 2  # every pair turns more than 32 times
    assert torch.equal(stretched, plain)


def test_yarn_with_both_ends_at_one_pair_is_a_step():
    yarn = YarnConfig(
        factor=2.0, original_max_position_embeddings=1 << 60, beta_fast=1e15, beta_slow=1e15
    )
    plain, _ = text_frequencies(published_text())
    stretched, _ = text_frequencies(published_text(yarn=yarn))
    ratio = (stretched / plain).round(decimals=4)
    assert set(ratio.tolist()) <= {0.5, 1.0}
    assert bool((ratio.diff() <= 0).all())


def test_rows_of_angles_are_taken_by_index():
    rotary = text_rotary(torch.arange(6).expand(3, 6), published_text())
    some = rotary.rows(torch.tensor([4, 1]))
    assert torch.equal(some.cos, rotary.cos[[4, 1]])
    assert torch.equal(some.sin, rotary.sin[[4, 1]])


def test_yarn_lengthens_cosine_and_sine():
    """Both factors carry the scale: a token at position 0 is longer by it, and so is every other."""
    yarn = YarnConfig(factor=4.0, original_max_position_embeddings=32_768)
    long = text_rotary(torch.tensor([[0, 5]] * 3), published_text(yarn=yarn))
    scale = 0.1 * math.log(4) + 1
    torch.testing.assert_close(long.cos[0, 0], torch.full((HEAD,), scale))
    lengths = (long.cos**2 + long.sin**2).sqrt()
    torch.testing.assert_close(lengths, torch.full_like(lengths, scale))
    frequencies, _ = text_frequencies(published_text(yarn=yarn))
    torch.testing.assert_close(long.sin[1, 0, HEAD // 2 :], (5 * frequencies).sin() * scale)


@pytest.mark.parametrize(("factor", "scale"), [(1.0, 1.0), (1.5, 0.1 * math.log(1.5) + 1)])
def test_the_scale_of_small_factors(factor, scale):
    yarn = YarnConfig(factor=factor, original_max_position_embeddings=32_768)
    assert text_frequencies(published_text(yarn=yarn))[1] == pytest.approx(scale)
