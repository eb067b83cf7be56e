# SPDX-License-Identifier: Apache-2.0
"""What the docs show is run: each page top to bottom, in a fresh copy of the files that git tracks.

Python blocks of every page, and commands of the READMEs and of the how-to pages. A block with a comment
`<!-- not run: why -->` is left out; one with `<!-- slow: why -->` and what follows it on its page is left to
`make test-slow`. The READMEs are run by a shell, word for word; commands of the how-to pages that need none are called
in this process.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from finesight.cli.main import main
from tests.architecture import pages
from tests.architecture.source import ROOT

PLAIN = ("finesight ", "python ", "make ")
LARGE = 1_000_000  # bytes; the weights are linked into the copy, all else is copied
INSTALLED = (
    *("venv", "torch", "package", "test", "torchvision", "data", "eval", "web", "agents"),
    *("system-test", "system-web", "system-screens"),
)


def is_shown_command(page: Path, block: pages.Block) -> bool:
    return block.language == "bash" and (page.parent == ROOT or page.parent.name == "how-to")


def blocks_of(page: Path, *, slow: bool) -> list[pages.Block]:
    """What is run of a page: all, or the part before its first slow block."""
    kept = []
    for block in pages.blocks(page.read_text(encoding="utf-8")):
        if block.when == "slow" and not slow:
            break
        if block.when != "not run" and (
            block.language == "python" or is_shown_command(page, block)
        ):
            kept.append(block)
    return kept


def needs_more_time(page: Path) -> bool:
    return len(blocks_of(page, slow=True)) > len(blocks_of(page, slow=False))


PAGES = [page for page in pages.all_pages() if page.name not in ("CONTRIBUTING.md", "README.zh.md")]
QUICK = [page for page in PAGES if blocks_of(page, slow=False)]
SLOW = [page for page in PAGES if needs_more_time(page)]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def tracked_files():
    """Names of the files that a clone has."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture
def clone(tmp_path, tracked_files, monkeypatch):
    """A fresh copy of the project as the working folder, with this environment as its .venv."""
    root = tmp_path / "finesight"
    for name in tracked_files:
        source, copy = ROOT / name, root / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.stat().st_size > LARGE:
            copy.symlink_to(source)
        else:
            shutil.copy2(source, copy)
    (root / ".venv").symlink_to(sys.prefix)
    binaries = tmp_path / "bin"
    binaries.mkdir()
    stamps = " ".join(f"-o .venv/stamps/{name}" for name in INSTALLED)
    make = binaries / "make"  # installs nothing: what it would install is this environment
    make.write_text(f'#!/bin/sh\nexec {shutil.which("make")} {stamps} "$@"\n')
    make.chmod(0o755)
    monkeypatch.chdir(root)
    monkeypatch.setenv(
        "PATH", os.pathsep.join((str(binaries), str(root / ".venv/bin"), os.environ["PATH"]))
    )
    monkeypatch.setenv("PYTHONPATH", str(root / "src"))
    return root


def run_shell(code: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def is_plain(code: str) -> bool:
    """Whether each line is one command that the shell hands on as it stands."""
    lines = code.splitlines()
    return all(line.startswith(PLAIN) and not re.search(r"[|&;<>$`*\\]", line) for line in lines)


def run_plain(code: str) -> None:
    """Run commands one by one, those of finesight in this process: a fresh one takes seconds to import torch."""
    for line in code.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "finesight":
            assert main(words) == 0, line
        else:
            run_shell(line)


def run_page(page: Path, *, slow: bool) -> None:
    names = {"__name__": "__docs__"}
    for block in blocks_of(page, slow=slow):
        if block.language == "python":
            # Line numbers of a failure are those of the page.
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            exec(code, names)
        elif page.parent != ROOT and is_plain(block.code):
            run_plain(block.code)
        else:
            run_shell(block.code)


@pytest.mark.parametrize("page", QUICK, ids=name_of)
@pytest.mark.usefixtures("clone")
def test_blocks_of_a_page_run_in_order(page):
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=name_of)
@pytest.mark.usefixtures("clone")
def test_slow_pages_run_to_their_end(page):
    run_page(page, slow=True)


def test_every_page_with_commands_is_run():
    shown = {page.name for page in PAGES if blocks_of(page, slow=True)}
    # Their only commands serve until they are stopped; tests/e2e/test_serve_page.py and test_serve_live.py run them.
    serving = {"web-page.md", "live-video.md"}
    pages_with_commands = {page.name for page in (ROOT / "docs/how-to").glob("*.md")} - serving
    assert {"README.md", *pages_with_commands} <= shown
