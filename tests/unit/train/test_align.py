# SPDX-License-Identifier: Apache-2.0
"""Targets of the alignment, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from finesight.data.dense import DenseTargets, DenseVocabulary, dense_targets
from finesight.data.record import Glyph, SceneObject, Truth
from finesight.geometry import Resize, Size
from finesight.text.tokenizer import Tokenizer
from finesight.train.align import Alignment, ClassEmbeddings
from tests.conftest import build_tokenizer

GAIN = 1.5
NEXT = 0.7


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(build_tokenizer())


@pytest.fixture(scope="module")
def embedding(tokenizer) -> torch.Tensor:
    return torch.randn(512, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def vocabulary() -> DenseVocabulary:
    return DenseVocabulary.build("abé", ["cat"])


def mean_of(embedding, tokenizer) -> torch.Tensor:
    letters = [tokenizer.encode(chr(code)) for code in range(33, 127)]
    return embedding[[each[0] for each in letters]].mean(0)


def dense(truth, vocabulary, columns=3) -> DenseTargets:
    size = Size(28 * columns, 28)
    return dense_targets(truth, vocabulary, Resize(size, size), rows=1, columns=columns)


def test_a_cell_of_letters_is_their_weighted_centred_sum(embedding, tokenizer, vocabulary) -> None:
    """Cells "ab", blank, "é"; é is two tokens of one byte each."""
    truth = Truth(glyphs=(Glyph("a", 5, 14, 0), Glyph("b", 15, 14, 1), Glyph("é", 70, 14, 3)))
    table = ClassEmbeddings.build(embedding, tokenizer, vocabulary)
    found = table.targets(dense(truth, vocabulary))
    mean = mean_of(embedding, tokenizer)
    (a,), (b,), accent = (tokenizer.encode(char) for char in "abé")
    assert len(accent) == 2
    wanted = [
        mean + GAIN * (embedding[a] - mean + NEXT * (embedding[b] - mean)) / math.sqrt(1 + NEXT**2),
        mean,
        mean + GAIN * (embedding[accent[0]] + embedding[accent[1]] - 2 * mean) / math.sqrt(2),
    ]
    torch.testing.assert_close(found, torch.stack(wanted))


def test_a_cell_of_an_object_is_its_name(embedding, tokenizer, vocabulary) -> None:
    truth = Truth(objects=(SceneObject((28, 0, 56, 28), "cat"),))
    table = ClassEmbeddings.build(embedding, tokenizer, vocabulary)
    found = table.targets(dense(truth, vocabulary))
    mean = mean_of(embedding, tokenizer)
    ids = tokenizer.encode(" cat")
    named = mean + GAIN * (embedding[ids] - mean).sum(0) / math.sqrt(len(ids))
    torch.testing.assert_close(found, torch.stack([mean, named, mean]))


class Pass:
    def __init__(self, visual, embedding, targets):
        self.visual_tokens, self.embedding = visual, embedding
        self.pack = type("Pack", (), {"dense": targets})()


def test_the_loss_is_zero_at_the_targets_and_one_for_the_mean(
    embedding, tokenizer, vocabulary
) -> None:
    """One cell per character, so the mean everywhere has the error of the unit."""
    truth = Truth(glyphs=(Glyph("a", 5, 14, 0), Glyph("b", 40, 14, 1), Glyph("é", 70, 14, 2)))
    targets = dense(truth, vocabulary)
    objective = Alignment(tokenizer, vocabulary, 0.5)
    table = objective.table(embedding)
    right = table.targets(targets)
    losses = objective(Pass(right, embedding, targets))
    assert losses.sums["align"].item() == 0
    assert [float(value) for value in losses.values["named"]] == [3, 3]
    assert objective.num_targets(Pass(right, embedding, targets).pack) == {"align": 3}
    mean = table.mean.expand(3, -1)
    found = objective(Pass(mean, embedding, targets)).sums["align"] / 3
    lengths = torch.tensor([1, 1, 2])  # the sum of é's two tokens is divided by the root of 2
    norms = table.characters[2:].square().sum(1)
    assert found.item() == pytest.approx(float((norms / lengths).sum() / norms.sum()))


def test_named_counts_cells_whose_nearest_letter_is_their_first(
    embedding, tokenizer, vocabulary
) -> None:
    truth = Truth(glyphs=(Glyph("a", 5, 14, 0), Glyph("b", 15, 14, 1), Glyph("b", 70, 14, 3)))
    targets = dense(truth, vocabulary)
    table = ClassEmbeddings.build(embedding, tokenizer, vocabulary)
    letters = table.mean + table.characters[2:]  # a, b, é
    right = torch.stack([letters[0], letters[2], letters[1]])
    assert [float(value) for value in table.named(right, targets)] == [2, 2]
    wrong = torch.stack([letters[1], letters[2], letters[1]])
    assert [float(value) for value in table.named(wrong, targets)] == [1, 2]


def test_cells_without_truth_have_no_loss(embedding, tokenizer, vocabulary) -> None:
    targets = dense(Truth(), vocabulary)
    objective = Alignment(tokenizer, vocabulary, 1.0)
    found = objective(Pass(torch.randn(3, 16), embedding, targets))
    assert found.sums["align"].item() == 0
    assert objective.num_targets(Pass(None, embedding, targets).pack) == {"align": 0}
