# SPDX-License-Identifier: Apache-2.0
"""Errors of a device: memory that runs out and operations that are missing end one request, not the engine."""

from __future__ import annotations

import weakref

import pytest
import torch

from finesight.conversation import Conversation, Message, Reply, Sampling, TextPart
from finesight.engine.core import _as_finesight_error
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.errors import EngineError

FULL = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.80 GiB.\nMore."


def request(text: str) -> Request:
    message = Message("user", (TextPart(text),))
    return Request(conversation=Conversation((message,)), sampling=Sampling(max_new_tokens=4))


class SmallDevice:
    """Raises for passes with more tokens than its memory holds; keeps weak references to what a pass allocated."""

    def __init__(self, model, most_tokens: int, error: Exception | None = None) -> None:
        self.forward, self.most_tokens = model.forward, most_tokens
        self.error = error
        self.alive_at_retry: list[bool] = []
        self.left: list[weakref.ref] = []
        model.forward = self

    def __call__(self, batch, **options):
        self.alive_at_retry.append(any(each() is not None for each in self.left))
        activations = torch.zeros(len(batch.input_ids), 8)
        self.left.append(weakref.ref(activations))
        if len(batch.input_ids) > self.most_tokens:
            raise self.error or torch.cuda.OutOfMemoryError(FULL)
        return self.forward(batch, **options)


def run(engine: Engine, *texts: str) -> dict[int, Reply | EngineError]:
    return dict(engine.run([request(text) for text in texts]))


def test_a_request_that_does_not_fit_fails_and_the_others_are_answered(says, processor):
    model = says("a red square")
    SmallDevice(model, most_tokens=60)
    engine = Engine(model, processor, options=EngineOptions(max_sequences=3))
    found = run(engine, "What is this?", "word " * 60, "And this?")
    assert isinstance(found[1], EngineError)
    assert "memory did not suffice: CUDA out of memory. Tried to allocate 20.00 GiB" in str(
        found[1]
    )
    assert "More" not in str(found[1])
    assert "max_step_tokens" in (found[1].hint or "")
    expected = run(Engine(says("a red square"), processor), "What is this?")[0].text
    assert found[0].text == found[2].text == expected
    assert run(engine, "What is this?")[0].text == expected  # the engine lives, and has its blocks
    core, _ = engine._started()
    assert core.pool.num_free == core.pool.num_blocks
    engine.close()


def test_requests_that_fit_only_alone_are_all_answered(says, processor):
    model = says("a red square")
    device = SmallDevice(model, most_tokens=45)
    engine = Engine(model, processor, options=EngineOptions(max_sequences=3, prefix_cache=False))
    found = run(engine, "What is this?", "And what is this?", "And this?")
    assert all(isinstance(reply, Reply) for reply in found.values()), found
    # What the failed pass allocated is freed before the passes that repeat it.
    assert True not in device.alive_at_retry
    engine.close()


def test_a_missing_operation_is_named(says, processor):
    model = says("a red square")
    message = (
        "The operator 'aten::_weight_int4pack_mm' is not currently implemented for the MPS device. If you want this "
        "op to be considered for addition please comment on the issue."
    )
    SmallDevice(model, most_tokens=0, error=NotImplementedError(message))
    engine = Engine(model, processor)
    (error,) = run(engine, "What is this?").values()
    assert isinstance(error, EngineError)
    assert "no operation aten::_weight_int4pack_mm for device mps" in str(error)
    assert "PYTORCH_ENABLE_MPS_FALLBACK" in (error.hint or "")
    engine.close()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "MPS backend out of memory (MPS allocated: 18.00 GB, other allocations: 1 GB)"
        ),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_other_ways_to_say_that_memory_is_full(error):
    assert "the memory did not suffice" in str(_as_finesight_error(error))
