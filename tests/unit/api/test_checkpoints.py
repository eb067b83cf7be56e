# SPDX-License-Identifier: Apache-2.0
"""Names of models, and the answering defaults of a checkpoint."""

from __future__ import annotations

import json

import pytest

from finesight.api import checkpoints
from finesight.checkpoints import hub
from finesight.config.sizes import named_config
from finesight.conversation import Sampling
from finesight.errors import ConfigError, MissingWeights


@pytest.fixture
def folder(tmp_path):
    """The names of a checkpoint's files, its configuration, and no weight."""
    (tmp_path / "config.json").write_text(json.dumps(named_config("tiny").to_hf()))
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def defaults(folder, **values):
    (folder / "generation_config.json").write_text(json.dumps(values))
    return checkpoints.read_generation_defaults(folder)


def test_a_folder_is_taken_as_it_is(folder):
    assert checkpoints.find_checkpoint(folder) == folder
    assert checkpoints.find_checkpoint(str(folder)) == folder


def test_a_folder_without_a_configuration(tmp_path):
    with pytest.raises(MissingWeights, match=r"has no config\.json"):
        checkpoints.find_checkpoint(tmp_path)


def test_a_file_is_no_model(folder):
    with pytest.raises(ConfigError, match="is a file"):
        checkpoints.find_checkpoint(folder / "config.json")


@pytest.mark.parametrize("name", ["./nowhere", "nowhere", "a/b/c", "/nowhere/at/all"])
def test_no_such_folder(name):
    with pytest.raises(MissingWeights) as caught:
        checkpoints.find_checkpoint(name)
    assert repr(name) in caught.value.message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("Tiny", "tiny"), ("tny", "tiny"), ("7b", "Qwen/Qwen2.5-VL-7B-Instruct")),
        *(("72B", "Qwen/Qwen2.5-VL-72B-Instruct"), ("qwen-3b", "Qwen/Qwen2.5-VL-3B-Instruct")),
        ("Qwen2.5-VL-7-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
    ],
)
def test_a_name_close_to_a_known_one(name, meant):
    with pytest.raises(MissingWeights, match="there is no model folder") as caught:
        checkpoints.find_checkpoint(name)
    assert caught.value.hint.startswith(f"did you mean {meant}? ")


@pytest.mark.parametrize("name", ["nowhere", "./models/mine", "14b"])
def test_a_name_close_to_none(name):
    with pytest.raises(MissingWeights) as caught:
        checkpoints.find_checkpoint(name)
    assert "did you mean" not in caught.value.hint


@pytest.mark.parametrize("place", ["huggingface", "modelscope"])
def test_a_hub_beside_a_model_that_is_here(folder, place):
    for name in ("tiny", folder, str(folder)):
        with pytest.raises(ConfigError, match=f"hub='{place}' has no effect on the") as caught:
            checkpoints.find_checkpoint(name, hub=place)
        assert str(name) in caught.value.message
        assert "leave hub out" in caught.value.hint


@pytest.mark.parametrize("name", ["", None, 7])
def test_what_can_be_no_name(name):
    with pytest.raises(ConfigError, match=f"model is {name!r}"):
        checkpoints.find_checkpoint(name)


@pytest.mark.parametrize("name", ["a" * 9999, "~nobody-of-that-name/model"])
def test_what_the_system_cannot_look_for(name):
    with pytest.raises(MissingWeights, match="model '") as caught:
        checkpoints.find_checkpoint(name)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("place", ["github", "", 3, ["huggingface"]])
@pytest.mark.parametrize("name", ["tiny", "Qwen/Qwen2.5-VL-3B-Instruct"])
def test_an_unknown_hub(name, place):
    with pytest.raises(ConfigError, match="hub is") as caught:
        checkpoints.find_checkpoint(name, hub=place)
    assert "huggingface or modelscope" in caught.value.hint


def test_a_copy_without_the_embedded_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    with pytest.raises(MissingWeights, match="has no embedded model"):
        checkpoints.find_checkpoint("tiny")


def refusing(said):
    def refuse(name, wanted, revision):
        raise OSError(said)

    return refuse


def test_a_published_name_that_cannot_be_reached_names_both_hubs(monkeypatch):
    monkeypatch.setattr(hub, "_from_huggingface", refusing("no route"))
    monkeypatch.setattr(hub, "_from_modelscope", refusing("no name"))
    with pytest.raises(
        MissingWeights, match=r"is not a local folder and cannot be downloaded"
    ) as caught:
        checkpoints.find_checkpoint("Qwen/Qwen2.5-VL-3B-Instruct")
    assert "huggingface: OSError: no route; modelscope: OSError: no name" in caught.value.message


def test_the_second_hub_is_asked_where_the_first_is_out_of_reach(monkeypatch, folder):
    monkeypatch.setattr(hub, "_from_huggingface", refusing("no route"))
    monkeypatch.setattr(hub, "_from_modelscope", lambda name, wanted, revision: folder)
    assert checkpoints.find_checkpoint("Qwen/Qwen2.5-VL-3B-Instruct") == folder
    with pytest.raises(MissingWeights, match="no route"):
        checkpoints.find_checkpoint("Qwen/Qwen2.5-VL-3B-Instruct", hub="huggingface")


@pytest.mark.parametrize("missing", ["huggingface_hub", "modelscope"])
def test_the_library_of_the_hub_that_was_asked_for_is_named(monkeypatch, missing):
    def absent(name, wanted, revision):
        raise ImportError(missing)

    for download in ("_from_huggingface", "_from_modelscope"):
        monkeypatch.setattr(hub, download, absent)
    place = missing.removesuffix("_hub")
    with pytest.raises(
        MissingWeights, match=f"{missing}, which downloads it, is not installed"
    ) as caught:
        checkpoints.find_checkpoint("someone/a-model", hub=place)
    assert caught.value.hint == f"pip install {missing}, or give a folder"


def test_an_error_without_words_is_told_too(monkeypatch):
    monkeypatch.setattr(hub, "_from_huggingface", refusing(""))
    with pytest.raises(MissingWeights, match="huggingface: OSError"):
        checkpoints.find_checkpoint("Qwen/Qwen2.5-VL-3B-Instuct", hub="huggingface")


def test_a_misspelt_release_is_guessed(monkeypatch):
    monkeypatch.setattr(hub, "_from_huggingface", refusing("404"))
    with pytest.raises(MissingWeights) as caught:
        checkpoints.find_checkpoint("Qwen/Qwen2.5-VL-3B-Instuct", hub="huggingface")
    assert "did you mean Qwen/Qwen2.5-VL-3B-Instruct?" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "qwen3_vl"}, "this is a Qwen3-VL model"),
        ({"quantization_config": {"quant_method": "hqq"}}, "quantised with hqq"),
    ],
)
def test_a_published_model_that_cannot_be_run_is_refused_before_its_weights_are_fetched(
    monkeypatch, folder, change, said
):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    fetched = []
    monkeypatch.setattr(
        hub, "_from_huggingface", lambda name, wanted, revision: fetched.append(wanted) or folder
    )
    with pytest.raises(ConfigError, match=said):
        checkpoints.find_checkpoint("someone/a-model", hub="huggingface")
    assert fetched == [hub.SMALL_FILES]


def test_a_published_model_that_can_be_run_comes_with_its_weights(monkeypatch, folder):
    fetched = []
    monkeypatch.setattr(
        hub, "_from_huggingface", lambda name, wanted, revision: fetched.append(wanted) or folder
    )
    assert checkpoints.find_checkpoint("someone/a-model", hub="huggingface") == folder
    assert fetched == [hub.SMALL_FILES, hub.WANTED_FILES]


def test_an_interrupted_download_is_not_complete(folder):
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "one.safetensors").write_bytes(b"")
    assert not hub.is_complete(folder, needs_weights=True)
    assert hub.is_complete(folder, needs_weights=False)
    (folder / "two.safetensors").write_bytes(b"")
    assert hub.is_complete(folder, needs_weights=True)


def test_without_the_file_our_own_defaults_hold(folder):
    assert checkpoints.read_generation_defaults(folder).sampling == Sampling()


def test_the_published_values_are_taken(folder):
    found = defaults(
        folder,
        do_sample=True,
        temperature=1e-6,
        repetition_penalty=1.05,
        top_k=1,
        eos_token_id=[3, 1],
        transformers_version="4.49.0",
    )
    assert found.sampling == Sampling(temperature=1e-6, repetition_penalty=1.05, top_k=1)
    assert found.eos_ids == (3, 1)


def test_without_do_sample_answers_are_greedy(folder):
    assert defaults(folder, temperature=0.7, eos_token_id=5).sampling.temperature == 0
    assert defaults(folder, do_sample=False, temperature=0.7).sampling.temperature == 0


def test_with_do_sample_a_missing_temperature_is_that_of_transformers(folder):
    """transformers does not write values that are its defaults; such a model answered greedily."""
    assert defaults(folder, do_sample=True, top_p=0.9).sampling == Sampling(
        temperature=1.0, top_p=0.9
    )


@pytest.mark.parametrize(
    "values",
    [
        *({"top_p": "high"}, {"max_new_tokens": 0}, {"top_k": True}),
        *({"eos_token_id": value} for value in ("x", 7.5, [[1]], -1)),
    ],
)
def test_wrong_values_name_the_file(folder, values):
    with pytest.raises(ConfigError, match=r"generation_config\.json"):
        defaults(folder, **values)


@pytest.mark.parametrize("value", [None, []])
def test_no_end_tokens(folder, value):
    assert defaults(folder, eos_token_id=value).eos_ids == ()


def test_a_broken_file_is_named(folder):
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        checkpoints.read_generation_defaults(folder)


def test_a_model_of_mlx(folder):
    """MLX states its quantisation under a key of its own; its weights are safetensors, too."""
    config = json.loads((folder / "config.json").read_text())
    config["quantization"] = {"group_size": 64, "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    from finesight.config.model import ModelConfig

    with pytest.raises(ConfigError, match="quantised with mlx"):
        ModelConfig.from_folder(folder)
