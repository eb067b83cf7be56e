# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from finesight.errors import DataError
from finesight.train.checkpoint import TrainState, checkpoints, load_checkpoint, save_checkpoint


def _state(step: int) -> TrainState:
    return TrainState(
        step=step,
        cursor={"drawn": 7, "taken": [3, 4]},
        samples=9,
        average_updates=step,
        seconds=1.5,
    )


def test_round_trip_and_oldest_dropped(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(
            tmp_path, _state(step), {"model": {"w": torch.full((2,), float(step))}}, keep=2
        )
    saved = checkpoints(tmp_path)
    assert [path.name for path in saved] == ["step_00000002", "step_00000003"]
    state, parts = load_checkpoint(saved[-1])
    assert state == _state(3)
    assert torch.equal(parts["model"]["w"], torch.full((2,), 3.0))


@pytest.mark.parametrize("name", ["train.safetensors", "state.json"])
def test_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    folder = save_checkpoint(tmp_path, _state(1), {"model": {"w": torch.zeros(100)}}, keep=1)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="step_00000001 cannot be read"):
        load_checkpoint(folder)


_WRITER = """
import sys, torch
from pathlib import Path
from finesight.train.checkpoint import TrainState, save_checkpoint
for step in range(1, 10_000):
    state = TrainState(step=step, cursor={}, samples=0, average_updates=0, seconds=0.0)
    save_checkpoint(Path(sys.argv[1]), state, {"model": {"w": torch.full((200_000,), float(step))}}, keep=2)
    print(step, flush=True)
"""


def test_killed_while_writing_leaves_whole_checkpoints(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    last = 0
    for line in writer.stdout:
        last = int(line)
        if last >= 5:
            break
    time.sleep(0.013)  # somewhere inside a later write
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    saved = checkpoints(tmp_path)
    state, parts = load_checkpoint(saved[-1])
    assert state.step >= last
    assert torch.equal(parts["model"]["w"], torch.full((200_000,), float(state.step)))
