# SPDX-License-Identifier: Apache-2.0
"""Models in the store of Ollama on this disk, and stores that are damaged or hostile."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from contextlib import contextmanager

import pytest
import torch

from finesight.api.checkpoints import find_checkpoint, read_generation_defaults
from finesight.checkpoints import gguf_model
from finesight.checkpoints.ollama import find_in_store, store_folder
from finesight.errors import ConfigError, FinesightError, MissingWeights, WeightsError
from finesight.model.weights import load_model
from tests.support.gguf_models import write_llama_cpp, write_ollama

KIND = "application/vnd.ollama.image."
LICENSE = b"  Qwen RESEARCH LICENSE AGREEMENT\n\nTongyi Qianwen ...\n"


@contextmanager
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "store"))
    monkeypatch.setattr(gguf_model, "user_cache_path", lambda name: tmp_path / name)
    (tmp_path / "store/blobs").mkdir(parents=True)
    return tmp_path / "store"


def blob(store, content: bytes) -> dict:
    digest = hashlib.sha256(content).hexdigest()
    (store / "blobs" / f"sha256-{digest}").write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def manifest(store, layers, name="registry.ollama.ai/library/qwen2.5vl/7b"):
    path = store / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"mediaType": KIND + kind, **layer} for kind, layer in layers]
    path.write_text(json.dumps({"schemaVersion": 2, "layers": listed}))
    return path


@pytest.fixture(scope="session")
def one_file(tiny_model_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("ollama") / "m.gguf"
    write_ollama(tiny_model_folder, path)
    return path.read_bytes()


@pytest.fixture
def model(store, one_file):
    """The layers of a whole model."""
    params = {"temperature": 0.25, "top_k": 3, "num_predict": -1, "stop": ["x"]}
    return [
        ("model", blob(store, one_file)),
        ("license", blob(store, LICENSE)),
        ("template", blob(store, b"{{ .Prompt }}")),
        ("params", blob(store, json.dumps(params).encode())),
    ]


def test_a_model_of_one_file(store, model, tiny_model_folder):
    manifest(store, model)
    with pytest.warns(UserWarning, match="qwen2.5vl:7b of Ollama, once.*licence: Qwen RESEARCH"):
        folder = find_checkpoint("qwen2.5vl:7b")
    assert find_checkpoint("ollama:qwen2.5vl:7b") == folder
    found, wanted = (load_model(each).state_dict() for each in (folder, tiny_model_folder))
    name = "visual.blocks.1.attn.qkv.weight"
    assert torch.equal(found[name], wanted[name].half().to(torch.bfloat16))
    defaults = read_generation_defaults(folder).sampling
    assert (defaults.temperature, defaults.top_k) == (0.25, 3)
    assert (folder / "LICENSE").read_bytes() == LICENSE


def test_a_model_of_two_files(store, tiny_model_folder, tmp_path):
    write_llama_cpp(tiny_model_folder, tmp_path / "m.gguf", tmp_path / "p.gguf")
    layers = [
        ("model", blob(store, (tmp_path / "m.gguf").read_bytes())),
        ("projector", blob(store, (tmp_path / "p.gguf").read_bytes())),
    ]
    manifest(store, layers, "hf.co/me/model-GGUF/Q8_0")
    with quiet():
        folder = find_checkpoint("hf.co/me/model-GGUF:Q8_0")
    found, wanted = (load_model(each).state_dict() for each in (folder, tiny_model_folder))
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mine", "registry.ollama.ai/library/mine/latest"),
        ("me/mine:v1", "registry.ollama.ai/me/mine/v1"),
        ("localhost:5000/me/mine:v1", "localhost:5000/me/mine/v1"),
    ],
)
def test_names(store, model, name, place):
    manifest(store, model, place)
    found = find_in_store(name)
    assert found.model.name == model[0][1]["digest"].replace(":", "-")
    assert find_in_store(f"{name}x") is None


def test_the_folder_of_the_store(monkeypatch, tmp_path):
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_folder() == tmp_path / ".ollama/models"


def test_a_model_that_is_not_there(store, model):
    manifest(store, model)
    with pytest.raises(ConfigError, match="its store on this disk does not have") as caught:
        find_checkpoint("qwen2.5vl:3b")
    assert "ollama pull qwen2.5vl:3b" in caught.value.hint
    with pytest.raises(MissingWeights, match=r"has no model mine; it has qwen2\.5vl:7b"):
        find_checkpoint("ollama:mine")


@pytest.mark.parametrize(
    "name",
    [
        *("../../../etc/passwd:x", "..:..", "a/../b:c", "a:../../b", ".hidden:x", "a/b/c/d/e:f"),
        *("a\0b:c", "a:b\n", "x" * 400 + ":y", "-a:b"),
    ],
)
def test_names_never_leave_the_store(store, name, tmp_path):
    (tmp_path / "etc").mkdir()
    assert find_in_store(name) is None


@pytest.mark.parametrize(
    "digest",
    [
        *(
            "sha256:../../../etc/passwd",
            "../x",
            "sha256:" + "0" * 63,
            "sha256:" + "G" * 64,
            "",
            None,
        ),
        *(7, ["x"], "sha256:" + "0" * 64 + "/../x", "md5:" + "0" * 32),
    ],
)
def test_digests_that_are_none(store, model, digest):
    model[0][1]["digest"] = digest
    manifest(store, model)
    with pytest.raises(WeightsError, match="which is no SHA-256"):
        find_checkpoint("qwen2.5vl:7b")


def test_a_missing_and_a_cut_blob(store, model):
    path = store / "blobs" / model[0][1]["digest"].replace(":", "-")
    manifest(store, model)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError, match=r"has \d+ bytes, the manifest says") as caught:
        find_checkpoint("qwen2.5vl:7b")
    assert "ollama pull" in caught.value.hint
    path.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        find_checkpoint("qwen2.5vl:7b")


def test_a_blob_of_other_content(store, model):
    path = store / "blobs" / model[0][1]["digest"].replace(":", "-")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    manifest(store, model)
    with quiet(), pytest.raises(WeightsError, match="has the SHA-256"):
        find_checkpoint("qwen2.5vl:7b")


def test_blobs_may_be_links_if_their_content_is_right(store, model, tmp_path):
    path = store / "blobs" / model[0][1]["digest"].replace(":", "-")
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    manifest(store, model)
    with quiet():
        assert find_checkpoint("qwen2.5vl:7b").is_dir()
    other = tmp_path / "secret"
    other.write_bytes(b"x" * model[0][1]["size"])
    os.utime(other, (1, 1))
    path.unlink()
    path.symlink_to(other)
    with quiet(), pytest.raises(FinesightError) as caught:
        find_checkpoint("qwen2.5vl:7b")
    assert "xxx" not in str(caught.value)
    path.unlink()
    path.symlink_to(path)  # a loop
    with pytest.raises(WeightsError, match="is missing"):
        find_checkpoint("qwen2.5vl:7b")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"layers": 3}', '{"layers": [3]}', "[" * 100_000, " " * (2**20 + 1)],
)
def test_manifests_that_are_none(store, content):
    path = manifest(store, [])
    path.write_text(content)
    with pytest.raises(WeightsError, match="is no manifest of Ollama"):
        find_checkpoint("qwen2.5vl:7b")


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (("model", "adapter"), "has a LoRA adapter in GGUF"),
        (("template",), "has 0 model files"),
        (("model", "model"), "has 2 model files"),
        (("tensor", "tensor"), "has 0 model files"),
    ],
)
def test_models_of_other_parts(store, one_file, kinds, said):
    manifest(store, [(kind, blob(store, one_file)) for kind in kinds])
    with pytest.raises(ConfigError, match=said):
        find_checkpoint("qwen2.5vl:7b")


def test_what_is_not_applied_is_said(store, model):
    manifest(store, [*model, ("system", blob(store, b"Speak like a pirate."))])
    with pytest.warns(UserWarning, match="system message .* not used; give --system"):
        find_in_store("qwen2.5vl:7b")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"7"])
def test_broken_parameters(store, model, content):
    manifest(store, [*model[:1], ("params", blob(store, content))])
    with pytest.raises(WeightsError, match="are no JSON object"):
        find_checkpoint("qwen2.5vl:7b")
