# SPDX-License-Identifier: Apache-2.0
"""Batching, caches and the scheduler of the engine, each against the same work without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.comparison import Comparison

if TYPE_CHECKING:
    from finesight.engine.engine import Engine
    from finesight.engine.request import Request

_SIDE = 448
"""Side of the picture whose second question is timed: 256 visual tokens."""


def bench_engine(
    *, model: str = "tiny", requests: int = 32, rounds: int = 3
) -> Iterator[Comparison]:
    """Throughput of a batch, the second question about a picture, and the time of a step without the model."""
    yield _throughput(model, requests, rounds)
    yield _second_question(model, rounds)
    yield _step_overhead()


def _throughput(name: str, requests: int, rounds: int) -> Comparison:
    from finesight import load
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions

    loaded = load(name, device="cpu")
    one = Engine(loaded.network, loaded.processor)
    many = Engine(loaded.network, loaded.processor, options=EngineOptions(max_sequences=requests))
    rates: dict[str, list[float]] = {"one": [], "many": []}
    for turn in range(rounds + 1):  # the first is a warm-up
        few = _tokens_per_second(one, [_written(index) for index in range(max(requests // 8, 1))])
        all_of_them = _tokens_per_second(many, [_written(index) for index in range(requests)])
        if turn:
            rates["one"].append(few)
            rates["many"].append(all_of_them)
    return Comparison(
        f"seconds per token of {requests} requests at once against one at a time",
        1 / median(rates["many"]),
        1 / median(rates["one"]),
        6.0,
        at_least=True,
    )


def _tokens_per_second(engine: Engine, requests: list[Request]) -> float:
    from finesight.errors import FinesightError

    engine.eos_ids = frozenset()  # every answer has its full length
    started = time.perf_counter()
    count = 0
    for _, outcome in engine.run(requests):
        if isinstance(outcome, FinesightError):
            raise outcome
        count += len(outcome.token_ids)
    return count / (time.perf_counter() - started)


def _written(index: int, *, length: int = 48) -> Request:
    from finesight.conversation import Conversation, Message, Sampling, TextPart
    from finesight.engine.request import Request

    text = f"Tell me a story about the sea and {index} ships."
    return Request(
        conversation=Conversation((Message("user", (TextPart(text),)),)),
        sampling=Sampling(max_new_tokens=length, loop_guard=False),
    )


def _second_question(name: str, rounds: int) -> Comparison:
    from PIL import Image

    from finesight import load
    from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart

    engine = load(name, device="cpu").engine
    first: list[float] = []
    second: list[float] = []
    for turn in range(rounds + 1):
        part = ImagePart(source=Image.effect_noise((_SIDE, _SIDE), 40 + turn).convert("RGB"))
        for times, text in ((first, "What is this?"), (second, "Read the text.")):
            asked = Conversation((Message("user", (part, TextPart(text))),))
            started = time.perf_counter()
            next(iter(engine.stream(asked, Sampling(max_new_tokens=2))))
            times.append(time.perf_counter() - started)
    return Comparison(
        "seconds to the first token, the second question about a picture against the first",
        median(second[1:]),
        median(first[1:]),
        5.0,
        at_least=True,
    )


def _step_overhead(*, sequences: int = 64, steps: int = 60) -> Comparison:
    """Time of a step of 64 sequences beside the forward pass: schedule, plan, draw, report."""
    import torch

    from finesight import load
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions

    loaded = load("tiny", device="cpu")
    options = EngineOptions(max_sequences=sequences, max_step_tokens=4096)
    engine = Engine(loaded.network, loaded.processor, options=options)
    engine.eos_ids = frozenset()
    core, _ = engine._started()  # driven here, step by step
    for index in range(sequences):
        request = _written(index, length=4 * steps)
        core.scheduler.add(engine._sequence(request, request.encode(loaded.processor)))
    rows = torch.zeros(sequences, 256)  # few columns: the time of drawing grows with the vocabulary
    core._runner.step = lambda chunks: rows[: len(chunks)]  # type: ignore[method-assign]  # no model
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        core.step()
        times.append(time.perf_counter() - started)
    return Comparison(
        f"milliseconds of the scheduler per step of {sequences} sequences",
        1000 * median(times),
        1.0,
        1.0,
        at_least=False,
    )
