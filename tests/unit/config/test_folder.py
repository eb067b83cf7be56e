# SPDX-License-Identifier: Apache-2.0
"""Folders with other files than a checkpoint, or with a checkpoint and an adapter."""

from __future__ import annotations

import json

import pytest

from finesight.config.folder import check_folder, check_weight_files
from finesight.errors import ConfigError, MissingWeights

BASE = "Qwen/Qwen2.5-VL-3B-Instruct"


@pytest.fixture
def folder(tmp_path):
    """`folder("a", "b")`: a folder with these files, empty but for an adapter's configuration."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            is_adapter = name == "adapter_config.json"
            path.write_text(json.dumps({"base_model_name_or_path": BASE}) if is_adapter else "")
        return tmp_path

    return make


ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


@pytest.mark.parametrize(
    "names", [("model.safetensors",), ("model-00001-of-00002.safetensors", "training_args.bin")]
)
def test_a_checkpoint_is_taken(folder, names):
    check_folder(folder("config.json", *names))


def test_weights_are_not_asked_for_where_they_are_not_needed(folder):
    check_folder(folder("config.json"), needs_weights=False)


@pytest.mark.parametrize("names", [ADAPTER, ("config.json", *ADAPTER), ("adapter_model.bin",)])
def test_an_adapter_alone(folder, names):
    with pytest.raises(ConfigError, match="is a LoRA adapter") as caught:
        check_folder(folder(*names))
    assert (f"for {BASE}" in caught.value.message) == ("adapter_config.json" in names)
    assert "merge_and_unload" in caught.value.hint
    assert f"--adapter {folder()}" in caught.value.hint


@pytest.mark.parametrize("content", ["", "[]", '{"base_model_name_or_path": null}', "\udc80"])
def test_a_broken_adapter_is_still_an_adapter(folder, content):
    path = folder(*ADAPTER) / "adapter_config.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match="is a LoRA adapter, not a whole model"):
        check_folder(path.parent)


@pytest.mark.parametrize("adapter", ADAPTER)
def test_a_model_with_an_adapter_beside_it_is_refused(folder, adapter):
    with pytest.raises(ConfigError, match=rf"adapter beside it \({adapter}\)") as caught:
        check_weight_files(folder("config.json", "model.safetensors", adapter))
    assert f"move {adapter}" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "said", "typed"),
    [
        (("pytorch_model.bin",), r"only pytorch_model\.bin", "from_pretrained"),
        (tuple(f"p-{part}.bin" for part in range(7)), "p-4.bin and 2 more", "can run code"),
        (("model-Q4_K_M.gguf", "mmproj.gguf"), r"only mmproj\.gguf, model", "llama.cpp"),
        (("model.onnx", "tf_model.h5"), "only model.onnx, tf_model.h5", "TensorFlow"),
        ((), "holds no safetensors file", "safetensors"),
    ],
)
def test_weights_of_another_kind(folder, names, said, typed):
    with pytest.raises(MissingWeights, match=said) as caught:
        check_folder(folder("config.json", *names))
    assert typed in caught.value.hint


def test_gguf_files_without_a_configuration(folder):
    with pytest.raises(MissingWeights, match=r"only a\.gguf"):
        check_folder(folder("a.gguf"))


@pytest.mark.parametrize("inner", ["checkpoint-500", "snapshots/0a1b"])
def test_the_folder_around_a_checkpoint(folder, inner):
    outer = folder(f"{inner}/config.json")
    with pytest.raises(MissingWeights, match=r"has no config\.json") as caught:
        check_folder(outer)
    assert str(outer / inner) in caught.value.hint
