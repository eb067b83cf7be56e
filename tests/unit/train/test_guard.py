# SPDX-License-Identifier: Apache-2.0
"""Steps that would spoil the weights: which are found, what is said of them, and what is done."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from finesight.errors import DataError
from finesight.train.guard import Guard, GuardConfig, first_nonfinite, records_of
from finesight.train.loop import Trainer
from finesight.train.parallel import ParallelSection, Ranks

PACKS = [SimpleNamespace(records=("a1", "b2"))]


def found():
    return "first in the output of here"


def allows(guard, loss, norm=1.0, step=7):
    return guard.allows(step, PACKS, {"loss": loss, "grad_norm": norm}, found)


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (1.0, math.inf)])
def test_values_that_are_not_finite_stop_or_are_skipped(loss, norm):
    said = r"step 7: (loss is nan|grad_norm is inf); first in the output of here; records a1, b2"
    with pytest.raises(DataError, match=said):
        allows(Guard(GuardConfig()), loss, norm)
    guard = Guard(GuardConfig(on_nonfinite="skip", max_skipped=3))
    assert not allows(guard, loss, norm)
    assert not guard.has_allowed
    assert allows(guard, 1.0)
    assert guard.has_allowed
    assert len(guard.notes) == 1
    assert not allows(guard, loss, norm)
    assert not allows(guard, loss, norm)
    with pytest.raises(DataError):  # the third in a row
        allows(guard, loss, norm)


@pytest.mark.parametrize("action", ["stop", "skip", "log"])
def test_a_spike_is_one_against_the_median(action):
    guard = Guard(GuardConfig(on_spike=action, spike_ratio=2.0))
    for _ in range(9):
        assert allows(guard, 1.0)
    assert allows(guard, 50.0)  # too few losses to tell
    assert allows(guard, 1.9)
    if action == "stop":
        with pytest.raises(DataError, match=r"loss 2.5 is over 2 x the median 1; records a1, b2"):
            allows(guard, 2.5)
    else:
        assert allows(guard, 2.5) == (action == "log")
        assert "loss 2.5 is over 2 x the median 1" in guard.notes[0]


def test_without_a_ratio_nothing_is_a_spike():
    guard = Guard(GuardConfig())
    assert all(allows(guard, loss) for loss in [1.0] * 20 + [1e9])
    assert guard.notes == []


class Square(nn.Module):
    def forward(self, rows):
        return rows.sqrt()


def test_the_first_layer_is_named():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 2)))
    with torch.no_grad():
        model[2][0].bias[1] = math.inf
    with first_nonfinite(model) as names:
        model(torch.ones(1, 3))
    assert names[0] == "the output of 2.0, whose bias is not finite"
    assert names[-1] == "the output of the model"
    with first_nonfinite(model) as later:
        pass
    model(torch.ones(1, 3))
    assert later == []  # the hooks are gone


def test_a_gradient_that_is_not_finite_is_named():
    """The root of 0 is finite and its slope is not."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Square())
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    with first_nonfinite(model) as names:
        model(torch.ones(1, 2)).sum().backward()
    assert names[0] == "the gradient of the output of 1"


def test_many_records_are_counted():
    packs = [SimpleNamespace(records=tuple(f"r{number}" for number in range(20)))]
    assert records_of(packs).endswith("r11 and 8 more")
    assert records_of([SimpleNamespace(records=())]) == "no record"


def test_every_rank_writes_its_own_records_to_the_log(tmp_path):
    """The records that spoil a step may be those of any rank."""
    for rank in (0, 1):
        run = SimpleNamespace(
            guard=SimpleNamespace(notes=[f"records of rank {rank}"]),
            ranks=Ranks(sizes=ParallelSection(data=2), rank=rank),
            settings=SimpleNamespace(folder=tmp_path),
            state=SimpleNamespace(step=3),
        )
        Trainer._note(run, [])
        assert run.guard.notes == []
    lines = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert [line["note"] for line in lines] == ["records of rank 0", "records of rank 1"]
