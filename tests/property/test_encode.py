# SPDX-License-Identifier: Apache-2.0
"""Drawn conversations through the processor: every length relation holds, alone and packed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finesight.batch import IGNORE_INDEX, pack
from finesight.config.model import ModelConfig
from finesight.config.processor import ProcessorConfig
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.processor.processor import Processor
from finesight.text.messages import read_messages, write_messages

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["<|im_end|>", "<tool_call>", "<|image_pad|>", "\n\n"]
)


def frame(height, width):
    return np.full((height, width, 3), 7, dtype=np.uint8)


IMAGES = st.builds(
    lambda h, w: ImagePart(source=frame(h, w)), st.integers(1, 90), st.integers(1, 90)
)
VIDEOS = st.builds(
    lambda n, fps: VideoPart(source=(frame(30, 40),) * n, sample_fps=fps, min_pixels=784),
    st.integers(1, 5),
    st.floats(0.25, 10),
)
PARTS = st.builds(TextPart, TEXTS) | IMAGES | VIDEOS
USER = st.builds(Message, st.just("user"), st.lists(PARTS, max_size=3).map(tuple))
ANSWER = st.builds(
    Message,
    st.just("assistant"),
    st.tuples(st.builds(TextPart, TEXTS)),
    is_target=st.booleans(),
)
CONVERSATIONS = st.lists(USER | ANSWER, min_size=1, max_size=4).map(
    lambda messages: Conversation(tuple(messages))
)


@pytest.fixture(scope="module")
def processor(tiny_tokenizer, tiny_hf_config):
    config = ProcessorConfig(min_pixels=784)
    return Processor(tiny_tokenizer, ModelConfig.from_hf(tiny_hf_config), config)


@given(conversations=st.lists(CONVERSATIONS, min_size=1, max_size=3), as_prompt=st.booleans())
def test_samples_and_packs_check(processor, conversations, as_prompt):
    samples = [processor.encode(c, add_generation_prompt=as_prompt) for c in conversations]
    for sample, conversation in zip(samples, conversations, strict=True):
        sample.check()
        plan = processor.plan(conversation, add_generation_prompt=as_prompt)
        assert plan.num_tokens == sample.input_ids.numel()
        assert plan.media == sample.media
    batch = pack(samples)
    batch.check()
    assert torch.equal(batch.position_ids, torch.cat([s.position_ids for s in samples], dim=1))


@given(conversation=CONVERSATIONS)
def test_labels_read_as_the_target_answers(processor, conversation):
    """Joined, the learned tokens are the target answers; a line break at a start may stay with the header."""
    sample = processor.encode(conversation, add_generation_prompt=False)
    learned = sample.labels[sample.labels != IGNORE_INDEX].tolist()
    text = processor.tokenizer.decode(learned, skip_special=False)
    answers = [m for m in conversation.messages if m.role == "assistant" and m.is_target]
    expected = "".join(f"{m.parts[0].text}<|im_end|>\n" for m in answers)
    if not any(m.parts[0].text.startswith(("\n", "\r")) for m in answers):
        assert text == expected
    assert text.count("<|im_end|>") == expected.count("<|im_end|>")


@given(conversation=CONVERSATIONS)
def test_no_text_becomes_a_control_token(processor, conversation):
    sample = processor.encode(conversation, add_generation_prompt=False)
    count = {
        name: int((sample.input_ids == processor.tokenizer.special_id(name)).sum())
        for name in ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
    }
    starts_with_system = conversation.messages[0].role == "system"
    assert count["<|im_start|>"] == len(conversation.messages) + (not starts_with_system)
    assert count["<|im_end|>"] == count["<|im_start|>"]
    assert count["<|vision_start|>"] == count["<|vision_end|>"] == len(sample.vision)


@given(text=st.text(max_size=200))
def test_text_comes_back(tiny_tokenizer, text):
    ids, starts = tiny_tokenizer.encode_with_starts(text)
    assert ids == tiny_tokenizer.encode(text)
    assert tiny_tokenizer.decode(ids) == text
    assert starts == sorted(starts)
    stream = tiny_tokenizer.stream()
    assert "".join(stream.push(token) for token in ids) + stream.finish() == text


@given(conversation=CONVERSATIONS)
def test_written_messages_are_read_back(conversation):
    plain = [Message(m.role, m.parts) for m in conversation.messages]
    back = read_messages(write_messages(plain))
    for old, new in zip(plain, back, strict=True):
        assert new.role == old.role
        assert len(new.parts) == len(old.parts)
        assert [type(part) for part in new.parts] == [type(part) for part in old.parts]
