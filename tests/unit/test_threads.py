# SPDX-License-Identifier: Apache-2.0
"""OpenMP's settings stand in the environment before torch is imported, whichever way in is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from finesight import threads
from finesight.errors import ConfigError
from tests.architecture.source import ROOT

SETTINGS = (threads.POLICY, threads.COUNT)

# Notes the settings at the moment at which torch begins to be imported, and torch's own count at the end.
WATCHED = f"""
import json, os, sys
seen = []
def watch(event, arguments):
    if event == "import" and arguments[0] == "torch" and not seen:
        seen.append([os.environ.get(name) for name in {SETTINGS!r}])
        if STOPS:
            print(json.dumps([seen, None]), file=sys.stderr, flush=True)
            os._exit(0)
sys.addaudithook(watch)
BODY
torch = sys.modules.get("torch")
print(json.dumps([seen, torch and torch.get_num_threads()]), file=sys.stderr)
"""


def run(body, *words, stops=False, **settings):
    """What a fresh process with these settings alone saw: at the import of torch, and torch's count.

    With `stops` it ends where the import of torch begins, and there is no count.
    """
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WATCHED.replace("BODY", body).replace("STOPS", str(stops)),
            *map(str, words),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=clean | settings,
    )
    assert done.returncode == 0, done.stderr
    *said, last = done.stderr.strip().splitlines()
    return "\n".join(said), *json.loads(last)


CORES = str(threads.physical_cores())
COMMAND = "from finesight.cli.main import main; assert main(sys.argv[1:]) == 0"
PLAN = ("plan", "What?")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (COMMAND, PLAN),
        (COMMAND, ("doctor",)),
        ("import finesight; finesight.load", ()),
        ("from finesight import Processor", ()),
        ("from finesight import Sampling, ask", ()),
    ],
)
def test_torch_finds_the_settings(body, words):
    assert run(body, *words, stops=True) == ("", [["passive", CORES]], None)


def test_torch_keeps_to_the_settings():
    _, seen, count = run(COMMAND, *PLAN)
    assert seen == [["passive", CORES]]
    assert count == int(CORES)


def test_what_the_user_has_set_stays():
    settings = dict(zip(SETTINGS, ("active", "1"), strict=True))
    _, seen, count = run(COMMAND, *PLAN, **settings)
    assert seen == [["active", "1"]]
    assert count == 1


@pytest.mark.parametrize("wanted", [1, 5])
def test_the_command_line_goes_before_the_environment(wanted):
    _, seen, count = run(COMMAND, *PLAN, "--threads", wanted, OMP_NUM_THREADS="2")
    assert seen == [["passive", str(wanted)]]
    assert count == wanted


EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").glob("*.py")
    if "import finesight" in path.read_text(encoding="utf-8")
)


def test_examples_leave_torch_to_finesight():
    """None imports torch itself; it comes with `finesight.load`, which sets the threads up."""
    body = """
import runpy
for path in sys.argv[1:]:
    runpy.run_path(path)
    assert "torch" not in sys.modules, path
"""
    assert EXAMPLES
    assert run(body, *EXAMPLES)[1:] == ([], None)


LOAD_TWICE = """
import torch, finesight
for _ in range(2):
    finesight.load(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"OMP_NUM_THREADS": "2"}, 1),
        ({"OMP_NUM_THREADS": "1"}, 0),
        ({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}, 0),
        ({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "active"}, 0),
    ],
)
def test_too_late_is_said_once(tiny_model_folder, settings, count):
    said, seen, _ = run(LOAD_TWICE, tiny_model_folder, **settings)
    assert said.count("UserWarning: torch was imported before finesight") == count
    assert said.count("OMP_WAIT_POLICY=passive in the environment") == count
    assert seen == [[settings.get(name) for name in SETTINGS]]  # nothing was pretended


def test_in_time_nothing_is_said(tiny_model_folder):
    said, _, _ = run("import finesight; finesight.load(sys.argv[1])", tiny_model_folder)
    assert said == ""


@pytest.mark.parametrize("count", [0, -1, 10**5, 10**30])
def test_numbers_that_are_none(count):
    with pytest.raises(ConfigError, match="number of threads is"):
        threads.prepare(count)


TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
PAIRS = {TOPOLOGY.format(index): f"{index % 4},{index % 4 + 4}" for index in range(8)}
"""Eight logical processors on four cores."""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what a core is")
@pytest.mark.parametrize(
    ("processors", "files", "cores"),
    [
        (range(8), PAIRS, 4),
        ((0, 4), PAIRS, 1),
        ((0, 1, 2), PAIRS, 3),
        (range(8), {}, 8),
        (range(8), {"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "max 100000"}, 8),
        (range(8), {"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "250000 100000"}, 3),
        (range(8), {"/proc/self/cgroup": "0::/a/b", "/sys/fs/cgroup/a/cpu.max": "20000 100000"}, 1),
        (
            range(8),
            {
                "/proc/self/cgroup": "3:cpuset:/\n1:cpu,cpuacct:/docker/1",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            range(8),
            {
                "/proc/self/cgroup": "1:cpu:/",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            8,
        ),
    ],
)
def test_cores_that_may_be_used(monkeypatch, processors, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(processors))
    monkeypatch.setattr(threads, "_read", lambda path: files.get(path, ""))
    assert threads.physical_cores() == cores
