#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Fail where the quick tests ran too little of the code: a share of the lines of all, of the branches of the core.

::

    python scripts/coverage_gate.py .venv/coverage.json

Reads the JSON report of coverage.py. Files with the most that no test reached are listed, with their line numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LINES = 0.95
BRANCHES = dict.fromkeys(("model", "processor", "media", "parse", "data", "engine"), 0.90)
"""Packages whose branches are counted, each by itself, and the least share of them."""
NUM_LISTED = 8


def main() -> int:
    """Print the shares and where most is missing; returns the exit code."""
    parser = argparse.ArgumentParser(description="Is enough of the code run by the tests?")
    parser.add_argument(
        "report", type=Path, help="written by `pytest --cov --cov-report=json:FILE`"
    )
    files = json.loads(parser.parse_args().report.read_text(encoding="utf-8"))["files"]
    is_low = False
    for name, share, least in shares(files):
        is_low |= share < least
        print(
            f"{share:6.1%} of {name}, at least {least:.0%}{'' if share >= least else '  TOO LITTLE'}"
        )
    if is_low:
        print("\nwhere most is missing:")
        missing = {path: file["missing_lines"] for path, file in files.items()}
        for path in sorted(missing, key=lambda path: -len(missing[path]))[:NUM_LISTED]:
            print(f"{len(missing[path]):5} lines of {path}: {stretches(missing[path])}")
    return int(is_low)


def shares(files: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """What was counted, the share that was run, and the least it may be."""
    rows = [("the lines", share(files, "covered_lines", "num_statements"), LINES)]
    for package, least in BRANCHES.items():
        inner = {path: file for path, file in files.items() if f"/finesight/{package}/" in path}
        rows.append(
            (
                f"the branches of {package}",
                share(inner, "covered_branches", "num_branches"),
                least,
            )
        )
    return rows


def share(files: Mapping[str, Any], part: str, whole: str) -> float:
    """Sum over files of one number of their summary, divided by that of another."""
    total = sum(file["summary"][whole] for file in files.values())
    return sum(file["summary"][part] for file in files.values()) / total if total else 0.0


def stretches(lines: list[int]) -> str:
    """Line numbers with neighbours joined: `3-5, 9`."""
    joined: list[list[int]] = []
    for line in lines:
        if joined and joined[-1][1] == line - 1:
            joined[-1][1] = line
        else:
            joined.append([line, line])
    return ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in joined)


if __name__ == "__main__":
    sys.exit(main())
