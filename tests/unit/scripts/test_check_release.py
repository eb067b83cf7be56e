# SPDX-License-Identifier: Apache-2.0
"""A release is refused where tag, version and change log do not agree."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.source import ROOT

SECTION = "## 0.2.0 - 2026-11-28\n\n- A change.\n"


@pytest.fixture
def project(tmp_path):
    """A committed project of version 0.2.0 with this text as its change log."""

    def write(changes):
        (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
        (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{changes}")
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "a")):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
        return tmp_path

    return write


def check(root, *tag):
    script = ROOT / "scripts" / "check_release.py"
    return subprocess.run(
        [sys.executable, str(script), *tag, "--root", str(root)], capture_output=True, text=True
    )


@pytest.mark.parametrize("tag", [(), ("v0.2.0",)])
def test_what_agrees_is_ready(project, tag):
    done = check(project(SECTION + "\n## 0.1.0 - 2026-01-01\n\n- Older.\n"), *tag)
    assert (done.returncode, done.stderr) == (0, "")
    assert "git tag --annotate v0.2.0" in done.stdout


@pytest.mark.parametrize(
    ("changes", "tag", "said"),
    [
        (SECTION, "v0.2.1", "the tag is v0.2.1, but the version in pyproject.toml is 0.2.0"),
        (SECTION, "0.2.0", "it must be v0.2.0"),
        ("## 0.1.0 - 2026-01-01\n\n- Older.\n", "v0.2.0", "no section 0.2.0"),
        ("## 0.2.0\n\n- A change.\n", "v0.2.0", "has no date"),
        ("## 0.2.0 - 2026-11-28\n\n", "v0.2.0", "is empty"),
        ("## Unreleased\n\n- New.\n\n" + SECTION, "v0.2.0", "still has changes under Unreleased"),
    ],
)
def test_what_does_not_agree_is_named(project, changes, tag, said):
    done = check(project(changes), tag)
    assert done.returncode == 1
    assert said in done.stderr


def test_what_is_not_committed_is_named(project):
    root = project(SECTION)
    (root / "new.py").write_text("x = 1\n")
    done = check(root)
    assert done.returncode == 1
    assert "1 files are changed or new and not committed" in done.stderr
