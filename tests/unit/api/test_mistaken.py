# SPDX-License-Identifier: Apache-2.0
"""Whatever is given as a model and is none: the error says what it is, and the hint what to type."""

from __future__ import annotations

import os

import pytest

from finesight.api.checkpoints import find_checkpoint
from finesight.api.mistaken import name_mistake
from finesight.config.sizes import RELEASE_NAMES
from finesight.errors import ConfigError, WeightsError

SEVEN = RELEASE_NAMES["7b"]


@pytest.mark.parametrize(
    ("name", "said", "typed"),
    [
        ("qwen2.5vl:3b", "Ollama's name of a model that its store", RELEASE_NAMES["3b"]),
        ("qwen2.5vl:72b-q4_K_M", "Ollama's name of a model that its store", RELEASE_NAMES["72b"]),
        ("qwen2.5vl", "Ollama's name of a model that its store", SEVEN),
        ("Qwen2.5-VL-7B", "is not a local folder", SEVEN),
        ("Qwen2.5-VL-7B-Instruct", "is not a local folder", SEVEN),
        ("qwen2.5-vl-7b-instruct", "is not a local folder", SEVEN),
        ("Qwen/Qwen2.5-VL-7B", "is not a local folder", SEVEN),
        ("Qwen2.5-VL-32B-Instruct-AWQ", "is not a local folder", f"{RELEASE_NAMES['32b']}-AWQ"),
        ("someone/Qwen2.5-VL-7B-Instruct-int4", r"quantised copy \(int4\)", f"{SEVEN}-AWQ"),
        ("unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit", r"quantised copy \(bnb\)", SEVEN),
        ("ggml-org/Qwen2.5-VL-7B-Instruct-GGUF", "a folder of GGUF files on a hub", SEVEN),
        ("Qwen/Qwen2-VL-7B-Instruct", "another family", SEVEN),
        ("Qwen/Qwen3-VL-8B-Instruct", "another family", SEVEN),
        ("Qwen/Qwen2.5-Omni-7B", "another family", SEVEN),
        ("llava:13b", "a name of Ollama that its store", SEVEN),
        (f"https://huggingface.co/{SEVEN}/tree/main", "is a URL", SEVEN),
        (f"https://modelscope.cn/models/{SEVEN}", "is a URL", SEVEN),
        ("https://example.org/model.zip", "is a URL", "a published name"),
    ],
)
def test_names(name, said, typed, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    with pytest.raises(ConfigError, match=said) as caught:
        find_checkpoint(name)
    assert name in caught.value.message
    assert typed in caught.value.hint


GGUF = b"GGUF\x03\0\0\0" + bytes(8) + b"\x02\0\0\0\0\0\0\0" + b"\x14\0\0\0\0\0\0\0"
ARCHITECTURE = b"general.architecture\x08\0\0\0"


@pytest.mark.parametrize(
    ("name", "content", "said", "typed"),
    [
        ("mmproj-Qwen2.5-VL-7B.gguf", GGUF, r"vision tower of a GGUF model \(mmproj\)", "--mmproj"),
        ("7b.bin", GGUF + ARCHITECTURE + b"\x04" + bytes(7) + b"clip", "(mmproj)", "--mmproj"),
        ("adapter_model.safetensors", b"\x08" + bytes(7), "LoRA adapter", "--adapter {folder}"),
        ("model.onnx", b"\x08\x07", "in ONNX", "converted from"),
        ("tf_model.h5", b"\x89HDF", "in TensorFlow", "converted from"),
        ("flax_model.msgpack", b"\x87", "format of Flax", "converted from"),
        ("weights.npz", b"PK\x03\x04", "format of MLX", "converted from"),
        ("ggml-7b.bin", b"tjgg", "predecessor of GGUF", "Qwen/Qwen2.5"),
        ("model-00001-of-00002.safetensors", b"\x08" + bytes(7), "is a weight file", "{folder}"),
        ("pytorch_model.bin", b"PK\x03\x04", "pickle", "safetensors"),
        ("config.json", b'{"model_type": 1}', "is a file, a text file", "{folder}"),
        ("page.pdf", b"%PDF-1.7", "PDF document", "--pdf"),
        ("cat.png", b"\x89PNG\r\n\x1a\n", "PNG picture", "--image"),
        ("cat.mp4", b"\0\0\0\x18ftypmp42", "MP4 video", "--video"),
        ("nothing", b"", "empty file", "{folder}"),
    ],
)
def test_files(tmp_path, name, content, said, typed):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        find_checkpoint(path)
    assert str(path) in caught.value.message
    assert typed.format(folder=tmp_path) in caught.value.hint


def test_a_broken_gguf_file(tmp_path):
    path = tmp_path / "Qwen2.5-VL-7B-Q4.gguf"
    path.write_bytes(GGUF)
    (tmp_path / "mmproj.gguf").write_bytes(GGUF)
    with pytest.raises(WeightsError, match="not a complete GGUF file") as caught:
        find_checkpoint(path)
    assert str(path) in caught.value.message


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="neither a folder nor a regular file"):
        find_checkpoint(tmp_path / "pipe")


@pytest.mark.parametrize(
    "name",
    [
        "me/Qwen2.5-VL-charts",
        "me/qwen2.5-vl-7b-int",
        "me/charts",
        "Qwen/Qwen2.5-VL-7B-Instruct-AWQ",
        "me/Qwen2.5-VL-3B-Instruct-GPTQ-Int4",
    ],
)
def test_names_that_may_be_published(name):
    assert name_mistake(name) is None


def test_a_folder_may_have_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "Qwen2.5-VL-7B-Instruct-AWQ"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(folder.name, needs_weights=False).resolve() == folder
