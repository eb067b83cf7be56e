# SPDX-License-Identifier: Apache-2.0
"""What rounding the language model to int8 and int4 changes: the next tokens of answers to real questions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from benchmarks.comparison import Comparison
from finesight.errors import ConfigError, MediaError

if TYPE_CHECKING:
    from torch import Tensor

    from finesight.batch import EncodedSample
    from finesight.model.vl import VisionLanguageModel

DATA = "FINESIGHT_REAL_DATA"
_BARS = {"int8": 0.01, "int4": 0.05}
"""Divergence in nats a token."""


def bench_rounding(*, model: str = "tiny", questions: int = 200) -> Iterator[Comparison]:
    """KL divergence of the next-token distributions from those of bfloat16, along the answers of bfloat16.

    The questions are the first of MATH-Vision whose pictures are in the folder that FINESIGHT_REAL_DATA names.

    Raises:
        ConfigError: the folder is not given.
    """
    from finesight import load
    from finesight.conversation import Sampling
    from finesight.engine.request import Request
    from finesight.engine.sequence import extended
    from finesight.evals.core import registry

    folder = os.environ.get(DATA)
    if not folder:
        raise ConfigError(f"{DATA} names no folder", hint="set it to the folder with the real data")
    task = registry.task("mathvision")
    items = task.prompts[0].items(Path(folder) / "mathvision", task.budget)
    exact = load(model, device="cpu", dtype="bfloat16")
    samples: list[tuple[EncodedSample, int]] = []
    for item in items:
        if len(samples) == questions:
            break
        request = Request(conversation=item.conversation, sampling=Sampling(max_new_tokens=24))
        try:
            sample = request.encode(exact.processor)
        except MediaError:  # a copy may have some of the pictures only
            continue
        reply = exact.engine.submit(request, replace(sample)).reply()
        samples.append((extended(sample, list(reply.token_ids)), len(reply.token_ids)))
    expected = [_logprobs(exact.network, *each) for each in samples]
    for weights, bar in _BARS.items():
        rounded = load(model, device="cpu", weights=weights).network  # type: ignore[arg-type]  # one of the formats
        found = [_logprobs(rounded, *each) for each in samples]
        pairs = [
            (p, q)
            for one, other in zip(expected, found, strict=True)
            for p, q in zip(one, other, strict=True)
        ]
        divergence = mean(float((p.exp() * (p - q)).sum()) for p, q in pairs)
        changed = mean(int(p.argmax()) != int(q.argmax()) for p, q in pairs)
        yield Comparison(
            f"nats a token by which {weights} differs from bf16, {len(samples)} questions, {len(pairs)} tokens",
            divergence,
            bar,
            1.0,
            at_least=False,
            note=f"{changed:.1%} of the likeliest tokens change",
        )


def _logprobs(model: VisionLanguageModel, sample: EncodedSample, answer: int) -> Tensor:
    """float32[answer, V], log-probabilities of the tokens of the answer's places."""
    import torch

    from finesight.batch import pack

    with torch.inference_mode():
        hidden = model(pack([sample]))[-answer - 1 : -1]
        return model.logits(hidden).float().log_softmax(-1)
