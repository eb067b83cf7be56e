# SPDX-License-Identifier: Apache-2.0
"""The doctor finds a right model right, and names the first layer of a wrong one."""

from __future__ import annotations

import pytest
import torch

from finesight.doctor.check import broken_weights, compare
from finesight.doctor.reference import load_reference
from finesight.model.weights import load_model
from finesight.processor.processor import Processor

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def reference(tiny_model_folder):
    return load_reference(tiny_model_folder, torch.float32)


@pytest.fixture(scope="module")
def processor(tiny_model_folder):
    return Processor.from_folder(tiny_model_folder)


@pytest.fixture
def network(tiny_model_folder):
    return load_model(tiny_model_folder, dtype=torch.float32)


def test_a_right_model_is_found_right(network, processor, reference):
    results = list(compare(network, processor, reference))
    assert [result.first_difference for result in results] == [None] * len(results)
    names = {result.name for result in results}
    assert {"video", "three pictures", "all in one pack", "side by side in a cache"} <= names
    pictures = next(result for result in results if result.name == "odd picture")
    assert list(pictures.differences)[:3] == [
        "position_ids",
        "visual.patch_embed",
        "visual.blocks.0",
    ]
    assert list(pictures.differences)[-1] == "lm_head"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("visual.patch_embed.proj.weight", "visual.patch_embed"),
        ("visual.blocks.2.attn.qkv.bias", "visual.blocks.2"),
        ("visual.merger.mlp.2.weight", "visual.merger"),
        ("model.layers.1.mlp.up_proj.weight", "model.layers.1"),
        ("model.norm.weight", "model.norm"),
    ],
)
def test_the_first_layer_that_differs_is_named(network, processor, reference, broken, named):
    weight = dict(network.named_parameters())[broken]
    with torch.no_grad():
        weight.mul_(1.2).add_(0.01)
    results = {result.name: result for result in compare(network, processor, reference)}
    assert results["odd picture"].first_difference == named
    assert results["all in one pack"].first_difference == "lm_head"


def test_nan_in_a_weight_is_named(network):
    with torch.no_grad():
        network.model.layers[0].mlp.down_proj.weight[0, 0] = float("nan")
    assert broken_weights(network) == ["model.layers.0.mlp.down_proj.weight"]
