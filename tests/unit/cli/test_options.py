# SPDX-License-Identifier: Apache-2.0
"""Options from the command line to the records of a question."""

from __future__ import annotations

import pytest
import typer

from finesight.cli import app, options
from finesight.errors import ConfigError


def sources(words, **values):
    given = {"images": [], "videos": [], "pdfs": [], "pages": [], **values}
    return [part.source for part in options.media_in_order(words, **given)]


def test_media_keep_their_order():
    words = ["ask", "Q", "--image", "a.png", "--video", "b.mp4", "--image=c.png"]
    assert sources(words, images=["a.png", "c.png"], videos=["b.mp4"]) == [
        "a.png",
        "b.mp4",
        "c.png",
    ]


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (["--image", "--video"], ["image"]),
        (["--image=--pdf", "--pdf", "x"], ["image", "pdf"]),
        (["--", "--image", "x"], []),
        (["--images", "x"], []),
    ],
)
def test_only_options_count_not_their_values(words, kinds):
    assert options.media_kinds(words) == kinds


def test_pages_without_a_pdf_are_refused():
    with pytest.raises(ConfigError, match="1 --pages for 0 --pdf"):
        options.media_in_order([], images=[], videos=[], pdfs=[], pages=["1"])


def test_given_keeps_what_was_said():
    given = options.given({"fps": None, "seed": 0, "stop": [], "temperature": 0.0, "system": ""})
    assert given == {"seed": 0, "temperature": 0.0, "system": ""}


@pytest.mark.parametrize(("text", "value"), [("2", 2.0), ("0.25", 0.25), ("auto", "auto")])
def test_fps(text, value):
    assert options.read_fps(text) == value


COMPUTING = ("ask", "locate", "plan", "train", "bench", "doctor", "eval", "eval run", "eval live")


@pytest.mark.parametrize("command", COMPUTING)
def test_every_command_that_computes_takes_threads(command):
    found = typer.main.get_command(app.build())
    for name in command.split():
        found = found.commands[name]
    assert "--threads" in [option for each in found.params for option in each.opts]


def test_fps_of_another_kind():
    with pytest.raises(typer.BadParameter, match="fast"):
        options.read_fps("fast")


@pytest.mark.parametrize(("text", "tokens"), [("8192", 8192), ("8k", 8192), ("1.5K", 1536)])
def test_token_counts(text, tokens):
    assert options.read_tokens(text) == tokens


@pytest.mark.parametrize("text", ["", "k", "-1", "0", "8m", "0.5", "9" * 400])
def test_token_counts_of_another_kind(text):
    with pytest.raises(typer.BadParameter):
        options.read_tokens(text)
