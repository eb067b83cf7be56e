#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Whether this commit may be released under a tag: everything that names the version says the same.

::

    python scripts/check_release.py            is everything ready for the version of pyproject.toml?
    python scripts/check_release.py v0.2.0     the same, and is the tag that of this version?
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print what is in the way of the release; returns the exit code."""
    parser = argparse.ArgumentParser(description="May this commit be released?")
    parser.add_argument("tag", nargs="?", help='"v" and the version; left out: not compared')
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args()
    project = tomllib.loads((options.root / "pyproject.toml").read_text(encoding="utf-8"))
    version = project["project"]["version"]
    changes = (options.root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = [*mistakes(version, changes, options.tag), *uncommitted(options.root)]
    for mistake in found:
        print(f"error: {mistake}", file=sys.stderr)
    if not found:
        print(f"{version} is ready: git tag --annotate v{version} --message 'finesight {version}'")
    return int(bool(found))


def mistakes(version: str, changes: str, tag: str | None) -> Iterator[str]:
    """What disagrees with the version.

    Args:
        version: of pyproject.toml.
        changes: text of CHANGELOG.md.
        tag: the name to release under, or None.
    """
    if tag is not None and tag != f"v{version}":
        yield f"the tag is {tag}, but the version in pyproject.toml is {version}: it must be v{version}"
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL))
    heading = next((title for title in sections if title.split()[0] == version), None)
    if heading is None:
        yield f"CHANGELOG.md has no section {version}: name it '## {version} - YYYY-MM-DD'"
    elif not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", heading):
        yield f"the section {heading!r} of CHANGELOG.md has no date: '## {version} - YYYY-MM-DD'"
    elif not sections[heading].strip():
        yield f"the section {version} of CHANGELOG.md is empty"
    if sections.get("Unreleased", "").strip():
        yield f"CHANGELOG.md still has changes under Unreleased: move them to {version}"


def uncommitted(root: Path) -> Iterator[str]:
    """Changes that a tag would leave out."""
    command = ["git", "-C", str(root), "status", "--porcelain"]
    changes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if changes:
        yield f"{len(changes.splitlines())} files are changed or new and not committed"


if __name__ == "__main__":
    sys.exit(main())
