# SPDX-License-Identifier: Apache-2.0
"""`finesight plan` tells what encoding then gives; `finesight doctor` tells what there is."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.processor.processor import Processor


@pytest.fixture
def plan(finesight, tiny_model_folder):
    def run(*words):
        outcome = finesight("plan", *words, "--model", tiny_model_folder, "--json")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return run


def test_plan_is_what_encoding_gives(plan, tiny_model_folder, picture_file):
    outcome = plan("What is this?", "--image", picture_file)
    parts = (ImagePart(source=str(picture_file)), TextPart("What is this?"))
    sample = Processor.from_folder(tiny_model_folder).encode(
        Conversation((Message("user", parts),))
    )
    assert outcome["prompt_tokens"] == sample.input_ids.numel()
    assert outcome["visual_tokens"] == sample.visual_index.numel()
    assert outcome["memory_bytes"] > outcome["weight_bytes"] > 0
    assert outcome["seconds"] > 0
    assert outcome["fits_context"]


def test_plan_counts_the_parameters(plan, tiny_model_folder):
    from finesight.model.weights import load_model

    assert plan()["parameters"] == load_model(tiny_model_folder).num_parameters()


def test_fit_chooses_a_budget_that_fits(plan, finesight, tiny_model_folder, tmp_path):
    from PIL import Image

    Image.new("RGB", (1400, 1000), "gray").save(tmp_path / "large.png")
    whole = plan("Read.", "--image", tmp_path / "large.png")
    fitted = plan("Read.", "--image", tmp_path / "large.png", "--fit", "0.5k")
    assert whole["prompt_tokens"] > 512 >= fitted["prompt_tokens"] > 400
    (budget,) = fitted["budgets"]
    pixels = budget.rsplit(" ", 1)[-1]
    again = plan("Read.", "--image", tmp_path / "large.png", "--max-pixels", pixels)
    assert again["prompt_tokens"] == fitted["prompt_tokens"]
    words = ("Read.", "--image", "large.png", "--fit", "0.5k", "--max-new-tokens", "1")
    answered = finesight("ask", *words, "--model", tiny_model_folder, "--json")
    assert json.loads(answered.out)["usage"]["prompt_tokens"] == fitted["prompt_tokens"]


def test_what_cannot_fit_is_said(finesight, tiny_model_folder, picture_file):
    words = ("plan", "--image", picture_file, "--fit", "10", "--model", tiny_model_folder)
    outcome = finesight(*words)
    assert outcome.code == 2
    assert "do not fit into 10" in outcome.err


def test_plan_for_people(finesight, tiny_model_folder, picture_file, video_file):
    words = ("--image", picture_file, "--video", video_file, "--fps", "2")
    outcome = finesight("plan", "What?", *words, "--model", tiny_model_folder)
    assert outcome.code == 0
    for said in ("112 x 84", "effective", "prompt", "context", "memory", "time", "measured"):
        assert said in outcome.out


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """No network, and nothing in the cache."""
    import huggingface_hub.constants

    def refuse(name, wanted, revision):
        raise AssertionError(f"asked for {name}")

    for download in ("_from_huggingface", "_from_modelscope"):
        monkeypatch.setattr(f"finesight.checkpoints.hub.{download}", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


RELEASES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33_452_718_336,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73_410_777_344,
    "qwen2.5vl:3b": 3_754_622_976,
    "Qwen2.5-VL-7B": 8_292_166_656,
}
"""Names, and the parameters that the published weights have."""


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_is_planned_without_any_of_its_files(finesight, no_hub, picture_file, name):
    words = ("plan", "What is this?", "--image", picture_file, "--model", name, "--json")
    outcome = finesight(*words)
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert plan["parameters"] == RELEASES[name]
    assert plan["weight_bytes"] == 2 * RELEASES[name]
    assert plan["visual_tokens"] == 4 * 3  # 112 x 84 pixels in cells of 28 x 28
    assert plan["context_tokens"] == 128_000
    assert not plan["text_is_exact"]
    assert "no file of it was read" in plan["source"]


def test_estimated_text_is_marked_for_people(finesight, no_hub, picture_file):
    words = ("plan", "What?", "--image", picture_file, "--model", "qwen2.5vl:3b")
    said = finesight(*words).out
    assert "source   the released shape of Qwen/Qwen2.5-VL-3B-Instruct" in said
    assert "12 visual tokens (exact) and about" in said


def test_a_release_in_the_cache_is_read_there(finesight, no_hub, tiny_model_folder):
    name = "models--Qwen--Qwen2.5-VL-3B-Instruct"
    snapshot = no_hub / name / "snapshots" / ("0" * 40)
    shutil.copytree(tiny_model_folder, snapshot)
    (no_hub / name / "refs").mkdir()
    (no_hub / name / "refs" / "main").write_text("0" * 40)
    outcome = json.loads(finesight("plan", "Q", "--model", "qwen2.5vl:3b", "--json").out)
    assert outcome["source"] == str(snapshot)
    assert outcome["text_is_exact"]
    assert (
        outcome["prompt_tokens"]
        == json.loads(finesight("plan", "Q", "--model", tiny_model_folder, "--json").out)[
            "prompt_tokens"
        ]
    )


def test_a_folder_of_that_name_comes_first(finesight, no_hub, tiny_model_folder, tmp_path):
    shutil.copytree(tiny_model_folder, tmp_path / "Qwen2.5-VL-7B")
    outcome = json.loads(finesight("plan", "Q", "--model", "Qwen2.5-VL-7B", "--json").out)
    assert outcome["source"] == "Qwen2.5-VL-7B"
    assert outcome["text_is_exact"]


RECIPE = """kind = "sft"
[model]
folder = "{folder}"
start_from = "{folder}"
[data]
pack_tokens = 256
pack_patches = 512
[[data.source]]
path = "not/read"
[[optim.group]]
match = "*"
algorithm = "adamw"
lr = 1e-3
[schedule]
total_steps = 1
warmup_steps = 0
[parallel]
data = 2
shard = 4
[run]
folder = "not/written"
"""


@pytest.fixture
def recipe_file(tmp_path, tiny_model_folder):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(folder=tiny_model_folder))
    return path


def test_a_training_is_planned(finesight, recipe_file, tiny_model_folder):
    """Parameters, memory and ranks, without data and without a run folder."""
    from finesight.model.weights import load_model

    words = ("plan", "--train", recipe_file, "--ranks", "2")
    outcome = json.loads(finesight(*words, "--json").out)
    parameters = load_model(tiny_model_folder).num_parameters()
    assert sum(part["trained"] for part in outcome["parts"]) == parameters
    assert outcome["optimizer"] == 2 * outcome["gradients"] == 8 * parameters
    assert outcome["peak_bytes"] > outcome["weights"] + outcome["optimizer"]
    grid = outcome["grid"]
    assert grid["sizes"] == {"data": 2, "shard": 4, "tensor": 1, "sequence": 1}
    assert grid["ranks"] == 8
    assert grid["peak_bytes"] < outcome["ranks"][-1]["peak_bytes"] < outcome["peak_bytes"]
    said = finesight(*words).out
    for part in (
        "of adapters",
        "with gradient checkpointing",
        "not counted",
        "TFLOP a step",
        "ranks    2:",
    ):
        assert part in said
    assert "ranks    8 of the recipe (data 2 x shard 4)" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--train", "none.toml"), "none.toml cannot be read"),
        (("--train", "recipe.toml", "--image", "x.png"), "--image has no effect on the plan"),
        (("--ranks", "2"), "--ranks has no effect without --train"),
        (("--train", "recipe.toml", "--set", "parallel.tensor=3"), "which 3 does not divide"),
        (("--train", "recipe.toml", "--set", "model.folder=x"), "has no config.json"),
        (("--train", "recipe.toml", "--picture-tokens", "999"), "does not fit into packs"),
    ],
)
def test_a_training_that_cannot_be_planned(finesight, recipe_file, words, said):
    outcome = finesight("plan", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.out == ""


def test_doctor_looks_at_the_machine(finesight):
    outcome = finesight("doctor", "--json")
    assert outcome.code == 0
    names = {finding["name"] for finding in json.loads(outcome.out)["machine"]}
    assert {"python", "torch", "cpu", "memory", "video codecs", "transformers"} <= names


@pytest.fixture
def no_look_at_torchvision(monkeypatch):
    """It is imported in a process of its own, which takes seconds."""
    monkeypatch.setattr("finesight.doctor.machine._torchvision", list)


@pytest.mark.usefixtures("no_look_at_torchvision")
def test_doctor_says_how_many_threads_compute_and_how_they_wait(finesight, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    findings = json.loads(finesight("doctor", "--json").out)["machine"]
    (line,) = [finding["value"] for finding in findings if finding["name"] == "threads"]
    assert line.startswith(f"{torch.get_num_threads()} of torch, ")
    assert line.endswith("OMP_WAIT_POLICY active")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dtype", "int4"), "--dtype int4 has no effect without --model"),
        (("--dtype", "bfloat16", "--json"), "has no effect without --model"),
        (("--dtype", "int4", "--model", "tiny"), "dtype is 'int4'"),
        (("--dtype", "float64", "--model", "tiny"), "dtype is 'float64'"),
    ],
)
def test_doctor_refuses_a_dtype_before_it_looks(finesight, words, said):
    outcome = finesight("doctor", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.out == ""


def test_plan_says_what_does_not_fit(finesight, picture_file, monkeypatch):
    from finesight.doctor import estimate

    words = ("plan", "What?", "--image", picture_file, "--model", "Qwen/Qwen2.5-VL-72B-Instruct")
    monkeypatch.setattr(estimate, "available_bytes", lambda device: 16 * 2**30)
    outcome = finesight(*words)
    assert outcome.code == 0
    assert "DOES NOT FIT: cpu has 16.0 GiB free" in outcome.out
    assert json.loads(finesight(*words, "--json").out)["fits_memory"] is False
    for known in (2**50, 0):  # 0: the system does not say
        monkeypatch.setattr(estimate, "available_bytes", lambda device, known=known: known)
        assert "DOES NOT FIT" not in finesight(*words).out


@pytest.mark.usefixtures("no_look_at_torchvision")
def test_doctor_says_so_when_there_is_no_reference(finesight, tiny_model_folder, monkeypatch):
    from finesight.doctor import reference

    monkeypatch.setattr(reference, "find_spec", lambda name: None)
    outcome = finesight("doctor", "--model", tiny_model_folder)
    assert outcome.code == 1
    assert "not compared: transformers is not installed" in outcome.out


@pytest.mark.parity
@pytest.mark.usefixtures("no_look_at_torchvision")
def test_doctor_finds_the_tiny_model_right(finesight, tiny_model_folder):
    pytest.importorskip("transformers")
    outcome = finesight("doctor", "--model", tiny_model_folder)
    assert outcome.code == 0, outcome.out
    assert "every layer equals transformers'" in outcome.out
