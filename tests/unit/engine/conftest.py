# SPDX-License-Identifier: Apache-2.0
"""A model that says what it is told, so that the engine is tested without weights."""

from __future__ import annotations

import pytest
import torch

from finesight.config.model import ModelConfig
from finesight.conversation import Conversation, Message, TextPart
from finesight.processor.processor import Processor


class ScriptedModel(torch.nn.Module):
    """Gives logits from a function of the step: `script(step) -> float32[V]`.

    Hidden states hold one number, the index of their token; that is all `logits` needs.
    """

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, config: ModelConfig, script) -> None:
        super().__init__()
        self.config = config
        self.script = script
        self.lm_head = torch.nn.Identity()
        self.prompt_tokens = 0
        self.vision_calls = 0
        self.positions: list[list[int]] = []

    def encode_vision(self, vision):
        self.vision_calls += 1
        return torch.zeros(vision.patches.shape[0] // 4, self.config.text.hidden_size)

    def forward(self, batch, *, vision_embeds=None, kv=None):
        start = batch.attention.key_lengths[0] - batch.attention.query_lengths[0]
        if start == 0:
            self.prompt_tokens = batch.input_ids.numel()
        self.positions.append(batch.position_ids[:, -1].tolist())
        return torch.arange(start, start + batch.input_ids.numel()).float()[:, None]

    def logits(self, hidden):
        steps = [int(row) - self.prompt_tokens + 1 for row in hidden[:, 0]]
        return torch.stack([self.script(step) for step in steps])


@pytest.fixture(scope="session")
def tiny_config(tiny_hf_config) -> ModelConfig:
    return ModelConfig.from_hf(tiny_hf_config)


@pytest.fixture(scope="session")
def processor(tiny_tokenizer, tiny_config) -> Processor:
    return Processor(tiny_tokenizer, tiny_config)


@pytest.fixture
def says(tiny_tokenizer, tiny_config):
    """`says("text")`: a model that writes the text and ends; `says(ids)`: exactly these tokens."""

    def build(script) -> ScriptedModel:
        if isinstance(script, str):
            script = [*tiny_tokenizer.encode(script), tiny_tokenizer.special_id("<|im_end|>")]

        def logits(step: int) -> torch.Tensor:
            row = torch.full((tiny_config.text.vocab_size,), -10.0)
            row[script[step % len(script)]] = 10.0
            return row

        return ScriptedModel(tiny_config, logits)

    return build


@pytest.fixture
def scripted(tiny_config):
    """`scripted(function of the step)`: a model with these logits."""
    return lambda script: ScriptedModel(tiny_config, script)


@pytest.fixture(scope="session")
def question() -> Conversation:
    return Conversation((Message("user", (TextPart("What is this?"),)),))
