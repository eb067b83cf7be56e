# SPDX-License-Identifier: Apache-2.0
"""GGUF files and Ollama names as `--model` of the commands, and as `finesight.load`."""

from __future__ import annotations

import json
import shutil

import pytest

import finesight
from finesight.checkpoints import gguf_model
from tests.support.gguf_models import write_llama_cpp


@pytest.fixture(scope="module")
def files(tiny_model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    write_llama_cpp(tiny_model_folder, folder / "model-f32.gguf", folder / "mmproj-f32.gguf")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_model, "user_cache_path", lambda name: tmp_path / name)


def test_ask_answers_as_the_folder(finesight_command, files, tiny_model_folder, picture_file):
    words = ("ask", "What is this?", "--image", picture_file, "--max-new-tokens", 8)
    plain = finesight_command(*words, "--model", tiny_model_folder)
    done = finesight_command(*words, "--model", files / "model-f32.gguf")
    assert done.code == plain.code == 0, done.err
    assert done.out == plain.out
    assert "note: reading" in done.err
    again = finesight_command(*words, "--model", files)  # the only model of a folder
    assert again.out == plain.out
    assert "note: reading" not in again.err


def test_the_vision_tower_from_another_place(
    finesight_command, files, tiny_model_folder, picture_file, tmp_path
):
    alone = tmp_path / "alone" / "m.gguf"
    alone.parent.mkdir()
    shutil.copy(files / "model-f32.gguf", alone)
    words = ("locate", "square", "--image", picture_file, "--model", alone, "--json")
    missing = finesight_command(*words)
    assert missing.code == 1
    assert "--mmproj" in missing.err
    lost = finesight_command(*words, "--mmproj", "nowhere.gguf")
    assert "which is no file" in lost.err
    done = finesight_command(*words, "--mmproj", files / "mmproj-f32.gguf")
    assert done.code == 0, done.err
    model = finesight.load(alone, mmproj=files / "mmproj-f32.gguf")
    assert json.loads(done.out)["text"] == model.locate("square", picture_file).text
    useless = finesight_command(
        *("ask", "?", "--model", tiny_model_folder, "--mmproj", files / "mmproj-f32.gguf")
    )
    assert useless.code == 2
    assert "has no effect" in useless.err


def test_a_folder_of_several_files(finesight_command, files, tmp_path):
    for name in ("a.gguf", "b.gguf", "mmproj.gguf"):
        shutil.copy(files / "model-f32.gguf", tmp_path / name)
    done = finesight_command("ask", "?", "--model", tmp_path)
    assert done.code == 2
    assert "holds 2 GGUF files: a.gguf, b.gguf" in done.err


@pytest.fixture
def finesight_command(request):
    """The fixture `finesight`, beside the package of that name."""
    return request.getfixturevalue("finesight")
