# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from finesight.cli.main import main
from finesight.config.load import read_recipe
from finesight.data.build import BuildConfig, build
from finesight.data.builders.prose import ProseConfig, Proses
from finesight.data.shards import ShardSet
from finesight.data.sources.prose import Prose
from finesight.errors import DataError

RECIPES = Path(__file__).parents[3] / "recipes" / "small"


def builder(assets, split="train") -> Proses:
    return Proses(ProseConfig(split=split), Prose.read(assets, split))


def test_records_are_valid_and_repeatable(assets):
    made = builder(assets)
    for seed in range(50):
        record = made.record(f"r{seed}", seed)
        record.check()
        assert not list(record.conversation.media())
        assert made.record(f"r{seed}", seed) == record


def test_question_and_answer_are_the_passage(assets):
    texts = dict(Prose.read(assets, "train").passages)
    for seed in range(50):
        record = builder(assets).record("r", seed)
        ((question, answer),) = record.turns
        text = texts[record.meta["document"]]
        assert text.endswith(answer)
        assert text[: -len(answer)].strip() in question
        assert answer[0].isupper()  # cut between two sentences


def test_no_document_is_in_both_splits(assets):
    train, heldout = (
        {document for document, _ in Prose.read(assets, split).passages}
        for split in ("train", "heldout")
    )
    assert train
    assert heldout
    assert not train & heldout
    assert len(train | heldout) == 40


def test_missing_prose_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"prose\.jsonl is missing") as caught:
        Prose.read(tmp_path, "train")
    assert "install-training-assets.sh" in caught.value.hint


def test_a_build_writes_it(assets, tmp_path):
    part = {"builder": "prose", "name": "prose", "num_records": 7}
    config = BuildConfig.model_validate({"assets": assets, "shard_records": 4, "parts": [part]})
    assert build(config, tmp_path).made == 7
    assert len(list(ShardSet(tmp_path))) == 7


@pytest.mark.parametrize("name", ["data_prose", "heldout_prose"])
def test_the_recipes_read(name):
    (part,) = read_recipe(RECIPES / f"{name}.toml", BuildConfig).parts
    assert part.options.split == ("heldout" if name.startswith("heldout") else "train")


@pytest.mark.parametrize("content", ["no JSON", '{"document": "a"}', "[1]"])
def test_damaged_prose_is_an_error(content, tmp_path):
    (tmp_path / "prose.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"prose\.jsonl is damaged") as caught:
        Prose.read(tmp_path, "train")
    assert "install-training-assets.sh" in caught.value.hint


def test_a_missing_library_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "r.toml").write_text(
        'kind = "data"\n[[parts]]\nbuilder = "prose"\nname = "p"\nnum_records = 1\n'
    )
    monkeypatch.delitem(sys.modules, "finesight.data.build")
    monkeypatch.delitem(sys.modules, "finesight.data.builders.charts")
    monkeypatch.setitem(sys.modules, "finesight.data.builders.chart_drawing", None)
    assert main(["data", "build", str(tmp_path / "r.toml"), "--out", str(tmp_path / "o")]) == 2
    assert "hint: make setup-data" in capsys.readouterr().err
