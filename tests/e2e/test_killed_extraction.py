# SPDX-License-Identifier: Apache-2.0
"""`finesight read --schema`, killed twice while it asks for values: nothing is asked twice, lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.extract_run import NUM_PAGES, drawn, write_forms
from tests.support.forms import schema

ROOT = Path(__file__).parents[2]
_SECONDS = 120
WRITTEN = ("extraction.json", "extraction.csv", "document.md", "document.json")


def start(folder: Path, out: str, more: tuple[str, ...]) -> subprocess.Popen:
    formats = [part for form in ("json", "csv", "md") for part in ("--format", form)]
    words = ("read", folder / "forms", "--schema", folder / "schema.json", "--out", folder / out)
    how = ("--route", "spotting", "--upright", "off", *formats, *more)
    command = [sys.executable, "-m", "tests.support.extract_run", folder / f"{out}.log"]
    return subprocess.Popen(
        [*map(str, [*command, *words, *how])], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def kept(folder: Path) -> set[int]:
    """Pages whose values are kept."""
    return {int(path.stem) for path in (folder / "cut" / "values").glob("*/0*.json")}


def questions(folder: Path, out: str) -> list[str]:
    return (folder / f"{out}.log").read_text().splitlines()


def killed_with(number: int, folder: Path, more: tuple[str, ...]) -> None:
    """Run until the values of so many pages are kept, and kill the process."""
    with start(folder, "cut", more) as process:
        limit = time.monotonic() + _SECONDS
        while len(kept(folder)) < number:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < limit
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="documents"),
        pytest.param(("--one-document",), id="one-document", marks=pytest.mark.slow),
    ],
)
def test_an_extraction_that_is_killed_twice_equals_an_unbroken_one(tmp_path, more):
    write_forms(tmp_path / "forms")
    (tmp_path / "schema.json").write_text(json.dumps(schema()), encoding="utf-8")
    with start(tmp_path, "whole", more) as whole:
        told = whole.communicate(timeout=_SECONDS)[1]
    assert whole.returncode == (3 if more else 0), told  # as one document, the forms contradict

    finished: set[int] = set()
    before = 0
    for number in (2, 5, NUM_PAGES):
        if number < NUM_PAGES:
            killed_with(number, tmp_path, more)
            assert number <= len(kept(tmp_path)) < NUM_PAGES
        else:
            with start(tmp_path, "cut", more) as last:
                told = last.communicate(timeout=_SECONDS)[1]
            assert last.returncode == whole.returncode, told
        later = questions(tmp_path, "cut")[before:]
        assert not {int(line.split()[1]) for line in later} & finished
        assert before == 0 or not any(line.startswith("read") for line in later)
        finished, before = kept(tmp_path), before + len(later)

    for name in WRITTEN:
        parts = [(tmp_path / out / name).read_bytes() for out in ("whole", "cut")]
        assert parts[0] == parts[1], name
    asked, once = (Counter(questions(tmp_path, out)) for out in ("cut", "whole"))
    assert asked.keys() == once.keys()
    assert asked.total() - once.total() <= 2  # at most the page in flight at each kill
    found = json.loads((tmp_path / "cut" / "extraction.json").read_text(encoding="utf-8"))
    items = [item for one in found["documents"] for item in one["data"]["items"]]
    assert items == [item for form in drawn() for item in form.data["items"]]
