# SPDX-License-Identifier: Apache-2.0
"""Numbers that are not finite end the answer with the name of the layer they came from."""

from __future__ import annotations

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.errors import EngineError
from finesight.model.weights import load_model


@pytest.fixture
def network(tiny_model_folder):
    return load_model(tiny_model_folder)


def ask(network, processor, *parts):
    conversation = Conversation((Message("user", parts),))
    return Engine(network, processor).respond([conversation], Sampling(max_new_tokens=3))[0]


@pytest.mark.parametrize(
    "layer",
    ["visual.blocks.1.attn.qkv", "visual.merger.mlp.0", "model.layers.1.mlp.down_proj"],
)
def test_a_broken_weight_is_named(network, processor, picture, layer):
    with torch.no_grad():
        network.get_submodule(layer).weight[0, 0] = float("nan")
    with pytest.raises(EngineError) as caught:
        ask(network, processor, ImagePart(source=picture), TextPart("What?"))
    assert f"{layer} (its weight holds 1 such values)" in caught.value.message
    assert "token 1 of the answer" in caught.value.message


def test_a_broken_row_of_the_tied_head_is_named(network, processor, picture):
    """The embedding of a token that the prompt does not use: only the output head reads it."""
    assert not list(network.lm_head.parameters())
    with torch.no_grad():
        network.model.embed_tokens.weight[-1, 0] = float("nan")
    with pytest.raises(EngineError, match=r"lm_head \(its weight holds 1 such values\)"):
        ask(network, processor, ImagePart(source=picture), TextPart("What?"))


def test_values_that_grow_too_large_are_named(network, processor, picture):
    with torch.no_grad():
        network.model.layers[0].mlp.up_proj.weight.mul_(1e30)
        network.model.layers[0].mlp.gate_proj.weight.mul_(1e30)
    with pytest.raises(EngineError, match=r"model\.layers\.0\.mlp"):
        ask(network, processor, ImagePart(source=picture), TextPart("What?"))


def test_a_whole_model_answers(network, processor, picture):
    assert ask(network, processor, ImagePart(source=picture), TextPart("What?")).token_ids
