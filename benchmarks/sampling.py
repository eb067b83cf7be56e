# SPDX-License-Identifier: Apache-2.0
"""Time of sampling by setting, and speed and validity of constrained answers against free ones."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.comparison import Comparison, best_in_turns
from benchmarks.drawn_schemas import drawn_schema
from finesight.conversation import Conversation, Message, Reply, Sampling, TextPart

if TYPE_CHECKING:
    from finesight.engine.engine import Engine

_VOCAB_SIZE = 152_064
_PROMPT_TOKENS = 8_000
_STEP_SECONDS = 2e-3
"""Bar of a token: about a hundredth of the time in which two cores decode it in the 3B shape."""
_SETTINGS: Mapping[str, Sampling] = {
    "greedy": Sampling(),
    "repetition penalty": Sampling(repetition_penalty=1.05),
    "presence and frequency penalty": Sampling(presence_penalty=0.5, frequency_penalty=0.5),
    "temperature": Sampling(temperature=0.7, seed=0),
    "top-k": Sampling(temperature=0.7, top_k=20, seed=0),
    "top-p": Sampling(temperature=0.7, top_p=0.9, seed=0),
    "top-k and top-p": Sampling(temperature=0.7, top_k=20, top_p=0.8, seed=0),
    "min-p": Sampling(temperature=0.7, min_p=0.05, seed=0),
    "all of them": Sampling(
        temperature=0.7, top_k=50, top_p=0.9, min_p=0.01, repetition_penalty=1.05, seed=0
    ),
    "log-probabilities": Sampling(logprobs=5),
}
_FLAT = Sampling(temperature=2.0, top_p=0.99, seed=0)
"""Most of the vocabulary is kept, so that the whole row is sorted."""


def bench_sampling(*, num_steps: int = 40) -> Iterator[Comparison]:
    """Seconds of one token for each setting, at the vocabulary of the released models."""
    import torch

    from finesight.engine.sampler import Sampler, pick_rows

    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(0, _VOCAB_SIZE, (_PROMPT_TOKENS,), generator=generator)
    row = 2.5 * torch.randn(1, _VOCAB_SIZE, generator=generator)
    peaks = torch.randint(0, _VOCAB_SIZE, (60,), generator=generator)
    row[0, peaks] = torch.linspace(
        8, 22, 60
    )  # as a language model has: a few likely tokens, a long tail
    for name, sampling in _SETTINGS.items():
        samplers = [Sampler(sampling, prompt)]
        (seconds,) = best_in_turns([partial(pick_rows, row, samplers)], num_steps)
        note = (
            f"{1e3 * seconds:.2f} ms at a vocabulary of {_VOCAB_SIZE:,}, prompt {_PROMPT_TOKENS:,}"
        )
        yield Comparison(
            f"seconds of {name}", seconds, _STEP_SECONDS, 1.0, at_least=False, note=note
        )
    flat = partial(pick_rows, row, [Sampler(_FLAT, prompt)])
    ours, plain = best_in_turns([flat, partial(row.sort, dim=1, stable=True)], num_steps)
    name = "seconds of top-p of a flat distribution against a sort of the row"
    yield Comparison(name, ours, plain, 3.0, at_least=False, note=f"{1e3 * ours:.2f} ms")


def bench_constrained(*, num_schemas: int = 500, max_new_tokens: int = 200) -> list[Comparison]:
    """Answers of the embedded model under drawn JSON Schemas: invalid ones, and time against free answers.

    Prefill and the compilation of the grammar are part of the time. A free answer has as many tokens as the constrained
    one: no token ends it.
    """
    from finesight.api.model import load
    from finesight.engine.engine import Engine

    engine = load("tiny", device="cpu").engine
    endless = Engine(engine.model, engine.processor)
    endless.eos_ids = frozenset()
    constrained = free = 0.0
    num_tokens = num_ended = num_invalid = 0
    for seed in range(num_schemas):
        schema = drawn_schema(random.Random(seed))
        asked = _asked(schema)
        options = Sampling(
            temperature=1.0, seed=seed, max_new_tokens=max_new_tokens, loop_guard=False
        )
        reply, seconds = _timed(engine, asked, replace(options, json_schema=schema))
        constrained += seconds
        num_tokens += len(reply.token_ids)
        if reply.finish_reason == "stop":
            num_ended += 1
            num_invalid += not _is_valid(schema, reply.text)
        options = replace(options, max_new_tokens=len(reply.token_ids))
        free += _timed(endless, asked, options)[1]
    cut = num_schemas - num_ended
    return [
        Comparison(
            "invalid answers of those that ended",
            num_invalid,
            num_ended,
            0.0,
            at_least=False,
            note=f"{cut} of {num_schemas} answers reached {max_new_tokens} tokens inside the schema",
        ),
        Comparison(
            "seconds under a schema against free decoding",
            constrained,
            free,
            0.85,
            at_least=True,
            note=f"{num_tokens / constrained:.0f} against {num_tokens / free:.0f} tokens/s",
        ),
    ]


def _timed(engine: Engine, asked: Conversation, sampling: Sampling) -> tuple[Reply, float]:
    start = time.perf_counter()
    (reply,) = engine.respond([asked], sampling)
    return reply, time.perf_counter() - start


def _asked(schema: Mapping[str, object]) -> Conversation:
    text = json.dumps(schema, ensure_ascii=False)[:300]
    return Conversation((Message("user", (TextPart(f"Answer in JSON of this schema: {text}"),)),))


def _is_valid(schema: Mapping[str, object], text: str) -> bool:
    from jsonschema import Draft202012Validator

    try:
        return bool(Draft202012Validator(schema).is_valid(json.loads(text)))
    except ValueError:
        return False
