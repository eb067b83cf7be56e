# SPDX-License-Identifier: Apache-2.0
"""The divergence of an adapted decoder from itself without adapters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finesight.batch import pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.loader import TextOnly
from finesight.model.head import OutputHead
from finesight.model.lora import add_lora, lora_layers
from finesight.model.weights import load_model
from finesight.processor.processor import Processor
from finesight.train.language import KeepLanguage, divergence
from finesight.train.objective import ForwardPass


@pytest.fixture(scope="module")
def head() -> OutputHead:
    torch.manual_seed(2)
    return OutputHead(8, 30, tied_to=nn.Embedding(30, 8))


def test_divergence_is_that_of_the_two_distributions(head) -> None:
    torch.manual_seed(3)
    rows, reference = torch.randn(300, 8), torch.randn(300, 8)  # three chunks
    rows.requires_grad_()
    found = divergence(head, rows, reference)
    wanted, given = head(reference).softmax(-1), head(rows).softmax(-1)
    by_hand = (wanted * (wanted.log() - given.log())).sum()
    torch.testing.assert_close(found, by_hand)
    (slope,) = torch.autograd.grad(found, rows, retain_graph=True)
    (by_hand_slope,) = torch.autograd.grad(by_hand, rows)
    torch.testing.assert_close(slope, by_hand_slope)
    assert divergence(head, reference, reference).item() == pytest.approx(0, abs=1e-4)


def conversation(text: str, *pictures, is_target: bool = False) -> Conversation:
    asked = (*(ImagePart(source=each) for each in pictures), TextPart(text))
    answer = Message("assistant", (TextPart("yes"),), is_target=bool(pictures) or is_target)
    return Conversation((Message("user", asked), answer))


class Pack:
    def __init__(self, samples):
        self.batch = pack(samples)
        self.text_only = TextOnly.of(self.batch, samples)


@pytest.fixture(scope="module")
def samples(tiny_model_folder):
    import numpy as np

    processor = Processor.from_folder(tiny_model_folder)
    picture = np.full((56, 56, 3), 200, dtype=np.uint8)
    texts = [
        conversation("first"),
        conversation("seen", picture),
        conversation("the second one"),
        conversation("learned", is_target=True),
    ]
    return [processor.encode(each, add_generation_prompt=False) for each in texts]


def test_only_samples_without_pictures_and_targets_are_compared(samples, tiny_model_folder) -> None:
    """The states of text in the whole pack and on its own agree row by row."""
    model = load_model(tiny_model_folder, dtype=torch.float32)
    whole = Pack(samples)
    lengths = [len(one.input_ids) for one in samples]
    first, last = range(lengths[0]), range(lengths[0] + lengths[1], sum(lengths[:3]))
    assert whole.text_only.rows.tolist() == [*first, *last]
    forward = ForwardPass(model, whole)
    alone = forward.hidden_without_lora(whole.text_only.batch)
    torch.testing.assert_close(forward.hidden()[whole.text_only.rows], alone, atol=1e-5, rtol=1e-4)
    objective = KeepLanguage(1.0)
    assert objective.num_targets(whole) == {"language": lengths[0] + lengths[2]}
    assert Pack([samples[1], samples[3]]).text_only is None
    assert objective.num_targets(Pack(samples[1:2])) == {"language": 0}


def test_it_is_zero_without_a_change_and_falls_when_trained(samples, tiny_model_folder) -> None:
    model = load_model(tiny_model_folder, dtype=torch.float32)
    add_lora(model, ["model.layers.*"], rank=2, alpha=2.0, seed=0)
    whole, objective = Pack(samples), KeepLanguage(1.0)
    assert objective(ForwardPass(model, whole)).sums["language"].item() < 1e-4
    torch.manual_seed(0)
    adapters = [layer.lora_B.weight for layer in lora_layers(model).values()]
    with torch.no_grad():
        for weight in adapters:
            weight.normal_(std=0.3)
    optimizer = torch.optim.Adam(adapters, lr=3e-2)
    seen = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = objective(ForwardPass(model, whole)).sums["language"]
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[0] > 0.1
    assert seen[-1] < 0.3 * seen[0]
