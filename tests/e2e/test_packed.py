# SPDX-License-Identifier: Apache-2.0
"""Packed weights from the command line and from Python."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import finesight as library
from finesight.api.network import load_network
from finesight.errors import ConfigError
from finesight.model.packed import PackedLinear, pack_vision
from tests.support.compiled import compiled

SHORT = ("--max-new-tokens", "6")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of its own for packed weights; the kernels are compiled before."""
    compiled()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_format_of_the_weights_is_said(finesight, tiny_model_folder, picture_file):
    words = ("What?", "--image", picture_file, "--model", tiny_model_folder, *SHORT)
    first = finesight("ask", *words, "--weights", "int8")
    assert first.code == 0, first.err
    assert "note: packing the weights of" in first.err
    assert "note: weights of the language model: int8, rounded from the checkpoint's" in first.err
    second = finesight("ask", *words, "--weights", "int8")
    assert "packing" not in second.err
    assert second.out == first.out
    plain = finesight("ask", *words, "--weights", "bf16")
    assert "note: weights of the language model: bf16\n" in plain.err
    assert "note: weights" not in finesight("ask", *words).err


def test_a_quantized_folder_is_a_model(finesight, tiny_model_folder, picture_file, tmp_path):
    made = finesight("quantize", tiny_model_folder, "--weights", "int8", "--out", "packed")
    assert (made.code, made.out, made.err) == (0, "", "wrote packed\n")
    words = ("red square", "--image", picture_file, "--max-new-tokens", "6")
    stored = finesight("locate", *words, "--model", "packed")
    now = finesight("locate", *words, "--model", tiny_model_folder, "--weights", "int8")
    assert stored.code == now.code == 0
    assert stored.out == now.out
    assert "note: weights of the language model: int8" in stored.err
    again = finesight("quantize", "packed", "--weights", "int4", "--out", "other")
    assert (again.code, "are packed already" in again.err) == (2, True)
    assert finesight("quantize", "packed", "--weights", "int4", "--out", "packed").code == 2


@pytest.mark.parametrize("words", [("ask", "What?"), ("quantize",)])
def test_unknown_formats_are_named(finesight, tiny_model_folder, words, tmp_path):
    model = (
        (tiny_model_folder, "--out", "packed")
        if words == ("quantize",)
        else ("--model", tiny_model_folder)
    )
    outcome = finesight(*words, *model, "--weights", "int3")
    assert outcome.code == 2
    assert "weights is 'int3'" in outcome.err
    assert "bf16, int8, int4" in outcome.err
    assert not (tmp_path / "packed").exists()


def test_from_python(tiny_model_folder, tmp_path):
    with pytest.warns(UserWarning, match="packing"):
        model = library.load(tiny_model_folder, weights="int4")
    assert model.ask("What?", max_new_tokens=4).usage.completion_tokens <= 4
    with pytest.raises(ConfigError, match="weights is 'q4'"):
        _ = library.load(tiny_model_folder, weights="q4")


def test_other_devices_and_dtypes_are_refused(finesight, tiny_model_folder):
    with pytest.raises(ConfigError, match="compute on the CPU, the device is 'cuda'"):
        load_network(tiny_model_folder, "cuda", None, "int8", "sdpa")
    finesight("quantize", tiny_model_folder, "--weights", "int8", "--out", "packed")
    with pytest.raises(ConfigError, match="no effect on the packed weights"):
        library.load("packed", dtype=torch.float32)


@pytest.mark.parametrize("verb", ["ask", "locate"])
def test_what_rounding_the_vision_tower_changes_is_said(
    finesight, tiny_model_folder, picture_file, verb
):
    words = (verb, "What?", "--image", picture_file, "--model", tiny_model_folder, *SHORT)
    rounded = finesight(*words, "--vision-weights", "int8")
    assert rounded.code == 0, rounded.err
    said = (
        "note: the vision tower is rounded to int8: the visual tokens of a drawn picture change by "
    )
    assert said in rounded.err
    assert "the vision tower" not in finesight(*words).err
    both = finesight(*words, "--vision-weights", "int8", "--weights", "int8")
    assert both.code == 0, both.err
    assert said in both.err
    assert "weights of the language model: int8" in both.err
    wrong = finesight(*words, "--vision-weights", "int4")
    assert wrong.code == 2
    assert "vision_weights is 'int4'" in wrong.err


def test_a_rounded_vision_tower_from_python(tiny_model_folder):
    exact = library.load(tiny_model_folder, device="cpu").network
    with pytest.warns(UserWarning, match=r"change by \d\.\d\d% \(mean cosine similarity 0\.99"):
        rounded = library.load(tiny_model_folder, device="cpu", vision_weights="int8").network
    packed = {name for name, one in rounded.named_modules() if isinstance(one, PackedLinear)}
    linear = {name for name, one in exact.visual.named_modules() if isinstance(one, nn.Linear)}
    assert packed == {f"visual.{name}" for name in linear}
    with pytest.raises(ConfigError, match="packed already"):
        pack_vision(rounded, "int8")
    with pytest.raises(ConfigError, match="vision_weights is 'int3'"):
        _ = library.load(tiny_model_folder, vision_weights="int3").network
    with pytest.raises(ConfigError, match="vision_weights int8 compute on the CPU"):
        load_network(tiny_model_folder, "cuda", None, None, "sdpa", vision_weights="int8")
