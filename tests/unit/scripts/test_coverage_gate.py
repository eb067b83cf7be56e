# SPDX-License-Identifier: Apache-2.0
"""Too little of the code run by tests is an error that says where."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT

CORE = ("model", "processor", "media", "parse", "data", "engine")


def file(lines, num_lines, branches, num_branches):
    summary = {
        "covered_lines": lines,
        "num_statements": num_lines,
        "covered_branches": branches,
        "num_branches": num_branches,
    }
    return {"summary": summary, "missing_lines": list(range(lines + 1, num_lines + 1))}


def gate(path, **changed):
    """Runs the script on files of 100 lines and 10 branches, one in each package of the core."""
    files = {f"src/finesight/{name}/a.py": file(95, 100, 9, 10) for name in CORE}
    files |= {f"src/finesight/{name}/a.py": values for name, values in changed.items()}
    path.write_text(json.dumps({"files": files}))
    script = ROOT / "scripts" / "coverage_gate.py"
    return subprocess.run([sys.executable, str(script), str(path)], capture_output=True, text=True)


def test_enough_passes(tmp_path):
    done = gate(tmp_path / "a.json", cli=file(95, 100, 0, 10))  # branches outside the core: any
    assert done.returncode == 0
    assert " 95.0% of the lines, at least 95%\n" in done.stdout
    assert "missing" not in done.stdout


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cli": file(94, 100, 9, 10)}, "94.9% of the lines, at least 95%  TOO LITTLE"),
        ({"parse": file(100, 100, 8, 10)}, "80.0% of the branches of parse, at least 90%  TOO"),
        ({"data": file(0, 0, 0, 0)}, "0.0% of the branches of data, at least 90%  TOO"),
    ],
)
def test_too_little_fails(tmp_path, changed, said):
    done = gate(tmp_path / "a.json", **changed)
    assert done.returncode == 1
    assert said in done.stdout
    assert "5 lines of src/finesight/model/a.py: 96-100" in done.stdout
