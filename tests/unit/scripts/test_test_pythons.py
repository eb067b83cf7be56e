# SPDX-License-Identifier: Apache-2.0
"""A version of Python that is not installed is named, and nothing tried is no success."""

from __future__ import annotations

import subprocess

from tests.architecture.source import ROOT


def test_what_is_not_installed_is_said():
    command = [str(ROOT / "scripts" / "test-pythons.sh"), "python3.999"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout.startswith("python3.999: not installed, NOT TRIED\n")
    assert "no interpreter was found" in done.stdout
