# SPDX-License-Identifier: Apache-2.0
"""Packed weights from the command line and from Python."""

from __future__ import annotations

import json

import gguf
import pytest
import torch
from torch import nn

import finesight as library
from finesight.api.network import load_network
from finesight.cli.eval_answerer import LocalModel
from finesight.cli.model_choice import ModelChoice
from finesight.errors import ConfigError
from finesight.model.packed import PackedLinear, pack_vision
from tests.conftest import build_tokenizer
from tests.support.compiled import compiled
from tests.support.gguf_files import random_decoder, write_gguf

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
    assert "note: weights of the language model: int8\n" in stored.err
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
    with pytest.raises(ConfigError, match="compute on the CPU, the device is 'mps'"):
        load_network(tiny_model_folder, "mps", None, "int8", "sdpa")
    with pytest.raises(ConfigError, match="fp8 run on CUDA only"):
        library.load(tiny_model_folder, device="cpu", weights="fp8").ask("What?")
    refused = finesight("quantize", tiny_model_folder, "--weights", "fp8", "--out", "packed")
    assert (refused.code, "fp8 run on CUDA only" in refused.err) == (2, True)
    finesight("quantize", tiny_model_folder, "--weights", "int8", "--out", "packed")
    with pytest.raises(ConfigError, match="no effect on the packed weights"):
        library.load("packed", dtype=torch.float32)


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    backend = build_tokenizer()
    model = random_decoder("llama", backend.get_vocab_size(with_added_tokens=True))
    path = tmp_path_factory.mktemp("gguf") / "decoder.gguf"
    write_gguf(path, model, backend, "llama", kind=gguf.GGMLQuantizationType.Q8_0)
    return path


def test_a_gguf_file_is_imported_with_its_blocks(finesight, tiny_model_folder, gguf_file, tmp_path):
    words = ("import", gguf_file, "--tower", tiny_model_folder, "--out")
    made = finesight(*words, "kept", "--weights", "keep")
    assert made.code == 0, made.err
    assert "15 tensors in Q8_0 are kept as they are\n" in made.err
    assert "converted to bf16 for the look-up of tokens: token_embd.weight\n" in made.err
    assert made.err.endswith("wrote kept\n")
    asked = finesight("ask", "What?", "--model", "kept", *SHORT)
    assert asked.code == 0, asked.err
    assert "note: weights of the language model: int8" in asked.err
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "config.json").write_text('{"model_type": "llama"}')
    (plain / "tokenizer.json").write_text("{}")
    again = finesight("import", plain, "--out", "x", "--weights", "keep")
    assert again.code == 2
    assert "plain is a folder of transformers" in again.err


def planned(finesight, *words):
    outcome = finesight("plan", "What?", *words, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("weights", ["bf16", "int8", "int4"])
def test_plan_knows_the_size_of_packed_weights(finesight, tiny_model_folder, tmp_path, weights):
    finesight("quantize", tiny_model_folder, "--weights", weights, "--out", "packed")
    size = (tmp_path / "packed" / "packed.safetensors").stat().st_size
    stored = planned(finesight, "--model", "packed")
    packed_now = planned(finesight, "--model", tiny_model_folder, "--weights", weights)
    assert stored["weight_bytes"] == size
    assert stored["weights"] == packed_now["weights"] == weights
    header = 10_000  # most bytes of names and shapes at the start of the file
    assert size - header < packed_now["weight_bytes"] < size
    assert packed_now["parameters"] == stored["parameters"]
    lines = finesight("plan", "What?", "--model", "packed").out
    assert f"float32, language model in {weights}\n" in lines


def test_plan_expects_faster_answers_of_fewer_bytes(finesight, monkeypatch):
    from finesight.doctor import machine

    monkeypatch.setattr(machine, "measure_speed", lambda device, dtype: machine.Speed(100e9, 10e9))
    name = ("--model", "Qwen/Qwen2.5-VL-3B-Instruct", "--device", "cpu")
    seconds = [
        planned(finesight, *name, *more)["decode_seconds"]
        for more in ((), ("--weights", "bf16"), ("--weights", "int8"), ("--weights", "int4"))
    ]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.01)
    assert 1.7 < seconds[1] / seconds[2] < 1.9
    assert 3.1 < seconds[1] / seconds[3] < 3.3  # the output head keeps 8 bits


def test_plan_refuses_what_loading_refuses(finesight, tiny_model_folder):
    finesight("quantize", tiny_model_folder, "--weights", "int8", "--out", "packed")
    for words, said in (
        (("--model", "packed", "--dtype", "float32"), "no effect on the packed weights"),
        (("--model", "packed", "--weights", "int4"), "are packed as int8, not int4"),
        (("--model", tiny_model_folder, "--weights", "int3"), "weights is 'int3'"),
    ):
        outcome = finesight("plan", "What?", *words)
        assert (outcome.code, said in outcome.err) == (2, True), outcome.err


@pytest.mark.parametrize("weights", ["bf16", "int8", "int4"])
def test_doctor_checks_a_packed_folder(finesight, tiny_model_folder, tmp_path, weights):
    finesight("quantize", tiny_model_folder, "--weights", weights, "--out", "packed")
    outcome = finesight("doctor", "--model", "packed")
    assert outcome.code == 0, outcome.out
    assert f"language model in {weights}; checksum and shapes are right" in outcome.out
    assert "ok    model.layers.0.self_attn.q_proj" in outcome.out
    assert "the sampled layers equal the products with their unpacked weights" in outcome.out
    report = json.loads(finesight("doctor", "--model", "packed", "--json").out)["model"]
    assert report["is_right"]
    assert report["weights"] == weights
    names = [case["name"] for case in report["cases"]]
    assert names[-1] == "lm_head.packed"
    assert len(names) == 2 * 7 + 1
    for case in report["cases"]:
        assert 0 <= case["difference"] <= case["tolerance"] <= 0.02


def test_doctor_finds_a_damaged_packed_folder(finesight, tiny_model_folder, tmp_path):
    finesight("quantize", tiny_model_folder, "--weights", "int8", "--out", "packed")
    path = tmp_path / "packed" / "packed.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    outcome = finesight("doctor", "--model", "packed")
    assert outcome.code == 1
    assert "is damaged: size and checksum" in outcome.err
    assert finesight("doctor", "--model", "packed", "--dtype", "float32").code == 2


def test_doctor_finds_a_kernel_that_computes_wrongly(finesight, tiny_model_folder, monkeypatch):
    from finesight.kernels import ops

    finesight("quantize", tiny_model_folder, "--weights", "int8", "--out", "packed")
    linear = ops.linear
    monkeypatch.setattr(ops, "linear", lambda *given: 1.1 * linear(*given))
    outcome = finesight("doctor", "--model", "packed")
    assert outcome.code == 1
    assert "DIFF  model.layers.0.self_attn.q_proj" in outcome.out
    assert "15 of 15 layers differ" in outcome.out


@pytest.mark.parametrize(
    "command", ["ask", "chat", "batch", "locate", "eval", "eval run", "eval live"]
)
def test_commands_that_answer_have_the_same_options_of_a_local_model(finesight, command):
    shown = finesight(*command.split(), "--help").out
    for option in ("--device", "--weights", "--draft-tokens", "--threads"):
        assert f" {option} " in shown, option


def test_options_of_a_local_model_reach_the_engine(tiny_model_folder):
    choice = ModelChoice(name=str(tiny_model_folder), device="cpu", weights="bf16", draft_tokens=3)
    responder = LocalModel(choice).responder()
    assert responder.responder.options.draft_tokens == 3
    assert "bf16 weights" in responder.name


def test_options_of_a_suite_do_not_belong_to_a_command(finesight):
    for option in (("--weights", "int8"), ("--draft-tokens", "4")):
        outcome = finesight("eval", *option, "list")
        assert (outcome.code, "options of a suite precede" in outcome.err) == (2, True)
    outcome = finesight(
        "eval", "live", "miniwob", "--data", "x", "--endpoint", "http://h/v1", "--space",
        "original", "--weights", "int8"
    )  # fmt: skip
    assert outcome.code == 2
    assert "--weights int8 is for local models, not for --endpoint" in outcome.err


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
