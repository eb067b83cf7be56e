# SPDX-License-Identifier: Apache-2.0
"""The embedded model on a CUDA device: the answers of the CPU, with and without CUDA graphs."""

from __future__ import annotations

import pytest
import torch

import finesight
from finesight.api.model import Model
from finesight.conversation import Conversation, Message, Reply, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.errors import ConfigError, EngineError
from finesight.model.fused_gpu import GpuDecoder
from tests.architecture.source import ROOT

pytestmark = pytest.mark.gpu
MEDIA = ROOT / "examples/media"
QUESTION = "Read all the text in the image."


def logits(model: Model) -> torch.Tensor:
    content = [
        {"type": "image", "image": str(MEDIA / "ticket.png")},
        {"type": "text", "text": QUESTION},
    ]
    return model.logits([{"role": "user", "content": content}]).cpu()


def test_logits_agree_with_the_cpu():
    expected = logits(finesight.load("tiny", device="cpu", dtype="float32"))
    found = logits(finesight.load("tiny", device="cuda", dtype="float32"))
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("attention", ["sdpa", "varlen"])
def test_half_precision_stays_near(attention):
    expected = logits(finesight.load("tiny", device="cpu", dtype="float32"))
    found = logits(finesight.load("tiny", device="cuda", dtype="bfloat16", attention=attention))
    error = (found.float() - expected).norm() / expected.norm()
    assert error < 0.05


def test_answers_are_the_same_on_both():
    said = [
        finesight.load("tiny", device=device, dtype="float32")
        .ask(QUESTION, images=[MEDIA / "ticket.png"], max_new_tokens=24)
        .text
        for device in ("cpu", "cuda")
    ]
    assert said[0] == said[1]


def asked(text: str, length: int = 24) -> Request:
    message = Message("user", (TextPart(text),))
    return Request(conversation=Conversation((message,)), sampling=Sampling(max_new_tokens=length))


WORDS = ("one", "two red", "three and four", "a fifth of them", "six")


def answers(model: Model, **options) -> list[Reply]:
    engine = Engine(model.network, model.processor, options=EngineOptions(**options))
    found = dict(engine.run([asked(f"Say {words} ships, and {words} ships.") for words in WORDS]))
    engine.close()
    assert all(isinstance(reply, Reply) for reply in found.values()), found
    return [found[index] for index in range(len(WORDS))]


@pytest.mark.parametrize("attention", ["sdpa", "varlen"])
def test_graphs_change_no_answer(attention):
    """In bfloat16 the sums of another batch may swap tokens that are nearly equal, so the batch is the same."""
    model = finesight.load("tiny", device="cuda", dtype="bfloat16", attention=attention)
    eager = answers(model, cuda_graphs=False, prefix_cache=False)
    graphed = answers(model, prefix_cache=False)
    assert isinstance(model.network.model.fused, GpuDecoder)
    assert [reply.token_ids for reply in graphed] == [reply.token_ids for reply in eager]


def test_batches_and_drafts_on_graphs_give_the_answers_of_the_cpu():
    expected = answers(finesight.load("tiny", device="cpu", dtype="float32"))
    model = finesight.load("tiny", device="cuda", dtype="float32")
    for options in (
        {"max_sequences": 5},
        {"max_sequences": 3, "draft_tokens": 4},
        {"max_sequences": 5, "deterministic": True},
    ):
        found = answers(model, **options)
        assert [reply.token_ids for reply in found] == [each.token_ids for each in expected]


def test_memory_that_runs_out_ends_one_request():
    model = finesight.load("tiny", device="cuda", dtype="bfloat16")
    forward = model.network.forward

    def large(batch, **options):
        if batch.input_ids.numel() > 300:
            torch.empty(2**50, dtype=torch.uint8, device="cuda")
        return forward(batch, **options)

    model.network.forward = large
    engine = Engine(model.network, model.processor, options=EngineOptions(max_sequences=3))
    found = dict(engine.run([asked("One."), asked("word " * 400), asked("Two.")]))
    engine.close()
    assert isinstance(found[1], EngineError)
    assert "memory did not suffice" in str(found[1])
    assert isinstance(found[0], Reply)
    assert isinstance(found[2], Reply)


@pytest.mark.parametrize("weights", ["int8", "fp8"])
def test_quantised_weights_stay_near(weights):
    """576 inputs are no multiple of the 128 of int4, so that is measured at the shapes of the releases only."""
    pytest.importorskip("torchao", reason="torchao is not installed")
    try:
        found = logits(finesight.load("tiny", device="cuda", weights=weights))
    except ConfigError as error:
        pytest.skip(str(error))  # a device without float8
    expected = logits(finesight.load("tiny", device="cpu", dtype="float32"))
    assert (found.float() - expected).norm() / expected.norm() < 0.15
