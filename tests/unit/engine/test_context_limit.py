# SPDX-License-Identifier: Apache-2.0
"""The context is used to its last token and not beyond."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image

from finesight.api.model import load
from finesight.config.model import ModelConfig
from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.engine.block_pool import BlockPool
from finesight.engine.engine import Engine
from finesight.engine.feature_cache import FeatureCache
from finesight.engine.request import Request
from finesight.engine.runner import Runner, check_length
from finesight.engine.sampler import Pick, Sampler
from finesight.engine.scheduler import Scheduler
from finesight.engine.sequence import Sequence, extended
from finesight.engine.transcript import Transcript
from finesight.errors import DecodeError, PromptTooLong
from finesight.model.cache import KVCache
from finesight.model.weights import load_model
from finesight.processor import prepare

ANSWERED = Conversation(
    (Message("user", (TextPart("What is this?"),)), Message("assistant", (TextPart("A cat."),)))
)


def limited(config: ModelConfig, tokens: int) -> ModelConfig:
    text = config.text.model_copy(update={"max_position_embeddings": tokens})
    return config.model_copy(update={"text": text})


@pytest.mark.parametrize(("prompt", "answer"), [(4000, 96), (4096, 0), (1, 4095)])
def test_prompt_and_answer_may_fill_the_context(prompt, answer):
    check_length(prompt, answer, 4096)


@pytest.mark.parametrize(
    ("prompt", "answer", "hint"),
    [
        (4000, 97, "lower max_new_tokens to 96, or"),
        (4095, 2, "lower max_new_tokens to 1, or"),
        (4096, 1, "^shorten the text, or give pictures"),
        (5000, 1, "^shorten the text, or give pictures"),
    ],
)
def test_one_token_more_is_refused_with_what_would_fit(prompt, answer, hint):
    with pytest.raises(
        PromptTooLong, match=f"{prompt} tokens.*{prompt + answer} together"
    ) as found:
        check_length(prompt, answer, 4096)
    assert "context is 4096" in found.value.message
    assert re.search(hint, found.value.hint)


def test_an_answer_may_end_at_the_last_place(says, processor, question):
    model = says("abcdefghij")
    length = processor.encode(question).input_ids.numel()
    model.config = limited(model.config, length + 3)
    engine = Engine(model, processor)
    reply = engine.respond([question], Sampling(max_new_tokens=3))[0]
    assert len(reply.token_ids) == 3
    with pytest.raises(PromptTooLong):
        engine.respond([question], Sampling(max_new_tokens=4))


def test_a_scored_conversation_may_fill_the_context(says, processor):
    model = says("abc")
    length = processor.encode(ANSWERED, add_generation_prompt=False).input_ids.numel()
    model.config = limited(model.config, length)
    assert Engine(model, processor).score([ANSWERED])[0]
    model.config = limited(model.config, length - 1)
    with pytest.raises(PromptTooLong, match=f"{length} tokens.*context is {length - 1}"):
        Engine(model, processor).score([ANSWERED])


def test_scores_of_every_token_up_to_the_limit(tiny_model_folder):
    model = load(tiny_model_folder, device="cpu")
    question = [{"role": "user", "content": "What is this?"}]
    length = model.encode(question).input_ids.numel()
    config = model.network.config
    model.network.config = limited(config, length)
    assert model.logits(question).shape[0] == length
    model.network.config = limited(config, length - 1)
    with pytest.raises(PromptTooLong):
        model.logits(question)


def with_picture(processor, picture):
    return processor.encode(
        Conversation((Message("user", (ImagePart(source=picture), TextPart("?"))),))
    )


def test_the_answer_goes_on_from_the_largest_position(processor, picture):
    """A picture takes more tokens than positions, so an index is no position."""
    sample = with_picture(processor, picture)
    length, last = sample.input_ids.numel(), int(sample.position_ids.max())
    assert last + 1 < length
    longer = extended(sample, [7, 8, 9])
    assert longer.input_ids[length:].tolist() == [7, 8, 9]
    assert longer.position_ids[:, length:].tolist() == [[last + 1, last + 2, last + 3]] * 3
    assert longer.labels[length:].tolist() == [-100] * 3
    assert torch.equal(longer.position_ids[:, :length], sample.position_ids)
    assert extended(sample, []) is sample


def test_token_by_token_is_one_forward_over_the_longer_sample(
    tiny_model_folder, processor, picture
):
    """What looks for the layer that gave NaN sees the numbers that the decoding saw."""
    from finesight.batch import pack

    network = load_model(tiny_model_folder).float().eval()
    sample = with_picture(processor, picture)
    sampling = Sampling(max_new_tokens=3)
    transcript = Transcript(processor.tokenizer, sampling, ())
    kv = KVCache(network.config.text, num_blocks=40, block_size=8)
    sequence = Sequence(sample, Sampler(sampling, sample.input_ids), transcript, block_size=8)
    runner = Runner(network, kv, FeatureCache(0), lambda *stage: None)
    scheduler = Scheduler(BlockPool(40, 8), max_sequences=1, max_step_tokens=500)
    scheduler.add(sequence)
    steps = []
    for token in (7, 8, 9, None):
        chunks = scheduler.schedule()
        steps.append(runner.step(chunks)[0])
        scheduler.advance(chunks)
        if token is not None:
            sequence.push(Pick(token))
    with torch.inference_mode():
        hidden = network(pack([extended(sample, [7, 8, 9])]))
        whole = network.logits(hidden[-4:])
    torch.testing.assert_close(torch.stack(steps), whole, atol=1e-4, rtol=1e-4)


def pictures(sources) -> Conversation:
    return Conversation((Message("user", tuple(ImagePart(source=each) for each in sources)),))


def test_too_many_pictures_are_refused_before_one_is_decoded(tmp_path, processor, monkeypatch):
    """3,000 pictures were all decoded, and their patches filled the memory, before the prompt was too long."""
    path = tmp_path / "a.png"
    Image.new("RGB", (560, 560)).save(path)
    context = processor.model_config.text.max_position_embeddings
    request = Request(conversation=pictures([path] * 3000), sampling=Sampling(max_new_tokens=8))
    with monkeypatch.context() as patched:
        patched.setattr(prepare, "load_image", lambda *_: pytest.fail("a picture is decoded"))
        with pytest.raises(PromptTooLong) as found:
            request.encode(processor)
    assert "the 3000 pictures and videos take at least 1,200,000 tokens" in found.value.message
    assert f"the context has room for {context - 8:,}" in found.value.message


def test_what_is_fetched_is_refused_as_soon_as_it_is_too_much(tmp_path, processor, monkeypatch):
    """Sizes of pictures behind addresses are known once they are fetched: the rest is not."""
    monkeypatch.setattr(prepare, "at_hand", lambda *_, **__: Image.new("RGB", (280, 280)))
    with pytest.raises(
        PromptTooLong, match="the first 3 of 9 pictures and videos take at least 300"
    ):
        processor.encode(pictures(["http://host/a.png"] * 9), max_tokens=250)
    assert processor.encode(pictures(["http://host/a.png"] * 2), max_tokens=200)


def test_the_header_names_the_broken_picture(tmp_path, processor):
    whole = tmp_path / "a.png"
    Image.new("RGB", (28, 28)).save(whole)
    with pytest.raises(DecodeError, match="broken PNG") as found:
        processor.encode(pictures([whole, b"\x89PNG\r\n"]), max_tokens=99)
    assert found.value.item == 1
