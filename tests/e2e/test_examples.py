# SPDX-License-Identifier: Apache-2.0
"""Every example runs, with a random model in the place of the embedded one."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import finesight

FOLDER = Path(__file__).parents[2] / "examples"
OWN_TESTS = {
    "demo.py",
    "make_benchmarks.py",
    "make_labelled_pictures.py",
    "make_media.py",
    "stages_data.py",
}
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


def test_labelled_pictures_are_drawn_and_can_be_read(tmp_path, monkeypatch):
    """Each of the three sets, in its own format, without a bad row."""
    from finesight.data.importing import import_file

    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path)])
    runpy.run_path(str(FOLDER / "make_labelled_pictures.py"), run_name="__main__")
    for name in ("symbols", "invoices.jsonl", "tags.json"):
        result = import_file(tmp_path / name, tmp_path / f"{name}.out")
        assert result.num_records == 200


def test_located_things_are_drawn_on_a_copy(tiny_model_folder, tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    monkeypatch.setattr(sys, "argv", ["x", str(tiny_model_folder), str(out)])
    runpy.run_path(str(FOLDER / "locate_and_draw.py"), run_name="__main__")
    assert out.is_file()


def run_demo(out):
    return runpy.run_path(str(FOLDER / "demo.py"))["main"](out)


def test_demo_of_the_embedded_model_is_right_about_every_input(tmp_path, capsys):
    assert run_demo(tmp_path) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("The model tiny is a demonstration")
    assert "5 of 5 answers are right" in printed
    assert len(list(tmp_path.glob("[1-5]/*.png"))) == 5
    assert (tmp_path / "report.html").is_file()
    of_small = printed.split("finesight demo: small")[1]
    assert "ticket.png" in of_small
    assert "yes" in of_small


def test_demo_of_a_model_that_answers_wrong_fails(tiny_model_folder, tmp_path, monkeypatch, capsys):
    load = finesight.load
    monkeypatch.setattr(finesight, "load", lambda name: load(tiny_model_folder))
    assert run_demo(tmp_path) == 1
    assert "0 of 5 answers are right" in capsys.readouterr().out
