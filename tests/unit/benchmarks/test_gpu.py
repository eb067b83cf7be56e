# SPDX-License-Identifier: Apache-2.0
"""The measurements of a GPU, on a CPU at a tiny shape: every part runs, and one that hangs does not stop the rest."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from benchmarks.gpu import Place, results
from benchmarks.gpu_parts import RUNS
from tests.architecture.source import ROOT

EXPECTED = {
    "ceilings": {"copy", "product in bfloat16"},
    "operations": {"norm, 1 rows", "SwiGLU, 3 rows", "attention over 300, 3 rows"},
    "network": {
        "decoding 2 at once, context 40",
        "vision 112 x 112",
        "logits against transformers",
        "decoding against transformers",
    },
    "requests": {"1 at once", "4 at once"},
    "weights": {"int4", "fp8", "int8"},
}


@pytest.mark.parametrize("part", EXPECTED)
@pytest.mark.filterwarnings("ignore")  # of transformers
def test_each_part_runs_and_writes_its_results(part, tmp_path):
    RUNS[part](Place("cpu", "tiny", tmp_path))
    rows = {row["name"]: row for row in results(tmp_path)}
    assert rows.keys() >= EXPECTED[part]
    assert all(row["part"] == part and row["shape"] == "tiny" for row in rows.values())
    if part == "operations":
        assert max(row["error"] for row in rows.values()) < 0.01
    if part == "network":
        assert rows["logits against transformers"]["error"] < 0.03
    if part == "weights":
        assert "torchao" in rows["int4"]["skipped"] or "tokens_per_s" in rows["int4"]


def test_a_part_that_hangs_or_fails_does_not_stop_the_others(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *ceilings*) exit 3;;\n"
        "  *network*) sleep 60;;\n"
        "  *summary*) echo the results;;\n"
        "esac\n"
    )
    python.chmod(0o755)
    done = subprocess.run(
        [str(ROOT / "scripts/gpu-check.sh"), str(tmp_path / "out"), "cpu", "tiny"],
        env={**os.environ, "PYTHON": str(python), "GPU_CHECK_SECONDS": "11"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "FAILED: ceilings tiny, exit code 3" in done.stdout
    assert "FAILED: network tiny, exit code 124" in done.stdout
    assert "NOT RUN: requests tiny, the time is used up" in done.stdout
    assert done.stdout.index("the results") > done.stdout.index("NOT RUN")
    assert "FAILED: network" in (tmp_path / "out/log.txt").read_text()


def test_results_survive_a_part_that_is_killed(tmp_path):
    place = Place("cpu", "3b", tmp_path)
    place.add("network", "first", tokens_per_s=1.5)
    place.add("network", "second", skipped="why")
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["first", "second"]
    assert list(results(tmp_path / "nowhere")) == []
