# SPDX-License-Identifier: Apache-2.0
"""Every example runs, with a random model in the place of the embedded one."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
OWN_TESTS = {"demo.py", "make_media.py"}
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if path.name not in OWN_TESTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_example_runs(name, tiny_model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, str(tiny_model_folder)])
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("name", SCRIPTS)
def test_example_is_short(name):
    assert len((FOLDER / name).read_text(encoding="utf-8").splitlines()) <= 60


def test_located_things_are_drawn_on_a_copy(tiny_model_folder, tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    monkeypatch.setattr(sys, "argv", ["x", str(tiny_model_folder), str(out)])
    runpy.run_path(str(FOLDER / "locate_and_draw.py"), run_name="__main__")
    assert out.is_file()
