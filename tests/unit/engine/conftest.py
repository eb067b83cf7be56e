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

    It writes the tokens it is given into the KV cache, as keys of the first layer, and finds the steps from what the
    cache holds: the answer begins after the last opening of an assistant turn. So a wrong slot or block table gives
    wrong text. Hidden states hold two numbers, the step of a token in its answer and whether its sequence is `broken`.
    """

    device = torch.device("cpu")
    dtype = torch.float32
    attention = "sdpa"

    def __init__(self, config: ModelConfig, script, opening: list[int]) -> None:
        super().__init__()
        self.config = config
        self.script = script
        self.opening = opening
        self.lm_head = torch.nn.Identity()
        self.visual = torch.nn.Identity()
        self.broken: tuple[int, int] = (-1, -1)
        """A token, and the step whose logits are NaN in the sequences that hold it."""
        self.vision_calls = 0
        self.positions: list[list[int]] = []
        self.batches: list[list[int]] = []
        """New tokens of each sequence, per forward pass."""

    def encode_vision(self, vision):
        self.vision_calls += 1
        return torch.zeros(vision.patches.shape[0] // 4, self.config.text.hidden_size)

    def forward(self, batch, *, vision_embeds=None, kv=None):
        plan = batch.attention
        self.positions.append(batch.position_ids[:, -1].tolist())
        self.batches.append(list(plan.query_lengths))
        if kv is None:
            return torch.tensor([[0, 0]] * len(batch.input_ids)).float()
        slots = kv.keys[0].flatten(0, 1)[:, 0, 0]
        slots[plan.slot_mapping] = batch.input_ids.float()
        hidden = []
        lengths = zip(plan.query_lengths, plan.key_lengths, strict=True)
        for place, (new, total) in enumerate(lengths):
            blocks = plan.block_table[place].long()
            known = slots.view(-1, kv.block_size)[blocks].flatten()[:total].int().tolist()
            begin = last_start(known, self.opening)
            is_marked = self.broken[0] in known
            hidden += [[token - begin, is_marked] for token in range(total - new, total)]
        return torch.tensor(hidden).float()

    def logits(self, hidden):
        if not len(hidden):
            return torch.empty(0, self.config.text.vocab_size)
        rows = [self.script(int(step)) for step, _ in hidden]
        for row, (step, is_marked) in zip(rows, hidden.int().tolist(), strict=True):
            if is_marked and step == self.broken[1]:
                row.fill_(float("nan"))
        return torch.stack(rows)


def last_start(tokens: list[int], opening: list[int]) -> int:
    """Index of the last token of the last opening of an assistant turn; its row predicts step 0."""
    size = len(opening)
    for start in range(len(tokens) - size, -1, -1):
        if tokens[start : start + size] == opening:
            return start + size - 1
    return len(tokens)  # inside a prompt


@pytest.fixture(scope="session")
def tiny_config(tiny_hf_config) -> ModelConfig:
    return ModelConfig.from_hf(tiny_hf_config)


@pytest.fixture(scope="session")
def processor(tiny_tokenizer, tiny_config) -> Processor:
    return Processor(tiny_tokenizer, tiny_config)


@pytest.fixture(scope="session")
def opening(tiny_tokenizer) -> list[int]:
    """Tokens that open an assistant turn."""
    return [tiny_tokenizer.special_id("<|im_start|>"), *tiny_tokenizer.encode("assistant\n")]


@pytest.fixture
def says(tiny_tokenizer, tiny_config, opening):
    """`says("text")`: a model that writes the text and ends; `says(ids)`: exactly these tokens."""

    def build(script) -> ScriptedModel:
        if isinstance(script, str):
            script = [*tiny_tokenizer.encode(script), tiny_tokenizer.special_id("<|im_end|>")]

        def logits(step: int) -> torch.Tensor:
            row = torch.full((tiny_config.text.vocab_size,), -10.0)
            row[script[step % len(script)]] = 10.0
            return row

        return ScriptedModel(tiny_config, logits, opening)

    return build


@pytest.fixture
def scripted(tiny_config, opening):
    """`scripted(function of the step)`: a model with these logits."""
    return lambda script: ScriptedModel(tiny_config, script, opening)


@pytest.fixture(scope="session")
def question() -> Conversation:
    return Conversation((Message("user", (TextPart("What is this?"),)),))
