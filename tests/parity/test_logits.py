# SPDX-License-Identifier: Apache-2.0
"""The network against transformers' own, with the same random weights, in float32 on the CPU.

Tolerance 1e-4 on logits of size 5: float32 sums of some thousand terms in another order differ by about 1e-5.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from finesight.batch import pack
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import (
    Grid,
    draw_runs,
    randomize,
    sample_from,
    small_config,
    yarn_config,
)
from tests.support.model_reference import (
    media_inputs,
    reference_batch_logits,
    reference_logits,
    reference_of,
)

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4

CONFIGS = {
    "plain": small_config,
    "tied": lambda: small_config(tie_word_embeddings=True),
    "one key-value head": lambda: small_config(num_key_value_heads=1),
    "yarn": yarn_config,
}


@cache
def pair(name: str, attention: str = "sdpa"):
    """Our model and the reference with its weights."""
    model = VisionLanguageModel(CONFIGS[name](), attention=attention).eval()
    randomize(model)
    return model, reference_of(model)


def our_logits(model, samples):
    batch = pack(samples)
    batch.check()
    with torch.inference_mode():
        return model.logits(model(batch))


def assert_equal_logits(name: str, seeds: range, max_patches: int, attention: str = "sdpa") -> None:
    model, reference = pair(name, attention)
    for seed in seeds:
        runs = draw_runs(seed, max_patches)
        sample = sample_from(runs, seed)
        ours, theirs = our_logits(model, [sample]), reference_logits(reference, sample)
        difference = (ours - theirs).abs().max().item()
        assert difference <= TOLERANCE, f"case {seed} {runs}: {difference}"
        assert theirs.std() > 0.5, "the weights say too little for the comparison to mean something"


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_drawn_cases(name):
    assert_equal_logits(name, range(24 if name == "plain" else 8), 1024)


def test_logits_of_the_reference_back_end():
    assert_equal_logits("plain", range(4), 256, attention="reference")


@pytest.mark.slow
def test_logits_of_300_cases_of_up_to_4096_patches():
    assert_equal_logits("plain", range(1000, 1300), 4096)


@pytest.mark.slow
def test_last_layer_states_of_20_large_cases():
    model, reference = pair("plain")
    for seed in range(20):
        sides = [(60 + 4 * seed, 150 - 4 * seed), (150, 20 + 2 * seed)]
        grid = Grid((1, *sides[seed % 2])) if seed % 3 else Grid((6, 40, 2 * (seed + 20)), 1.0)
        sample = sample_from([30, grid, 40], seed)
        with torch.inference_mode():
            ours = model(pack([sample]))
            theirs = reference.model(
                input_ids=sample.input_ids[None],
                position_ids=sample.position_ids[:, None],
                **media_inputs([sample], torch.float32),
            ).last_hidden_state[0]
        assert (ours - theirs).abs().max() <= TOLERANCE, f"case {seed}: {grid}"


@pytest.mark.parametrize("seed", range(4))
def test_packed_is_batched_is_one_by_one(seed):
    """Ours to 1e-5; the reference's padded batch to 1e-5 of the largest logit, since it sums in another order."""
    model, reference = pair("plain")
    samples = [sample_from(draw_runs(10 * seed + index, 256), index) for index in range(5)]
    packed = our_logits(model, samples).split([sample.input_ids.numel() for sample in samples])
    batched = reference_batch_logits(reference, samples, side=("left", "right")[seed % 2])
    for ours, sample, theirs in zip(packed, samples, batched, strict=True):
        assert (ours - our_logits(model, [sample])).abs().max() <= 1e-5
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_gradients_agree():
    """Backward through windows, full layers, merger, scatter and decoder, weight by weight."""
    model, reference = pair("plain")
    sample = sample_from([4, Grid((1, 10, 14)), 5, Grid((2, 6, 4), 1.0), 6], 3)
    weight = torch.linspace(-1, 1, model.config.text.vocab_size)
    model.logits(model(pack([sample]))).tanh().matmul(weight).mean().backward()
    out = reference(
        input_ids=sample.input_ids[None],
        position_ids=sample.position_ids[:, None],
        **media_inputs([sample], torch.float32),
    )
    out.logits.tanh().matmul(weight).mean().backward()
    theirs = {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): p.grad
        for name, p in reference.named_parameters()
    }
    for name, parameter in model.named_parameters():
        scale = theirs[name].abs().max().clamp(min=1e-6)
        assert (parameter.grad - theirs[name]).abs().max() / scale <= 1e-3, name
    model.zero_grad()
    reference.zero_grad()


def test_half_precision_is_as_close_to_the_truth_as_the_reference():
    """bfloat16 against our own float32: the reference's error is the yardstick, 10 % is noise."""
    truth_model, _ = pair("plain")
    model = VisionLanguageModel(truth_model.config).eval()
    model.load_state_dict(truth_model.state_dict())
    model.to(torch.bfloat16)
    rounded = VisionLanguageModel(truth_model.config).eval()
    rounded.load_state_dict(model.state_dict())
    reference = reference_of(model)
    ours, theirs = [], []
    for seed in range(8):
        sample = sample_from([5, Grid((1, 26, 30)), *draw_runs(seed, 512)], seed)
        truth = our_logits(rounded, [sample])
        ours.append((our_logits(model, [sample]).float() - truth).square().mean())
        theirs.append((reference_logits(reference, sample).float() - truth).square().mean())
    assert torch.stack(ours).mean().sqrt() <= 1.1 * torch.stack(theirs).mean().sqrt()
