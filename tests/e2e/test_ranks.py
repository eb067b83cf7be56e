# SPDX-License-Identifier: Apache-2.0
"""Training on two ranks: the same losses and weights as on one, whatever is divided and whoever resumes.

Two processes compute on the CPU. The tolerance of 1e-5 covers sums in another order: a loss of 6 has float32 steps of
5e-7, and six updates of AdamW amplify the difference a little.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from finesight.model.weights import load_model
from finesight.train import export as exporting
from finesight.train import pretrain
from tests.support import rank_runs
from tests.support.rank_runs import final_weights, log, recipe, write_data, write_model

pytestmark = pytest.mark.slow

MUON = {
    "group": [
        {"match": "model.*.blocks.*", "ndim": 2, "algorithm": "muon", "lr": 3e-3},
        {"match": "*", "algorithm": "adamw", "lr": 1e-3},
    ]
}
BALANCED = {"tokens": 1.0, "balance": 0.5, "characters": 0.3}
TWO_PACKS = {"accumulate": 2}
SMALL_PACKS = {"pack_tokens": 64, "window": 0}
"""One record a pack, so that a text is alone on its rank."""
ADAMW_WEIGHTS, MUON_WEIGHTS = 1e-4, 2e-3
"""Largest difference of final weights. AdamW moves a key's bias by its rate, although its gradient is only rounding;
Muon orthogonalises in bfloat16, whose steps are 1/256 of an update."""

ALONE = {
    "one": {},
    "one_of_two": {"run": TWO_PACKS},
    "one_of_small": {"data": SMALL_PACKS, "run": TWO_PACKS},
    "one_of_four": {"run": {"accumulate": 4}},
    "one_muon": {"optim": MUON, "run": TWO_PACKS},
    "one_untied": {"untied": True, "loss": BALANCED},
    "one_half": {"run": TWO_PACKS},
    "one_lora": {
        "lora": {"rank": 2, "targets": ["model.layers.*"]},
        "loss": {"tokens": 1.0, "language": 0.5},
        "optim": {
            "group": [
                {"match": "*lora_*", "algorithm": "adamw", "lr": 1e-2},
                {"match": "model.visual.*", "algorithm": "adamw", "lr": 1e-3},
                {"match": "*", "algorithm": "frozen"},
            ]
        },
        "quiet": True,
        "run": TWO_PACKS,
    },
    "one_contrast": {"loss": {"tokens": 0.0, "contrastive": 1.0}, "run": TWO_PACKS},
}
TWO = {
    "shard": ("one_of_two", {"parallel": {"shard": 2}}),
    "data": ("one_of_two", {"parallel": {"data": 2}}),
    "shard_small": ("one_of_small", {"data": SMALL_PACKS, "parallel": {"shard": 2}}),
    "data_small": ("one_of_small", {"data": SMALL_PACKS, "parallel": {"data": 2}}),
    "shard_muon": ("one_muon", {"parallel": {"shard": 2}, "optim": MUON}),
    "shard_lora": ("one_lora", {**ALONE["one_lora"], "run": {}, "parallel": {"shard": 2}}),
    "contrast": ("one_contrast", {**ALONE["one_contrast"], "run": {}, "parallel": {"shard": 2}}),
    "tensor": ("one", {"parallel": {"tensor": 2}}),
    "tensor_untied": ("one_untied", {**ALONE["one_untied"], "parallel": {"tensor": 2}}),
    "sequence": ("one", {"parallel": {"sequence": 2}}),
    "shard_checked": (
        "one_of_two",
        {"parallel": {"shard": 2}, "run": {"gradient_checkpointing": True}},
    ),
    "tensor_checked": (
        "one",
        {"parallel": {"tensor": 2}, "run": {"gradient_checkpointing": True}},
    ),
    "sequence_checked": (
        "one",
        {"parallel": {"sequence": 2}, "run": {"gradient_checkpointing": True}},
    ),
}
"""Runs of two ranks, and the run of one process that computes the same."""
FOUR = {
    "shard_tensor": ("one_of_two", {"parallel": {"shard": 2, "tensor": 2}}),
    "data_shard": ("one_of_four", {"parallel": {"data": 2, "shard": 2}}),
    "data_sequence": ("one_of_two", {"parallel": {"data": 2, "sequence": 2}}),
}
"""Runs of four ranks."""


class Folders:
    """Data, models and runs of this module."""

    def __init__(self, root: Path, tiny_model_folder: Path) -> None:
        self.root = root
        self.data = write_data(root / "mixed")
        self.quiet = write_data(root / "texts", every=3)
        self.models = {
            False: write_model(root / "model", tiny_model_folder),
            True: write_model(root / "untied_model", tiny_model_folder, tie_word_embeddings=False),
        }

    def recipe(self, name: str, *, untied=False, quiet=False, **changes):
        if quiet:
            sources = [{"path": str(self.data)}, {"path": str(self.quiet), "learn": False}]
            changes = {"data": {"source": sources}, **changes}
        return recipe(self.data, self.models[untied], self.root / name, **changes)

    def alone(self, name: str, *, copy_of: str = "", **changes) -> None:
        if copy_of:
            shutil.copytree(self.root / copy_of, self.root / name)
        trainer = pretrain.start(self.recipe(name, **changes))
        stops = name.endswith("half")
        trainer.run(report=lambda step, _: trainer.stop() if stops and step == 3 else None)

    def copy(self, source: str, name: str) -> None:
        shutil.copytree(self.root / source, self.root / name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_model_folder) -> Folders:
    """All runs of `ALONE` and `TWO`, and runs that another number of ranks resumes."""
    found = Folders(tmp_path_factory.mktemp("ranks"), tiny_model_folder)
    for name, changes in ALONE.items():
        found.alone(name, **changes)
    recipes = [found.recipe(name, **changes) for name, (_, changes) in TWO.items()]
    half = found.recipe("shard_half", parallel={"shard": 2})
    rank_runs.run(2, [*recipes, half])
    four = [found.recipe(name, **changes) for name, (_, changes) in FOUR.items()]
    four_half = found.recipe("four_half", parallel={"shard": 2, "tensor": 2})
    rank_runs.run(4, [*four, four_half])
    found.alone("four_to_one", copy_of="four_half", run=TWO_PACKS)
    for name, source in (
        ("from_one", "one_half"),
        ("to_one", "shard_half"),
        ("to_data", "shard_half"),
    ):
        found.copy(source, name)
    found.alone("to_one", run=TWO_PACKS)
    tensor = {"parallel": {"tensor": 2}, "run": TWO_PACKS}
    found.copy("shard_half", "to_tensor")
    rank_runs.run(
        2,
        [
            found.recipe("from_one", parallel={"shard": 2}),
            found.recipe("to_data", parallel={"data": 2}),
            found.recipe("to_tensor", **tensor),
        ],
    )
    return found


@pytest.mark.parametrize("name", TWO)
def test_two_ranks_compute_what_one_computes(folders, name):
    expected, _ = TWO[name]
    compare(folders.root / expected, folders.root / name)


@pytest.mark.parametrize("name", FOUR)
def test_four_ranks_compute_what_one_computes(folders, name):
    """Weights that are divided twice, whole copies of divided weights, and tokens divided in each copy."""
    expected, _ = FOUR[name]
    compare(folders.root / expected, folders.root / name)


@pytest.mark.parametrize("name", ["from_one", "to_one", "to_data", "to_tensor", "four_to_one"])
def test_another_number_of_ranks_resumes(folders, name):
    """Three steps on one grid of ranks, three on another."""
    compare(folders.root / "one_of_two", folders.root / name)


def compare(expected: Path, found: Path) -> None:
    ours, theirs = log(found), log(expected)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == [*range(1, 7)]
    for own, row in zip(ours, theirs, strict=True):
        assert own.keys() == row.keys()
        for name in row.keys() - {"seconds"}:
            close = 1e-5 if name != "grad_norm" else 1e-5 * row[name] + 1e-5
            assert own[name] == pytest.approx(row[name], abs=close), (name, row["step"])
    step, weights = final_weights(found)
    other_step, others = final_weights(expected)
    assert step == other_step == 6
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        close = MUON_WEIGHTS if found.name == "shard_muon" else ADAMW_WEIGHTS
        torch.testing.assert_close(value, others[name], rtol=0, atol=close, msg=name)


def test_a_text_pack_beside_a_picture_pack_is_among_these(folders):
    """What the comparison above is about: some steps have pictures on one rank only."""
    trainer = pretrain.start(folders.recipe("looked_at", data=SMALL_PACKS, run=TWO_PACKS))
    groups = [group for group, _ in zip(trainer.packs(), range(6), strict=False)]
    kinds = [tuple(pack.batch.vision is not None for pack in group) for group in groups]
    assert {(True, False), (False, True)} & set(kinds), kinds


def test_a_run_of_two_ranks_is_exported_and_scored(folders):
    exporting.export(folders.root / "shard", folders.models[False], folders.root / "exported")
    exported = load_model(folders.root / "exported", dtype=torch.float32)
    _, weights = final_weights(folders.root / "one_of_two")
    torch.testing.assert_close(
        exported.model.norm.weight, weights["model.model.norm.weight"], rtol=0, atol=1e-2
    )
