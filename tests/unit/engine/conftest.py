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

    Hidden states hold two numbers, the step of their token in its answer and the block of their sequence; that is all
    that `logits` needs.
    """

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, config: ModelConfig, script) -> None:
        super().__init__()
        self.config = config
        self.script = script
        self.lm_head = torch.nn.Identity()
        self.prompt_tokens: dict[int, int] = {}
        self.broken: set[tuple[int, int]] = set()
        """Block and step of logits that are NaN."""
        self.vision_calls = 0
        self.positions: list[list[int]] = []

    def encode_vision(self, vision):
        self.vision_calls += 1
        return torch.zeros(vision.patches.shape[0] // 4, self.config.text.hidden_size)

    def forward(self, batch, *, vision_embeds=None, kv=None):
        plan = batch.attention
        hidden = []
        for index, (new, total) in enumerate(
            zip(plan.query_lengths, plan.key_lengths, strict=True)
        ):
            block = -1 - index if plan.block_table is None else int(plan.block_table[index, 0])
            if new == total:
                self.prompt_tokens[block] = total
            start = total - new - self.prompt_tokens[block] + 1
            hidden += [[step, block] for step in range(start, start + new)]
        self.positions.append(batch.position_ids[:, -1].tolist())
        return torch.tensor(hidden).float()

    def logits(self, hidden):
        rows = [self.script(int(step)) for step, _ in hidden]
        for row, (step, block) in zip(rows, hidden.int().tolist(), strict=True):
            if (block, step) in self.broken:
                row.fill_(float("nan"))
        return torch.stack(rows)


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
