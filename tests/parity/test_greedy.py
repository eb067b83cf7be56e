# SPDX-License-Identifier: Apache-2.0
"""Greedy answers of 64 tokens against transformers' `generate`, on random tiny weights.

Random weights leave some steps undecided: where the two best scores of the reference are closer
than 1e-3, rounding may choose, and from there on the answers may go apart. Such a step ends the
comparison of its case; most steps must be compared all the same.
"""

from __future__ import annotations

import pytest
import torch

from finesight.conversation import Conversation, Message, Sampling, TextPart
from finesight.doctor.cases import check_conversations
from finesight.doctor.layers import reference_inputs
from finesight.doctor.reference import load_reference
from finesight.engine.engine import Engine
from finesight.model.weights import load_model
from finesight.processor.processor import Processor

pytestmark = pytest.mark.parity

NEW_TOKENS = 64
UNDECIDED = 1e-3

CONVERSATIONS = check_conversations() | {
    "several turns": Conversation(
        (
            Message("system", (TextPart("Be brief."),)),
            Message("user", (TextPart("One?"),)),
            Message("assistant", (TextPart("Two."),)),
            Message("user", (TextPart("Three?"),)),
        )
    )
}


@pytest.fixture(scope="module")
def reference(tiny_model_folder):
    return load_reference(tiny_model_folder, torch.float32)


@pytest.fixture(scope="module")
def engine(tiny_model_folder):
    network = load_model(tiny_model_folder, dtype=torch.float32)
    return Engine(network, Processor.from_folder(tiny_model_folder))


def reference_answer(reference, sample, **options):
    """Tokens of the answer, and how far the best score is above the second at each step."""
    with torch.inference_mode():
        out = reference.generate(
            **reference_inputs(sample, reference.config),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
            **options,
        )
    tokens = out.sequences[0, sample.input_ids.numel() :].tolist()
    gaps = [float(-scores[0].topk(2).values.diff()) for scores in out.scores]
    return tokens, gaps


def compared_steps(ours, theirs, gaps) -> int:
    """Number of steps found equal before the end or the first undecided one."""
    for step, gap in enumerate(gaps):
        if ours[step : step + 1] != theirs[step : step + 1]:
            assert gap < UNDECIDED, f"step {step}: {ours[step]} instead of {theirs[step]}"
            return step
    assert ours == theirs
    return len(theirs)


@pytest.mark.parametrize("penalty", [1.0, 1.2])
def test_greedy_answers_are_equal(engine, reference, penalty):
    """The penalty keeps random weights from saying one token 64 times, and is compared itself."""
    sampling = Sampling(max_new_tokens=NEW_TOKENS, loop_guard=False, repetition_penalty=penalty)
    steps = total = 0
    for name, conversation in CONVERSATIONS.items():
        (reply,) = engine.respond([conversation], sampling)
        sample = engine.processor.encode(conversation)
        theirs, gaps = reference_answer(reference, sample, repetition_penalty=penalty)
        compared = compared_steps(list(reply.token_ids), theirs, gaps)
        assert compared, name
        steps, total = steps + compared, total + len(theirs)
    assert steps >= 0.9 * total
