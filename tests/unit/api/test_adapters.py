# SPDX-License-Identifier: Apache-2.0
"""Names and folders of adapters, and the answers of a model with them."""

from __future__ import annotations

import shutil

import pytest
import torch

import finesight
from finesight.api.adapters import adapter_folders
from finesight.errors import ConfigError, WeightsError
from tests.support.adapter_folders import write_adapter


@pytest.fixture(scope="module")
def folders(tiny_model_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    return {
        "one": write_adapter(tiny_model_folder, root / "one", seed=1),
        "two": write_adapter(tiny_model_folder, root / "two", seed=2),
    }


@pytest.fixture(scope="module")
def model(tiny_model_folder, folders):
    return finesight.load(tiny_model_folder, adapters=folders)


def test_names_and_folders(folders, tmp_path, monkeypatch):
    one, two = folders.values()
    assert adapter_folders(None) == {}
    assert adapter_folders(one) == {"one": one}
    assert adapter_folders([str(one), f"b={two}"]) == {"one": one, "b": two}
    assert adapter_folders({"a": str(one)}) == {"a": one}
    assert adapter_folders(one / "adapter_model.safetensors") == {"one": one}
    odd = tmp_path / "a=b"
    odd.mkdir()
    monkeypatch.chdir(tmp_path)
    assert list(adapter_folders(["a=b"])) == ["a=b"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nowhere"], "the adapter nowhere does not exist"),
        (["a=nowhere"], "the adapter nowhere does not exist"),
        (7, "adapters is 7"),
        ([7], "an adapter is 7"),
        ({"": "x"}, "x does not exist"),
        ({3: "."}, "the name of an adapter is 3"),
        ([".", "."], "two adapters have the name"),
        ([__file__], "is a file"),
    ],
)
def test_what_is_no_adapter(given, said):
    with pytest.raises(ConfigError, match=said):
        adapter_folders(given)


def test_each_question_chooses(model, picture_file):
    ask = {"images": picture_file, "max_new_tokens": 8}
    texts = [model.ask("What is this?", **ask, adapter=name).text for name in (None, "one", "two")]
    assert len(set(texts)) == 3
    assert model.ask("What is this?", **ask, adapter="one").text == texts[1]
    said = {"role": "user", "content": "What is this?"}
    found = [
        model.respond([[said]], adapter=name, max_new_tokens=4)[0].text for name in (None, "two")
    ]
    assert found[0] != found[1]
    assert model.answer([said], adapter="two", max_new_tokens=4).text == found[1]


def test_logits_and_scores(model):
    said = [{"role": "user", "content": "What is this?"}, {"role": "assistant", "content": "red"}]
    plain, changed = (
        model.logits(said, add_generation_prompt=False, adapter=name) for name in (None, "one")
    )
    assert (plain - changed).abs().max() > 0.1
    scores = model.score([said], adapter="one")[0]
    wanted = changed.log_softmax(-1)
    ids = model.encode(said, add_generation_prompt=False)
    rows = (ids.labels[1:] != -100).nonzero()[:, 0]
    torch.testing.assert_close(torch.tensor(scores), wanted[rows, ids.labels[rows + 1]])


def test_wrong_names_are_reported_before_the_weights_are_loaded(tiny_model_folder, folders):
    from finesight.api.model import open_model

    opened = open_model("m", tiny_model_folder, adapters=folders)
    said = [{"role": "user", "content": "x"}]
    for wrong in (
        lambda: opened.ask("x", adapter="three"),
        lambda: opened.respond([said], adapter="three"),
    ):
        with pytest.raises(ConfigError, match="there is no adapter 'three'"):
            wrong()
    assert "network" not in opened.__dict__
    with pytest.raises(ConfigError, match="it must be the name of an adapter"):
        opened.ask("x", adapter=3)
    with pytest.raises(ConfigError, match="has the name of the model, one"):
        open_model("one", tiny_model_folder, adapters=folders)


def test_an_adapter_of_another_model(folders, tmp_path):
    with pytest.raises(WeightsError, match=r"was trained on .*, whose weights differ"):
        finesight.load("tiny", adapters=folders["one"])
    unmarked = shutil.copytree(folders["one"], tmp_path / "unmarked")
    (unmarked / "finesight.json").unlink()
    with pytest.raises(WeightsError, match="matrices of shapes"):
        finesight.load("tiny", adapters=unmarked)
