# SPDX-License-Identifier: Apache-2.0
"""`finesight train sft` from examples to a model and a report; a run that is killed in any phase goes on."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from finesight.config.load import read_recipe
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.model.weights import load_model
from finesight.train.recipe import TrainRecipe

META = {"split": "train", "generator": "test"}
WORDS = ("ab", "cat", "d1", "Eg", "fog", "hi")
NUMBER = 24


def examples():
    for number in range(NUMBER):
        picture = Image.new("RGB", (56, 28), (200, 255 - number, 255))
        word = WORDS[number % len(WORDS)]
        ImageDraw.Draw(picture).text((6, 8), word, fill="black")
        yield Record.of_picture(
            id=f"r-{number}", image=np.array(picture), turns=(("Read it.", word),), meta=META
        )


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    write_shard(folder / "a.tar", examples())
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A sanity set of two questions a part; the signals and threads of this process stay."""
    monkeypatch.setattr("finesight.evals.suites.sanity.ITEMS", 2)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)


@pytest.fixture
def sft(finesight, shards, tiny_model_folder):
    """Fine-tune the random model; options may be added or replaced."""

    def run(out="run", *more, data=shards):
        words = ["--model", tiny_model_folder, "--data", data, "--out", out, "--epochs", 2]
        fixed = ["--replay", "0", "--device", "cpu", "--set", "run.precision=float32"]
        return finesight("train", "sft", *words, *fixed, *more)

    return run


def test_examples_become_a_model_and_a_report(finesight, sft, tmp_path, picture_file):
    done = sft("run", "--held-back", "25%")
    assert done.code == 0, done.err
    assert "18 records to train on, 6 held back" in done.err
    assert "6 held-back answers are scored as exact: share of exact matches" in done.err
    assert "finesight ask --model run/model 'Read it.' --image PICTURE" in done.out

    report = json.loads((tmp_path / "run/report.json").read_text())
    (row,) = report["held_back"]
    assert (row["name"], row["n"]) == ("exact", 6)
    assert [row["name"] for row in report["sanity"]] == ["read", "point", "facts"]
    assert report["losses"]["held-back loss"][0][0] == 0
    assert len(report["answers"]) == 6
    page = (tmp_path / "run/report.html").read_text()
    assert "Held-back records" in page
    assert "<svg" in page

    # The printed recipe is the stored one, and is read again.
    stored = (tmp_path / "run/config.toml").read_text()
    assert stored.strip() in done.err
    assert read_recipe(tmp_path / "run/config.toml", TrainRecipe).kind == "sft"

    asked = finesight("ask", "Read it.", "--image", picture_file, "--model", "run/model")
    assert asked.code == 0, asked.err


def test_a_second_start_repeats_nothing(sft, tmp_path):
    assert sft().code == 0
    files = ("log.jsonl", "model/config.json", "before/exact/samples.jsonl", "report.json")
    before = {name: (tmp_path / "run" / name).read_bytes() for name in files}
    made = (tmp_path / "run/model/config.json").stat().st_mtime_ns
    again = sft()
    assert again.code == 0
    assert "step" not in again.err
    assert before == {name: (tmp_path / "run" / name).read_bytes() for name in files}
    assert (tmp_path / "run/model/config.json").stat().st_mtime_ns == made


def test_more_epochs_go_on_with_the_run_and_score_the_new_model(sft, tmp_path):
    assert sft().code == 0
    first = json.loads((tmp_path / "run/report.json").read_text())
    more = sft("run", "--epochs", 12)
    assert more.code == 0, more.err
    assert "resuming from step" in more.err
    second = json.loads((tmp_path / "run/report.json").read_text())
    assert second["losses"]["held-back loss"][-1][0] > first["losses"]["held-back loss"][-1][0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--seed", 4), "was started with seed = 0, now it is 4"),
        (("--held-back", "0.2"), "was started with held_back = 0.1, now it is 0.2"),
        (("--set", "data.jitter=1"), "has data.jitter = 0.3, the recipe has 1"),
        (("--lora-rank", 2), "has lora"),
    ],
)
def test_a_started_run_keeps_its_options(sft, more, message):
    assert sft().code == 0
    changed = sft("run", *more)
    assert changed.code == 2
    assert message in changed.err


def test_nothing_held_back_trains_to_the_end_without_scores(sft, tmp_path):
    done = sft("run", "--held-back", "0")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert (report["held_back"], report["answers"], report["best_step"]) == ([], [], None)
    assert not (tmp_path / "run/best.safetensors").exists()


def test_adapters_are_merged_into_the_model(sft, tmp_path, tiny_model_folder):
    done = sft("run", "--lora-rank", 2)
    assert done.code == 0, done.err
    trained, before = load_model(tmp_path / "run/model"), load_model(tiny_model_folder)
    changed = {
        name
        for name, value in trained.state_dict().items()
        if not torch.equal(value, before.state_dict()[name].to(value.dtype))
    }
    assert changed
    assert all(name.startswith(("model.layers.", "visual.merger.")) for name in changed)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--epochs", 0), "--epochs 0 must be a positive number"),
        (("--minutes", 3), "--epochs and --minutes are both given"),
        (("--full", "--lora-rank", 4), "--full and --lora-rank 4 are both given"),
        (("--held-back", "60%"), "'60%' is no share from 0 to 50%"),
        (("--held-back", "many"), "'many' is no share"),
        (("--metric", "blue"), "--metric blue is no kind of score"),
        (("--set", "data.pack=3"), "unknown key data.pack"),
    ],
)
def test_wrong_options_are_named(sft, more, message):
    done = sft("run", *more)
    assert done.code == 2
    assert message in done.err


def test_too_few_examples_are_refused(sft, tmp_path):
    write_shard(tmp_path / "few" / "a.tar", list(examples())[:3])
    done = sft("run", data=tmp_path / "few")
    assert done.code == 1
    assert "3 records with 3 different pictures are too few to hold back 10%" in done.err


def test_a_lack_of_memory_names_what_helps(sft, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("finesight.train.loop.Trainer.step", fail)
    done = sft()
    assert done.code == 1
    assert "out of memory on cpu: DefaultCPUAllocator" in done.err
    assert "finesight plan --train" in done.err


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(folder).state_dict())


def answers(folder: Path, part: str) -> list[str]:
    lines = (folder / part / "exact" / "samples.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


KILLER = """
import os, signal, sys
phase = sys.argv.pop(1)
import finesight.evals.suites.sanity as sanity
sanity.ITEMS = 2

def kill_at(owner, name, call, when=lambda *_: True):
    real, count = getattr(owner, name), [0]
    def wrapped(*arguments, **named):
        count[0] += bool(when(*arguments))
        if count[0] == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    setattr(owner, name, wrapped)

from finesight import files
from finesight.evals.core.journal import Journal
from finesight.train.loop import Trainer
if phase == "import":
    kill_at(files, "write_json", 3)
if phase == "before":
    kill_at(Journal, "append", 2)
if phase == "training":
    kill_at(Trainer, "step", 4)
if phase == "after":
    kill_at(Journal, "append", 2, lambda journal, _: "after" in str(journal.path))
from finesight.cli.main import main
sys.exit(main())
"""


@pytest.mark.slow
def test_a_run_killed_in_every_phase_ends_with_the_model_of_an_unbroken_one(
    shards, tiny_model_folder, tmp_path
):
    """`kill -9` while importing, scoring before, training and scoring after; then one start to the end."""

    def start(out, phase=""):
        words = ("--model", tiny_model_folder, "--data", shards, "--out", tmp_path / out)
        fixed = ("--epochs", 2, "--replay", "0", "--device", "cpu", "--threads", 1)
        more = ("--set", "run.precision=float32", "--set", "run.checkpoint_minutes=0.0001")
        command = [sys.executable, "-c", KILLER, phase, "train", "sft", *words, *fixed, *more]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)

    for phase in ("import", "before", "training", "after"):
        assert start("cut", phase).returncode == -signal.SIGKILL, phase
    ended = start("cut")
    assert ended.returncode == 0, ended.stderr
    assert start("whole").returncode == 0
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    assert (cut / "held_back.json").read_bytes() == (whole / "held_back.json").read_bytes()
    for name, value in weights(whole / "model").items():
        assert torch.equal(value, weights(cut / "model")[name]), name
    for part in ("before", "after"):
        assert answers(cut, part) == answers(whole, part)
    reports = [json.loads((each / "report.json").read_text()) for each in (cut, whole)]
    assert reports[0]["held_back"] == reports[1]["held_back"]
