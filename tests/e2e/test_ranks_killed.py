# SPDX-License-Identifier: Apache-2.0
"""What happens to a training when a process is killed, a disk is full, or a rank has a wrong loss."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from finesight.errors import DataError
from finesight.model.weights import load_model
from finesight.train import pretrain
from finesight.train.checkpoint import checkpoints
from tests.support import rank_runs
from tests.support.rank_runs import (
    final_weights,
    log,
    recipe,
    start,
    start_command,
    write_data,
    write_model,
)

STEPS = 24
OFTEN = {"checkpoint_minutes": 1e-9}
SCHEDULE = {"total_steps": STEPS, "warmup_steps": 2, "decay_steps": 8}
SECONDS_TO_END = 20
"""After a rank was killed, for the others; the launcher ends them after 30 seconds otherwise."""

FULL_DISK = """
from finesight.train import checkpoint_parts
write = checkpoint_parts._FolderWriter.write_data

def write_data(self, plan, planner, left=[2]):
    left[0] -= 1
    if not left[0] and os.environ["RANK"] == "1":
        raise OSError(28, "No space left on device")
    return write(self, plan, planner)

import os
checkpoint_parts._FolderWriter.write_data = write_data
"""
WRONG_LOSS = """
import os
from finesight.train.objective import NextToken, Losses
right = NextToken.__call__

def wrong(self, forward, calls=[0]):
    found = right(self, forward)
    calls[0] += 1
    if calls[0] == 3 and os.environ["RANK"] == "1":
        return Losses({"tokens": found.sums["tokens"] * float("nan")}, found.values)
    return found

NextToken.__call__ = wrong
"""
STOPPED = """
import os
from finesight.train.loop import Trainer
advance = Trainer._advance

def stop(self, group, seconds):
    advance(self, group, seconds)
    if self.state.step == 4 and os.environ["RANK"] == "1":
        self.stop()

Trainer._advance = stop
"""


@pytest.fixture
def made(tmp_path, tiny_model_folder):
    """`made(name, **changes)`: a recipe of 24 steps that saves after each."""
    data = write_data(tmp_path / "mixed")
    model = write_model(tmp_path / "model", tiny_model_folder)

    def make(name: str, **changes):
        run = {**OFTEN, **changes.pop("run", {})}
        return recipe(data, model, tmp_path / name, run=run, schedule=SCHEDULE, **changes)

    return make


def wait_for_line(process, folder: Path, wanted: int) -> None:
    """Wait until the log of a run has so many lines, or the run has ended."""
    path = folder / "log.jsonl"
    deadline = time.monotonic() + 240
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= wanted:
            return
        assert time.monotonic() < deadline
        time.sleep(0.005)


def killed(process, folder: Path, moment: int, victim) -> str:
    """Kill a process when the log has so many lines; returns what the others write until they end."""
    wait_for_line(process, folder, moment)
    os.kill(victim(process.pid), signal.SIGKILL)
    began = time.monotonic()
    code, text = rank_runs.end_of(process)
    assert code != 0
    assert time.monotonic() - began < SECONDS_TO_END
    return text


def same_as_unbroken(unbroken: Path, folder: Path) -> None:
    expected = {row["step"]: row["loss"] for row in log(unbroken)}
    found = [(row["step"], row["loss"]) for row in log(folder)]
    assert {step for step, _ in found} == set(range(1, STEPS + 1))
    assert all(loss == expected[step] for step, loss in found)  # also of steps that were done twice
    (step, weights), (_, others) = final_weights(folder), final_weights(unbroken)
    assert step == STEPS
    for name, value in others.items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.slow
def test_killed_at_five_moments_and_resumed_is_the_same_as_unbroken(made):
    """A checkpoint is being written nearly all the time; the moments are lines of the log."""
    unbroken, broken = made("unbroken"), made("broken")
    pretrain.start(unbroken).run(report=lambda step, values: None)
    for moment in (1, 4, 9, 13, 21):
        killed(start(1, [broken]), broken.run.folder, moment, lambda process: process)
    pretrain.start(broken).run(report=lambda step, values: None)
    same_as_unbroken(unbroken.run.folder, broken.run.folder)


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_and_the_command_resumes(made, tmp_path):
    two = {"parallel": {"shard": 2}}
    unbroken, broken = made("unbroken", **two), made("broken", **two)
    rank_runs.run(2, [unbroken])
    for moment in (2, 9):
        process = start_command(2, broken)
        text = killed(process, broken.run.folder, moment, lambda parent: children(parent)[-1])
        assert "has lost the connection to another rank" in text
        assert "the same command resumes from the last checkpoint" in text
    exported = ("--export", str(tmp_path / "exported"), "--set", "run.export_saves=true")
    code, text = rank_runs.end_of(start_command(2, broken, *exported))
    assert code == 0, text
    assert text.count("resuming from step") == text.count("wrote ") == 1  # on the first rank
    same_as_unbroken(unbroken.run.folder, broken.run.folder)
    for folder in (tmp_path / "exported", broken.run.folder / "exports" / f"step_{STEPS:08d}"):
        assert torch.isfinite(load_model(folder).model.norm.weight).all()


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    return [
        int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


@pytest.mark.slow
def test_failures_of_one_rank_end_all(made, tmp_path):
    full = made("full", parallel={"shard": 2})
    text = failed(full, FULL_DISK)
    assert text.count("cannot be written: rank 1: [Errno 28] No space left on device") == 2
    (kept,) = checkpoints(full.run.folder / "checkpoints")
    assert kept.name == "step_00000000"
    assert [path.name for path in kept.parent.iterdir() if path.name[0] != "."] == [kept.name]

    wrong = made("wrong", parallel={"data": 2}, run={"checkpoint_minutes": 5.0})
    text = failed(wrong, WRONG_LOSS)
    assert "the loss of step 3 is nan" in text
    assert "the loss of step 3 is not finite on another rank" in text
    assert not checkpoints(wrong.run.folder / "checkpoints")

    stopped = made("stopped", parallel={"shard": 2}, run={"checkpoint_minutes": 5.0})
    rank_runs.run(2, [stopped], code=STOPPED)
    assert [path.name for path in checkpoints(stopped.run.folder / "checkpoints")] == [
        "step_00000004"
    ]
    assert len(log(stopped.run.folder)) == 4


def failed(one, code: str) -> str:
    process = start(2, [one], code=code)
    ended_with, text = rank_runs.end_of(process)
    assert ended_with != 0
    return text


def test_a_resumed_run_draws_the_random_numbers_of_an_unbroken_one(made):
    """Dropout of the adapters; the loader must not draw from the same generator."""
    adapters = {"lora": {"rank": 2, "targets": ["model.layers.*"], "dropout": 0.3}}
    trainers = []
    for name, stop in (("unbroken", 6), ("broken", 3), ("broken", 6)):
        torch.manual_seed(len(trainers) + 1 if stop == 6 else 1)
        trainer = pretrain.start(made(name, **adapters))
        trainer.run(
            report=lambda step, _, end=stop, run=trainer: run.stop() if step == end else None
        )
        trainers.append(trainer)
    for name, value in trainers[0].weights.named_parameters():
        assert torch.equal(value, trainers[2].weights.get_parameter(name)), name


def test_a_checkpoint_that_cannot_be_written_ends_the_run_at_the_next_step(made, monkeypatch):
    trainer = pretrain.start(made("alone"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.train.checkpoint.save_file", full)
    with pytest.raises(DataError, match=r"cannot be written: .*No space left"):
        trainer.run(report=lambda step, values: None)
    assert trainer.state.step <= 1
    assert not checkpoints(trainer.checkpoint_folder)
