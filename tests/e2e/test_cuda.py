# SPDX-License-Identifier: Apache-2.0
"""The embedded model on a CUDA device says what it says on the CPU."""

from __future__ import annotations

import pytest
import torch

import finesight
from finesight.api.model import Model
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
