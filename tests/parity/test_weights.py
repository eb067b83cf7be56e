# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in both directions, and the shapes of the releases, against transformers."""

from __future__ import annotations

import json

import pytest
import torch
import transformers  # its classes are imported when they are named

from finesight.batch import pack
from finesight.config.model import ModelConfig
from finesight.config.sizes import named_config
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import INDEX, load_model, published_name, save_model
from tests.support.model_cases import Grid, randomize, sample_from, small_config, yarn_config
from tests.support.model_reference import reference_logits, reference_of, their_config, their_name

pytestmark = pytest.mark.parity

SAMPLE = sample_from([5, Grid((1, 6, 10)), 8, Grid((2, 4, 4), 1.0), 6], 4)


def build(**text):
    model = VisionLanguageModel(small_config(**text)).eval()
    randomize(model)
    return model


def logits(model):
    with torch.inference_mode():
        return model.logits(model(pack([SAMPLE])))


@pytest.mark.parametrize("name", ["3b", "7b", "32b", "72b"])
def test_names_and_shapes_of_the_releases(name):
    """Every parameter, by the name that transformers' own saving gives it."""
    config = named_config(name)
    with torch.device("meta"):
        model = VisionLanguageModel(config)
        reference = transformers.Qwen2_5_VLForConditionalGeneration(their_config(config))
    reference.tie_weights()
    theirs = {published_name(key): p.shape for key, p in reference.named_parameters()}
    ours = {key: parameter.shape for key, parameter in model.named_parameters()}
    assert ours == theirs
    assert model.num_parameters() == sum(p.numel() for p in reference.parameters())


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("max_shard_bytes", [10**9, 100_000])
def test_transformers_loads_what_we_save(tmp_path, tied, max_shard_bytes):
    model = build(tie_word_embeddings=tied)
    save_model(model, tmp_path, max_shard_bytes=max_shard_bytes)
    reference, report = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(report.values()), report
    assert reference.config.tie_word_embeddings == tied
    theirs = reference_logits(reference.eval(), SAMPLE)
    assert (logits(model) - theirs).abs().max() <= 1e-4


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("original", [True, False])
def test_we_load_what_transformers_saves(tmp_path, tied, original):
    """In the released names, and in the names of its own modules."""
    model = build(tie_word_embeddings=tied)
    reference = reference_of(model)
    reference.save_pretrained(tmp_path, save_original_format=original, max_shard_size="100KB")
    names = list(json.loads((tmp_path / INDEX).read_text())["weight_map"])
    assert any(name.startswith("model.visual.") for name in names) != original
    loaded = load_model(tmp_path)
    assert loaded.config.text == model.config.text
    assert loaded.config.vision == model.config.vision
    assert torch.equal(logits(loaded), logits(model))


def test_yarn_travels_in_both_directions(tmp_path):
    model = VisionLanguageModel(yarn_config()).eval()
    randomize(model)
    save_model(model, tmp_path / "ours")
    reference = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tmp_path / "ours"
    ).eval()
    assert (logits(model) - reference_logits(reference, SAMPLE)).abs().max() <= 1e-4
    reference.save_pretrained(tmp_path / "theirs")
    assert torch.equal(logits(load_model(tmp_path / "theirs")), logits(model))


def test_configurations_that_leave_out_defaults(tmp_path):
    """transformers writes only what differs from its class defaults, when told to."""
    full = their_config(small_config()).to_diff_dict()
    assert ModelConfig.from_hf(json.loads(json.dumps(full))).text == small_config().text


def test_names_map_there_and_back():
    for name in build().state_dict():
        assert published_name(their_name(name)) == name
