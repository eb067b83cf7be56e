# SPDX-License-Identifier: Apache-2.0
"""Numbers of targets, and weights of the losses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from finesight.data.dense import BLANK, CHAR_SLOTS, DenseTargets, DenseVocabulary, dense_targets
from finesight.data.loader import TrainBatch
from finesight.data.next_token import NextTokenTargets
from finesight.data.record import Glyph, SceneObject, Truth
from finesight.geometry import Resize, Size
from finesight.train.dense import DenseSupervision
from finesight.train.objective import NextToken, Targets, normalised
from finesight.train.parallel import Ranks

VOCABULARY = DenseVocabulary.build("ab", ["cat", "dog"])


def pack(lengths=(), dense=None) -> TrainBatch:
    """A pack with answers of these lengths."""
    each = [length for length in lengths for _ in range(length)]
    learned = NextTokenTargets(
        rows=torch.arange(len(each)),
        targets=torch.arange(len(each)) % 5,
        lengths=torch.tensor(each, dtype=torch.float32),
    )
    nothing = DenseTargets.join([])
    return TrainBatch(
        batch=SimpleNamespace(vision=None),
        next_tokens=learned,
        dense=dense or nothing,
        cursor={},
        num_samples=1,
    )


class Pass:
    """A forward pass with given states."""

    def __init__(self, pack, visual=None, hidden=None):
        self.pack, self.visual_tokens, self._hidden = pack, visual, hidden
        self.asked = []

    def hidden(self, *, reaches_vision):
        self.asked.append(reaches_vision)
        return self._hidden

    def token_loss(self, hidden, targets, weights):
        rows = F.cross_entropy(hidden, targets, reduction="none")
        loss = rows.sum() if weights is None else (rows * weights).sum()
        return loss, rows.detach(), (hidden.argmax(1) == targets).sum()


@pytest.mark.parametrize(
    ("balance", "shares"), [(0.0, [1 / 5, 4 / 5]), (0.5, [1 / 3, 2 / 3]), (1.0, [0.5, 0.5])]
)
def test_balance_weighs_an_answer_of_one_token_and_one_of_four(balance, shares) -> None:
    """0 weighs all tokens equally, 0.5 is square averaging, 1 weighs all answers equally."""
    torch.manual_seed(0)
    hidden = torch.randn(5, 5)
    given = pack([1, 4])
    objective = NextToken(2.0, balance=balance, reaches_vision=False)
    forward = Pass(given, hidden=hidden)
    totals = Targets.of([objective], [given], Ranks()).totals
    loss = normalised(objective(forward), objective, totals)
    rows = F.cross_entropy(hidden, given.next_tokens.targets, reduction="none")
    expected = 2.0 * (shares[0] * rows[0] + shares[1] * rows[1:].mean())
    torch.testing.assert_close(loss, expected)
    assert forward.asked == [False]


def test_counts_are_added_up_over_packs_and_parts() -> None:
    dense = dense_targets(
        Truth(glyphs=(Glyph("a", 5, 5, 0),)),
        VOCABULARY,
        Resize(Size(56, 28), Size(56, 28)),
        rows=1,
        columns=2,
    )
    heads = DenseSupervision(8, 4, 3, {"characters": 1.0, "boxes": 0.5})
    packs = [pack([3]), pack([1, 4], dense=dense), pack(dense=dense)]
    assert Targets.of([NextToken(balance=0.5), heads], packs, Ranks()).totals == pytest.approx(
        {"tokens": 3**0.5 + 1 + 2, "characters": 6.0, "boxes": 0.0}
    )


def test_dense_losses_are_those_of_torch() -> None:
    torch.manual_seed(0)
    resize = Resize(Size(84, 28), Size(84, 28))
    text = dense_targets(
        Truth(glyphs=(Glyph("a", 5, 5, 0), Glyph("b", 20, 5, 1), Glyph("?", 33, 9, 2))),
        VOCABULARY, resize, rows=1, columns=3,
    )  # fmt: skip
    scene = dense_targets(
        Truth(objects=(SceneObject((28, 0, 84, 28), "dog"),)),
        VOCABULARY, resize, rows=1, columns=3,
    )  # fmt: skip
    dense = DenseTargets.join([text, scene])
    heads = DenseSupervision(8, 4, 3, {"characters": 1.0, "objects": 1.0, "boxes": 1.0})
    visual = torch.randn(6, 8)
    found = heads(Pass(pack(dense=dense), visual))

    states = heads.norm(visual)
    logits = heads.characters(states[:3]).reshape(3, CHAR_SLOTS, 4)
    rows = [logits[0, 0], logits[0, 1], logits[0, 2], logits[1, 0], logits[1, 1], logits[2, 0]]
    classes = torch.tensor([2, 3, BLANK, 1, BLANK, BLANK])
    wanted = F.cross_entropy(torch.stack(rows), classes, reduction="sum")
    torch.testing.assert_close(found.sums["characters"], wanted)
    letters = torch.stack(rows).argmax(1)[classes != BLANK] == classes[classes != BLANK]
    assert found.values["char_acc"].total == letters.sum()
    assert found.values["char_acc"].number == 3

    logits = heads.objects(states[3:])
    wanted = F.cross_entropy(logits, torch.tensor([0, 2, 2]), reduction="sum")
    torch.testing.assert_close(found.sums["objects"], wanted)
    assert found.values["object_acc"].number == 2

    edges = torch.tensor([[0.5, 0.5, 1.5, 0.5], [1.5, 0.5, 0.5, 0.5]])
    wanted = F.smooth_l1_loss(heads.boxes(states[4:]), edges, beta=0.1, reduction="none").mean(1)
    torch.testing.assert_close(found.sums["boxes"], wanted.sum())


def test_a_part_without_weight_or_targets_is_not_computed() -> None:
    nothing = pack(dense=replace(DenseTargets.join([]), num_cells=2))
    heads = DenseSupervision(8, 4, 3, {"characters": 1.0, "objects": 1.0, "boxes": 1.0})
    assert heads(Pass(nothing, torch.randn(2, 8))).sums == {}
    assert heads(Pass(nothing)).sums == {}


def test_the_log_has_the_loss_of_each_source() -> None:
    """Rows 0 to 2 are of sample 0, rows 3 and 4 of sample 1."""
    torch.manual_seed(0)
    learned = replace(
        pack((3, 2)),
        batch=SimpleNamespace(sample_ids=torch.tensor([0, 0, 0, 1, 1])),
        sources=("prose", "charts"),
    )
    hidden = torch.randn(5, 5)
    values = NextToken()(Pass(learned, hidden=hidden)).values
    rows = F.cross_entropy(hidden, torch.arange(5), reduction="none")
    for name, part in (("prose", rows[:3]), ("charts", rows[3:])):
        found = values[f"tokens/{name}"]
        torch.testing.assert_close(found.total, part.sum())
        assert found.number == len(part)
