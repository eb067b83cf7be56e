# SPDX-License-Identifier: Apache-2.0
"""Options from the command line to the records of a question."""

from __future__ import annotations

from dataclasses import fields

import pytest
import typer
from PIL import Image

from finesight.api.options import SamplingOptions
from finesight.cli import app, options
from finesight.conversation import ImagePart, Sampling, VideoPart
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


def test_values_of_other_options_count_neither():
    words = ["--system", "--video", "--image", "a.png", "--stop=--pdf", "--json", "--pdf", "b.pdf"]
    assert options.media_kinds(words, {"--system", "--stop"}) == ["image", "pdf"]


def test_pages_without_a_file_are_refused():
    with pytest.raises(ConfigError, match="--pages without a --pdf or --image"):
        options.media_in_order([], images=[], videos=[], pdfs=[], pages=["1"])


@pytest.fixture
def scan(tmp_path):
    """A TIFF of three pages."""
    pages = [Image.new("RGB", (60, 40), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    return str(tmp_path / "scan.tif")


def shown_pages(words, **given):
    parts = options.media_in_order(words, **{"videos": [], "pdfs": [], "pages": [], **given})
    return [part.page for part in parts]


def test_pages_of_a_picture_file(scan):
    words = ["--image", scan]
    assert shown_pages(words, images=[scan]) == [None]
    assert shown_pages(words, images=[scan], pages=["2-"]) == [1, 2]
    assert shown_pages([*words, *words], images=[scan, scan], pages=["3", "1"]) == [2, 0]
    assert shown_pages([*words, *words], images=[scan, scan], pages=["2"]) == [1, 1]


def test_pages_belong_to_the_pdf_where_there_is_one(scan, tmp_path):
    pdf = str(tmp_path / "two.pdf")
    Image.new("RGB", (60, 40)).save(pdf, save_all=True, append_images=[Image.new("RGB", (60, 40))])
    words = ["--image", scan, "--pdf", pdf]
    assert shown_pages(words, images=[scan], pdfs=[pdf], pages=["2"]) == [None, 1]


@pytest.mark.parametrize("text", ["abc", "", "a.pdf", "1;2"])
def test_pages_of_another_form_are_refused(scan, text):
    with pytest.raises(ConfigError, match="is not of a form such as"):
        shown_pages(["--image", scan], images=[scan], pages=[text])


def test_another_number_of_pages_than_of_pictures_is_refused(scan):
    with pytest.raises(ConfigError, match="2 --pages for 1 --image"):
        shown_pages(["--image", scan], images=[scan], pages=["1", "2"])


def test_given_keeps_what_was_said():
    given = options.given({"fps": None, "seed": 0, "stop": [], "temperature": 0.0, "system": ""})
    assert given == {"seed": 0, "temperature": 0.0, "system": ""}


@pytest.mark.parametrize(("text", "value"), [("2", 2.0), ("0.25", 0.25), ("auto", "auto")])
def test_fps(text, value):
    assert options.read_fps(text) == value


COMPUTING = (
    *("ask", "locate", "plan", "train recipe", "train sft", "doctor"),
    *("eval", "eval run", "eval live"),
)


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


@pytest.mark.parametrize("record", [Sampling, VideoPart, ImagePart])
def test_help_quotes_every_field_of_a_record(record):
    for field in fields(record):
        text = options.field_help(record, field.name)
        assert len(text) > 10, field.name
        assert text.endswith(".")
        assert "None" not in text


def test_help_of_a_field_speaks_of_options():
    assert options.field_help(Sampling, "seed") == "Random seed."
    assert options.field_help(VideoPart, "nframes", "So.") == (
        "Number of frames to sample; excludes --fps. So."
    )


def test_python_takes_the_fields_of_a_sampling_as_options():
    assert {*SamplingOptions.__annotations__} == {field.name for field in fields(Sampling)}
