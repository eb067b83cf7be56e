# SPDX-License-Identifier: Apache-2.0
"""Preference training on two ranks: the same losses and weights as on one; see test_ranks.py for the tolerances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from finesight.config.load import validate
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.train import pretrain
from finesight.train.recipe import DpoRecipe
from tests.support import rank_runs
from tests.support.rank_runs import WORDS, drawn, final_weights, log

pytestmark = pytest.mark.slow

ADAPTERS = {
    "lora": {"rank": 2, "targets": ["model.layers.*"]},
    "optim": {
        "group": [
            {"match": "*.lora_*", "algorithm": "adamw", "lr": 1e-2},
            {"match": "*", "algorithm": "frozen"},
        ]
    },
}
WHOLE = {
    "dpo": {"reference": "copy", "tokens": 0.1},
    "optim": {
        "group": [
            {"match": "model.visual.*", "algorithm": "frozen"},
            {"match": "*", "algorithm": "adamw", "lr": 1e-3},
        ]
    },
}
KINDS = {"adapters": ADAPTERS, "whole": WHOLE}
RANKS = {
    "adapters_shard": {"shard": 2},
    "whole_shard": {"shard": 2},
    "whole_data": {"data": 2},
}
RATES = {"tokens_per_second", "visual_tokens_per_second", "mfu", "fill", "data_wait", "seconds"}


def record(index: int) -> Record:
    """A pair of answers; every third question has no picture."""
    word, other = WORDS[index % len(WORDS)], WORDS[(index + 1) % len(WORDS)]
    shown = () if index % 3 == 0 else (ImagePart(source=np.asarray(drawn(word, (56, 56)))),)
    asked = Message("user", (*shown, TextPart(f"Which word, {index}?")))
    return Record(
        id=f"pair-{index}",
        conversation=Conversation((asked, Message("assistant", (TextPart(word),)))),
        rejected=(Message("assistant", (TextPart(f"{other} {other}"),)),),
        meta={"split": "train", "generator": "test"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model_folder):
    """Runs of one process and of two ranks; the last step has pairs for one rank alone."""
    root = tmp_path_factory.mktemp("dpo")
    write_shard(root / "pairs" / "a.tar", [record(index) for index in range(9)])

    def recipe(name, **changes) -> DpoRecipe:
        values = {
            "kind": "dpo",
            "model": {"folder": str(tiny_model_folder), "start_from": str(tiny_model_folder)},
            "data": {
                "source": [{"path": str(root / "pairs")}],
                "pack_tokens": 96,
                "epochs": 1,
                "workers": 0,
            },
            "schedule": {"total_steps": 20, "warmup_steps": 2},
            "run": {"folder": str(root / name), "precision": "float32", "log_every": 1},
        }
        for section, table in changes.items():
            values[section] = values.get(section, {}) | table
        return validate(values, DpoRecipe, where="test")

    for name, sections in KINDS.items():
        made = recipe(name, **sections, run={"accumulate": 2})
        pretrain.start(made).run(report=lambda step, values: None)
    rank_runs.run(
        2,
        [
            recipe(name, **KINDS[name.partition("_")[0]], parallel=sizes)
            for name, sizes in RANKS.items()
        ],
    )
    return root


@pytest.mark.parametrize("name", RANKS)
def test_two_ranks_learn_what_one_learns(folder, name) -> None:
    alone = folder / name.partition("_")[0]
    ours, theirs = log(folder / name), log(alone)
    assert len(ours) == len(theirs) >= 3
    assert theirs[-1]["samples"] == 9
    for own, row in zip(ours, theirs, strict=True):
        assert own.keys() == row.keys()
        for key in row.keys() - RATES:
            close = 1e-5 if key != "grad_norm" else 1e-5 * row[key] + 1e-5
            assert own[key] == pytest.approx(row[key], abs=close), (key, row["step"])
    step, weights = final_weights(folder / name)
    other_step, others = final_weights(alone)
    assert step == other_step
    assert weights.keys() == others.keys()
    for key, value in weights.items():
        torch.testing.assert_close(value, others[key], rtol=0, atol=1e-4, msg=key)
