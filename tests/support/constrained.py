# SPDX-License-Identifier: Apache-2.0
"""Answers under a constraint, drawn from random logits instead of a model."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from finesight.conversation import Sampling
from finesight.engine.constraint import constraint_of
from finesight.engine.sampler import Sampler
from finesight.engine.transcript import Transcript

NO_PROMPT = torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True)
class Drawn:
    """An answer, how it ended, and its tokens."""

    text: str
    finish_reason: str
    token_ids: list[int]


def answer(
    tokenizer, sampling: Sampling, *, seed=0, extra_ids=17, eos_ids=(), end_bias=0.0, **given
) -> Drawn:
    """An answer of random tokens; the logits have more columns than the vocabulary, as those of checkpoints do.

    Args:
        end_bias: added to the logits of <|im_end|>: large values end an answer as soon as the grammar allows it.
    """
    sampling.check()
    end = tokenizer.special_id("<|im_end|>")
    constraint = constraint_of(sampling, tokenizer, (end, *eos_ids), **given)
    sampler = Sampler(sampling, NO_PROMPT, constraint)
    transcript = Transcript(
        tokenizer, sampling, (end, *eos_ids), takes_calls=bool(given.get("tools"))
    )
    generator = torch.Generator().manual_seed(seed)
    while transcript.finish_reason is None:
        logits = 3 * torch.randn(tokenizer.vocab_size + extra_ids, generator=generator)
        logits[end] += end_bias
        pick = sampler.pick(logits)
        if sampler.error is not None:
            raise sampler.error
        transcript.push(pick)
        if transcript.rewound is not None:
            sampler.rewind(
                transcript.rewound.dropped, transcript.rewound.loop, transcript.rewound.retry
            )
    return Drawn(transcript.text, transcript.finish_reason, transcript.token_ids)
