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
    draft = out.with_name(".out.part")
    deadline = time.monotonic() + 120
    while not draft.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert draft.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not out.exists()
    assert export(out, "--to", "gguf").code == 0
    assert [path.name for path in out.parent.iterdir()] == ["out"]
