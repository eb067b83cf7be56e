# SPDX-License-Identifier: Apache-2.0
"""`finesight export`: what it writes, what it refuses, and that nothing half is left."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from finesight.checkpoints.adapters import save_adapter
from finesight.checkpoints.export.plain import plain_model
from finesight.model.lora import add_lora
from finesight.model.weights import load_model
from finesight.train import export as exporting
from finesight.train.checkpoint import TrainState, save_checkpoint

SMALL_LIMIT = 100_000
"""Bytes of a file in the test of a full disk: less than the weights, more than the small files."""


@pytest.fixture
def export(finesight, tiny_model_folder):
    """`export("out", "--to", "hf")`."""
    return lambda *words: finesight("export", tiny_model_folder, *words)


def sizes_in(out: str) -> dict[str, int]:
    """Sizes by the names of files, from standard output."""
    lines = [line.split(maxsplit=1) for line in out.splitlines()[:-1]]
    return {Path(name).name: int(size.replace(",", "")) for size, name in lines}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--to", "hf"), {"config.json", "model.safetensors", "chat_template.jinja"}),
        (("--to", "gguf"), {"model-F16.gguf", "mmproj-F16.gguf"}),
        (("--to", "gguf", "--weights", "q8_0"), {"model-Q8_0.gguf", "mmproj-F16.gguf"}),
        (
            ("--to", "gguf", "--weights", "q4_0", "--vision-weights", "q8_0"),
            {"model-Q4_0.gguf", "mmproj-Q8_0.gguf"},
        ),
        (
            ("--to", "ollama", "--weights", "bf16"),
            {"model-BF16.gguf", "mmproj-BF16.gguf", "Modelfile"},
        ),
        (("--to", "awq", "--group-size", "32"), {"config.json", "model.safetensors"}),
        (("--to", "onnx"), {"vision.onnx", "tower_inputs.py", "preprocessor_config.json"}),
    ],
)
def test_every_file_is_printed_with_its_size(export, words, names):
    done = export("out", *words)
    assert done.code == 0, done.err
    printed = sizes_in(done.out)
    assert printed == {path.name: path.stat().st_size for path in Path("out").iterdir()}
    assert names <= printed.keys()
    assert done.out.splitlines()[-1].split()[0].replace(",", "") == str(sum(printed.values()))
    assert json.loads(Path("out/export.json").read_text())["format"] == words[1]
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_notes_say_how_to_use_the_files(export):
    assert "--image-min-tokens 4 --image-max-tokens 16384" in export("a", "--to", "gguf").err
    assert "nats per token" in export("b", "--to", "awq", "--group-size", "32").err
    assert "ollama create" in export("c", "--to", "ollama").err
    text = Path("c/Modelfile").read_text()
    assert text.startswith("FROM ./model-F16.gguf\nFROM ./mmproj-F16.gguf\n")
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER temperature 0\n" in text


def test_an_export_answers_as_its_model(export, finesight, tiny_model_folder, picture_file):
    assert export("out", "--to", "hf").code == 0
    words = ("What?", "--image", picture_file, "--max-new-tokens", "6")
    answers = [finesight("ask", *words, "--model", each).out for each in (tiny_model_folder, "out")]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--to", "ggml"), "--to 'ggml' is no format"),
        (("--to", "gguf", "--weights", "q5_1"), "'q5_1'"),
        (("--to", "hf", "--weights", "f16"), "--weights has no effect on --to hf"),
        (("--to", "gguf", "--dtype", "float16"), "--dtype has no effect on --to gguf"),
        (("--to", "hf", "--dtype", "int3"), "dtype is 'int3'"),
        (("--to", "hf", "--separate-adapter"), "has no adapter"),
        (
            (
                "--to",
                "lora",
            ),
            "has no adapter to write",
        ),
        (("--to", "awq"), "is no multiple of the group size 128"),
        (("--to", "awq", "--calibrate", "none.jsonl"), "none.jsonl cannot be read"),
        (("--to", "hf", "--adapter", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(export, words, message):
    done = export("out", *words)
    assert message in done.err
    assert done.code in (1, 2)
    assert "Traceback" not in done.err
    assert not list(Path().iterdir())


def test_calibration_with_a_file(export):
    said = {
        "messages": [
            {"role": "user", "content": "Hi there, how are you?"},
            {"role": "assistant", "content": "Well."},
        ]
    }
    Path("c.jsonl").write_text(f"{json.dumps(said)}\n" * 6)
    assert export("out", "--to", "awq", "--group-size", "32", "--calibrate", "c.jsonl").code == 0
    Path("c.jsonl").write_text(f"{json.dumps(said)}\n" * 3 + "{}\n")
    broken = export("two", "--to", "awq", "--group-size", "32", "--calibrate", "c.jsonl")
    assert (broken.code, "line 4" in broken.err) == (2, True)
    Path("c.jsonl").write_text(f"{json.dumps(said)}\n" * 3)
    short = export("two", "--to", "awq", "--group-size", "32", "--calibrate", "c.jsonl")
    assert (short.code, "3 conversations" in short.err) == (2, True)


def test_an_existing_folder_is_replaced_only_when_asked_and_only_an_export(export):
    assert export("out", "--to", "hf").code == 0
    before = Path("out/model.safetensors").stat().st_mtime_ns
    refused = export("out", "--to", "gguf")
    assert (refused.code, "out exists" in refused.err) == (2, True)
    assert Path("out/model.safetensors").stat().st_mtime_ns == before
    assert export("out", "--to", "gguf", "--overwrite").code == 0
    assert not Path("out/model.safetensors").exists()
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    kept = export("mine", "--to", "gguf", "--overwrite")
    assert (kept.code, "is no export" in kept.err) == (2, True)
    assert Path("mine/letter.txt").read_text() == "dear"


def test_a_model_is_not_replaced_by_its_own_export(export, finesight):
    assert export("out", "--to", "hf").code == 0
    done = finesight("export", "out", "out", "--to", "gguf", "--overwrite")
    assert (done.code, "contains the model" in done.err) == (2, True)
    assert Path("out/model.safetensors").exists()


def run(folder, *words, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "finesight", "export", str(folder), *map(str, words)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("target", ["hf", "gguf"])
def test_a_full_disk_leaves_nothing(tiny_model_folder, tmp_path, target):
    """A limit on the size of files fails a write as a full disk does."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_LIMIT, SMALL_LIMIT))

    process = run(tiny_model_folder, tmp_path / "out", "--to", target, preexec_fn=limit)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot be written" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_leaves_only_a_draft_that_the_next_one_removes(
    tiny_model_folder, tmp_path, export
):
    out = tmp_path / "killed" / "out"
    process = run(tiny_model_folder, out, "--to", "awq", "--group-size", "32")

    def drafts():
        return list(out.parent.glob(".out.*.part"))

    deadline = time.monotonic() + 120
    while not drafts() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert drafts()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not out.exists()
    assert export(out, "--to", "gguf").code == 0
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.fixture
def adapter(tiny_model_folder, tmp_path):
    """An adapter in peft's format."""
    model = load_model(tiny_model_folder)
    add_lora(model, ["model.layers.*.v_proj"], rank=2, alpha=4, seed=0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_adapter(model, folder, base="toy")
    return folder


def test_an_adapter_is_merged_kept_apart_or_written_alone(export, adapter, tiny_model_folder):
    name = "model.layers.0.self_attn.v_proj.weight"
    original = load_model(tiny_model_folder).state_dict()[name]
    assert export("merged", "--to", "hf", "--adapter", adapter).code == 0
    assert not torch.equal(load_model("merged").state_dict()[name], original)
    assert export("apart", "--to", "hf", "--adapter", adapter, "--separate-adapter").code == 0
    assert torch.equal(load_model("apart").state_dict()[name], original)
    assert export("alone", "--to", "lora", "--adapter", adapter, "--base", "some/model").code == 0
    found = [
        json.loads(Path(each, "adapter_config.json").read_text())
        for each in ("apart/adapter", "alone")
    ]
    assert [each["base_model_name_or_path"] for each in found] == [
        tiny_model_folder.name,
        "some/model",
    ]
    weights = [
        Path(each, "adapter_model.safetensors").read_bytes() for each in ("apart/adapter", "alone")
    ]
    assert weights[0] == weights[1] == (adapter / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("has_lora", [True, False])
def test_a_run_is_exported_with_its_averaged_weights(finesight, tiny_model_folder, has_lora):
    """As `finesight train --export` writes them, or with the adapters apart."""
    model = load_model(tiny_model_folder)
    lora = {"targets": ["model.layers.*.v_proj"], "rank": 2, "alpha": 4.0}
    if has_lora:
        add_lora(model, lora["targets"], rank=2, alpha=4.0, seed=3)
    state = TrainState(step=1, cursor={}, samples=1, average_updates=1, seconds=1.0)
    weights = {f"model.{name}": value.detach() + 0.125 for name, value in model.named_parameters()}
    # an adapter can express no other change than its own: with adapters, the others were not trained
    trained = {name for name in weights if not has_lora or ".lora_" in name}
    parts = {
        "weights": {name: weights[name] for name in weights.keys() - trained},
        "average": {name: weights[name] for name in trained},
    }
    save_checkpoint(Path("run/checkpoints"), state, parts, keep=1)
    recipe = f'[model]\nfolder = "{tiny_model_folder}"\n'
    if has_lora:
        recipe += f"[lora]\ntargets = {lora['targets']}\nrank = 2\nalpha = 4.0\n"
    Path("run/config.toml").write_text(recipe)
    done = finesight("export", "run", "out", "--to", "hf")
    assert done.code == 0, done.err
    exporting.export(Path("run"), tiny_model_folder, Path("theirs"))
    ours, theirs = (load_model(each).state_dict() for each in ("out", "theirs"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    apart = finesight("export", "run", "apart", "--to", "hf", "--separate-adapter")
    assert apart.code == (0 if has_lora else 2)
    if has_lora:
        merged = plain_model(Path("apart"), adapter=Path("apart/adapter")).state_dict()
        name = "model.layers.1.self_attn.v_proj.weight"
        torch.testing.assert_close(merged[name], ours[name], atol=0.02, rtol=0.02)
        assert finesight("export", "run", "lora", "--to", "lora").code == 0
    both = finesight("export", "run", "two", "--to", "gguf", "--adapter", "x")
    assert (both.code, "has its own adapters" in both.err) == (2, True)


def test_a_run_whose_model_is_gone_is_named(finesight):
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/config.toml").write_text('[model]\nfolder = "gone"\n')
    done = finesight("export", "run", "out", "--to", "hf")
    assert (done.code, "model.folder gone has no config.json" in done.err) == (2, True)
    Path("run/config.toml").write_text("[data]\n")
    done = finesight("export", "run", "out", "--to", "hf")
    assert (done.code, "has no model.folder" in done.err) == (2, True)
