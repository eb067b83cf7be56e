# SPDX-License-Identifier: Apache-2.0
"""A whole benchmark with the embedded model, killed twice and gone on with: the same files as without."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL = os.environ.get("FINESIGHT_REAL_DATA")
NAME = "mathvision_mini"
NUM_ITEMS = 304
COMMAND = "import sys; from finesight.cli.main import main; sys.exit(main())"
TORN = """
import os, signal
from finesight.evals.core.journal import Journal

def append(self, sample, left=[40]):
    left[0] -= 1
    line = sample.line()
    self._file.write(line if left[0] else line[: len(line) // 2])
    self._file.flush()
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    self.samples[sample.id] = sample

Journal.append = append
"""
"""Writes half of the fortieth line and is killed there, as a full disk or a power cut would leave it."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder"),
]


def start(out, *, before=""):
    """The command as a process of its own."""
    data = Path(REAL) / "mathvision"
    words = ("eval", "run", NAME, "--model", "tiny", "--data", data, "--out", out)
    return subprocess.Popen([sys.executable, "-c", before + COMMAND, *words], cwd=ROOT)


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def without_times(path):
    """The bytes of a file but for how long each answer took, and all of them."""
    return re.sub(rb'"seconds": [0-9.e-]+', b'"seconds": 0', path.read_bytes())


def test_a_run_killed_twice_leaves_the_files_of_one_that_was_not(tmp_path):
    journal = tmp_path / "cut" / NAME / "samples.jsonl"
    process = start(tmp_path / "cut")
    while lines_of(journal) < 100:
        assert process.poll() is None
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    first = lines_of(journal)
    assert 100 <= first < NUM_ITEMS - 41

    assert start(tmp_path / "cut", before=TORN).wait() == -signal.SIGKILL
    assert lines_of(journal) == first + 39
    assert not journal.read_bytes().endswith(b"\n")
    torn = journal.read_bytes()

    assert start(tmp_path / "cut").wait() == 0
    assert journal.read_bytes().startswith(torn[: torn.rindex(b"\n") + 1])
    assert lines_of(journal) == NUM_ITEMS

    assert start(tmp_path / "whole").wait() == 0
    files = sorted(path.name for path in (tmp_path / "whole" / NAME).iterdir())
    assert files == ["result.json", "run.json", "samples.jsonl"]
    assert files == sorted(path.name for path in journal.parent.iterdir())
    for name in files:
        whole = tmp_path / "whole" / NAME / name
        assert without_times(journal.with_name(name)) == without_times(whole), name
