# SPDX-License-Identifier: Apache-2.0
"""The head that names the object over a cell in the decoder's own tokens."""

import math

import pytest
import torch

from finesight.data.dense import DenseTargets
from finesight.model.head import OutputHead
from finesight.train.dense import NameHead

NAMES = [[5], [2, 7]]


def _targets(objects: list[int]) -> DenseTargets:
    number = len(objects)
    return DenseTargets(
        characters=torch.full((number, 6), -100),
        objects=torch.tensor(objects),
        boxes=torch.zeros(number, 4),
        places=torch.zeros(number, 2),
    )


def _vocabulary(embedding: torch.Tensor) -> OutputHead:
    head = OutputHead(8, len(embedding), tied_to=None)
    head.weight = torch.nn.Parameter(embedding)
    return head


def test_a_name_of_several_tokens_counts_each_in_part():
    head, embedding = NameHead(8, NAMES), torch.randn(9, 8)
    states = torch.randn(4, 8)
    results = head(states, _vocabulary(embedding), _targets([0, 1, 2, -100]))
    cosines = torch.cosine_similarity(states[:, None], embedding[None], dim=2)
    scores = (30 * cosines).log_softmax(1)
    wanted = -(scores[1, 5] + (scores[2, 2] + scores[2, 7]) / 2) / 2
    assert results["names"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_any_token_of_the_name_is_right():
    head, embedding = NameHead(8, NAMES), torch.eye(9, 8)
    said = [
        5,
        7,
        0,
    ]  # class 1 named right, class 2 by its second token, class 1 by a token that only fills its row
    results = head(embedding[said] * 10, _vocabulary(embedding), _targets([1, 2, 1]))
    assert results["name_acc"].item() == pytest.approx(2 / 3)


def test_only_the_states_learn_and_without_objects_nothing_does():
    head = NameHead(8, NAMES)
    vocabulary, states = _vocabulary(torch.randn(9, 8)), torch.randn(3, 8, requires_grad=True)
    head(states, vocabulary, _targets([1, 0, 2]))["names"].backward()
    assert vocabulary.weight.grad is None
    assert states.grad[[0, 2]].abs().sum() > 0
    assert states.grad[1].abs().sum() == 0
    assert head(states, vocabulary, _targets([0, -100, 0])) == {}


def test_it_is_no_part_of_what_is_saved_twice():
    assert set(NameHead(8, NAMES).state_dict()) == {"norm.weight"}
    assert math.isclose(float(NameHead(8, NAMES).shares[2].sum()), 1.0)
