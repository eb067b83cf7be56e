# SPDX-License-Identifier: Apache-2.0
"""Progress: moving in a terminal, now and then a line elsewhere, nothing for short work."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from finesight.cli import progress
from finesight.cli.progress import ItemProgress, StageProgress


def be_a_terminal(monkeypatch):
    """Called by the test itself: between the set-up of fixtures and the test, pytest replaces the stream."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_short_work_is_silent_without_a_terminal(capsys):
    with StageProgress() as shown:
        shown("vision", 0, 100)
        shown("vision", 100, 100)
    assert capsys.readouterr().err == ""


def test_long_work_says_so_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with StageProgress() as shown:
        shown("prefill", 512, 2048)
    assert capsys.readouterr().err == "reading the prompt (tokens): 512 of 2048\n"


def test_nothing_is_drawn_while_the_answer_is_shown(capsys, monkeypatch):
    be_a_terminal(monkeypatch)
    with StageProgress(shows_answer=True) as shown:
        shown("prefill", 0, 10)
        shown("prefill", 10, 10)
        shown("decode", 1, 10)
        assert "reading the prompt" in capsys.readouterr().err
        shown("decode", 2, 10)
        assert capsys.readouterr().err == ""


def test_seconds_are_kept_per_stage(monkeypatch):
    clock = iter([0.0, 0.0, 1.0, 3.0, 3.5])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = StageProgress()
    for stage in ("vision", "prefill", ""):
        shown._count(stage)
    assert shown.stage_seconds() == {"vision": 2.0, "prefill": 0.5}


def test_items_are_a_line_now_and_then_without_a_terminal(capsys, monkeypatch):
    with ItemProgress() as shown:
        shown(1, 5, "2.0 tokens/s")
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
        shown(2, 5, "3.0 tokens/s")
    assert capsys.readouterr().err == "2 of 5, 3.0 tokens/s\n"


def test_items_are_a_bar_in_a_terminal(capsys, monkeypatch):
    be_a_terminal(monkeypatch)
    with ItemProgress() as shown:
        shown(1, 5, "2.0 tokens/s, failed: 0")
        shown(5, 5, "3.0 tokens/s, failed: 1")
    assert "failed: 1" in capsys.readouterr().err
