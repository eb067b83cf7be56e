# SPDX-License-Identifier: Apache-2.0
"""`finesight describe-screen` with a model that knows the screen, with the embedded model, and with wrong files."""

from __future__ import annotations

import json

import pytest
from PIL import Image, ImageDraw

import finesight
from finesight.apps.accessibility.describe import DescribeOptions
from finesight.cli.model_choice import ModelChoice
from finesight.elements import ScreenElement
from finesight.errors import UnsupportedMedia
from finesight.geometry import Box
from tests.support.app_responders import Oracle
from tests.support.interfaces import listing

BEFORE = [
    ScreenElement("button", "Save", Box(20, 20, 100, 50)),
    ScreenElement("textbox", "Name", Box(20, 80, 200, 110), "Ana"),
    ScreenElement("button", "", Box(300, 20, 330, 50)),
]
AFTER = [
    ScreenElement("button", "Save", Box(20, 20, 100, 50), states=("disabled",)),
    *BEFORE[1:],
    ScreenElement("StaticText", "Saved", Box(20, 140, 80, 160)),
]


def drawn(elements, path):
    picture = Image.new("RGB", (400, 300), "white")
    for one in elements:
        ImageDraw.Draw(picture).rectangle(
            (one.box.x1, one.box.y1, one.box.x2, one.box.y2), outline="black"
        )
    picture.save(path)


@pytest.fixture
def screens(tmp_path, monkeypatch):
    """Two screenshots, and a model that knows both."""
    monkeypatch.chdir(tmp_path)
    drawn(BEFORE, "before.png")
    drawn(AFTER, "after.png")

    def answer(question):
        if "reading order" not in question.text:
            return "Search"
        has_text = (question.pictures[0][140:160, 20:80] == 0).any()
        return listing(question, AFTER if has_text else BEFORE)

    monkeypatch.setattr(ModelChoice, "opened", lambda choice: Oracle(answer))
    return Oracle(answer)


def test_one_line_for_each_element_and_for_each_change(finesight, screens):
    outcome = finesight("describe-screen", "before.png", "after.png")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines() == [
        "before.png",
        "Save, button",
        "Name, text field, Ana",
        "unlabeled, possibly Search, button",
        "after.png",
        "Save, button, disabled",
        "Name, text field, Ana",
        "unlabeled, possibly Search, button",
        "Saved",
        "states: Save, button, disabled (was no state)",
        "appeared: Saved",
    ]


def test_json_is_read_again_as_the_earlier_screen_and_a_report_is_written(
    finesight, screens, tmp_path
):
    first = finesight("describe-screen", "before.png", "--json", "--no-suggest")
    assert first.code == 0, first.err
    (tmp_path / "before.json").write_text(first.out, encoding="utf-8")
    words = ("after.png", "--since", "before.json", "--json", "--report", "report.html")
    second = finesight("describe-screen", *words)
    assert second.code == 0, second.err
    value = json.loads(second.out)
    assert value["files"] == ["report.html"]
    [screen] = value["screens"]
    assert [each["kind"] for each in screen["changes"]] == ["states", "appeared"]
    assert screen["unlabeled"] == [2]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == 1
    assert "1 controls without a name" in page


def test_a_phrase_is_found_by_words_and_by_place(finesight, screens):
    outcome = finesight("describe-screen", "before.png", "--find", "save button")
    assert (outcome.code, outcome.out) == (0, "Save, button: row 1, top left, at 60, 35\n")
    missing = finesight("describe-screen", "before.png", "--find", "elephant")
    assert missing.code == 1
    assert "no element of the screen is named 'elephant'" in missing.err


def test_a_phrase_that_is_not_found_is_said_beside_what_was_not_read(
    finesight, screens, monkeypatch
):
    monkeypatch.setattr(ModelChoice, "opened", lambda choice: Oracle(lambda question: "?"))
    outcome = finesight("describe-screen", "before.png", "--find", "submit button")
    assert outcome.code == 1
    assert "not read to the end: before.png" in outcome.err
    assert "no element of the screen is named 'submit button'" in outcome.err


def test_a_file_of_several_pages_is_said_to_show_one(finesight, screens):
    first, second = Image.open("before.png"), Image.open("after.png")
    first.save("two.tif", save_all=True, append_images=[second])
    outcome = finesight("describe-screen", "two.tif")
    assert outcome.code == 0
    assert "note: two.tif: page 1 of 2 is shown; save other pages as pictures" in outcome.err
    assert "--pages" not in outcome.err


def test_a_pdf_is_refused_with_a_hint_that_the_command_can_follow(finesight, screens):
    Image.open("before.png").convert("RGB").save("one.pdf")
    outcome = finesight("describe-screen", "one.pdf")
    assert outcome.code != 0
    assert "save the page or frame as one, such as a PNG" in outcome.err
    assert "--pdf" not in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--find", ""), "--find is empty"),
        (("--find", " "), "--find is empty"),
    ],
)
def test_wrong_use_is_said(finesight, screens, words, message):
    outcome = finesight("describe-screen", "before.png", *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_wrong_files_are_errors(finesight, screens, tmp_path):
    (tmp_path / "odd.json").write_text("[]", encoding="utf-8")
    for words in (
        ["missing.png"],
        ["odd.json"],
        ["before.png", "--since", "odd.json"],
        ["before.png", "--since", "missing.json"],
        ["before.png", "--report", "report.txt"],
    ):
        outcome = finesight("describe-screen", *words)
        assert outcome.code in (1, 2), words
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.err


def test_the_embedded_model_gives_a_status_for_what_it_cannot_do(finesight):
    drawn(BEFORE, "before.png")
    outcome = finesight("describe-screen", "before.png", "--json", "--max-new-tokens", "24")
    assert outcome.code in (0, 1)
    [screen] = json.loads(outcome.out)["screens"]
    assert screen["coverage"]["total"] >= 1
    assert screen["model"] == "tiny"


def test_the_python_door_gives_the_same_records(screens):
    drawn(BEFORE, "before.png")
    found = finesight.describe_screen("before.png", model=screens)
    assert found.speech().startswith("Save, button\n")
    odd = DescribeOptions(order="odd")
    with pytest.raises(finesight.ConfigError, match="order is 'odd'"):
        finesight.describe_screen("before.png", model=screens, options=odd)


def test_python_needs_the_page_of_a_file_that_holds_several(screens):
    first, second = Image.open("before.png"), Image.open("after.png")
    first.save("two.tif", save_all=True, append_images=[second])
    with pytest.raises(UnsupportedMedia, match=r"two\.tif holds 2 pictures"):
        finesight.describe_screen("two.tif", model=screens)
    spoken = [finesight.describe_screen("two.tif", page=each, model=screens) for each in (0, 1)]
    assert [one.speech().splitlines()[0] for one in spoken] == [
        "Save, button",
        "Save, button, disabled",
    ]
    with pytest.raises(UnsupportedMedia, match="no page 2"):
        finesight.describe_screen("two.tif", page=2, model=screens)
