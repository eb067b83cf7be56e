# SPDX-License-Identifier: Apache-2.0
"""Screens in words, against the accessibility trees of drawn pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.apps.accessibility.describe import DescribeOptions, describe
from finesight.browser.browser import Browser
from finesight.elements import ScreenElement
from finesight.errors import RemoteError
from finesight.geometry import Box, iou
from tests.support.app_responders import MISBEHAVIOURS, Hostile, Oracle, answered, asked
from tests.support.interfaces import SCREEN, listing, oracle, page, truth
from tests.support.pages import needs_browser

PAGES = 40


@pytest.fixture(scope="module")
def screens():
    """Picture and true elements of each page."""
    found = []
    with Browser(SCREEN) as browser:
        for seed in range(PAGES):
            browser.show(page(seed), SCREEN)
            found.append((browser.screenshot(), truth(browser)))
    return found


def said(elements):
    return [(one.role, one.name, one.value, one.states) for one in elements]


def told(elements):
    return [(one.role, one.name, one.value, tuple(s for s in one.states)) for one in elements]


@needs_browser
def test_forty_pages_have_the_roles_names_states_and_places_of_their_trees(screens):
    for picture, true in screens:
        found = describe(np.asarray(picture), oracle(true, picture))
        assert [(one.role, one.name, one.value) for one in found.elements] == [
            (one.role.lower() if one.role != "StaticText" else one.role, one.name, one.value)
            for one in true
        ]
        for one, right in zip(found.elements, true, strict=True):
            assert iou(one.box, right.box) > 0.85
            assert set(one.states) == set(right.states) - {"readonly", "required"}
            assert one.score.value > 0.9
        assert found.coverage.is_full
        assert not found.problems


@needs_browser
def test_the_order_by_place_is_that_of_the_tree_for_answers_in_any_order(screens):
    options = DescribeOptions(order="place", suggests=False)
    for seed, (picture, true) in enumerate(screens):
        found = describe(np.asarray(picture), oracle(true, picture, shuffled=seed), options=options)
        assert [one.name for one in found.elements] == [one.name for one in true]
        rows = [one.row for one in found.elements]
        assert rows == sorted(rows)


@needs_browser
def test_exactly_the_controls_without_a_name_are_unlabeled_and_get_suggestions(screens):
    unlabeled = 0
    for picture, true in screens[3::4]:
        found = describe(np.asarray(picture), oracle(true, picture, name="Close window"))
        wanted = [one.box for one in true if one.role == "button" and not one.name]
        assert len(found.unlabeled) == len(wanted)
        for one, box in zip(found.unlabeled, wanted, strict=True):
            assert iou(one.box, box) > 0.85
            assert (one.name, one.suggestion.value) == ("", "Close window")
            assert one.suggestion.score.value > 0.9
            assert one.spoken() == "unlabeled, possibly Close window, button"
        assert all(one.suggestion is None for one in found.elements if one.name)
        unlabeled += len(wanted)
    assert unlabeled > 10


@needs_browser
def test_an_answer_that_is_cut_off_is_asked_for_in_parts(screens):
    picture, true = screens[1]
    inner = oracle(true, picture)

    class Short:
        def respond(self, conversations, sampling):
            replies = inner.respond(conversations, sampling)
            return [
                replace(answered(asked(conversations[0]), reply.text[:400]), finish_reason="length")
                if reply.text.count("bbox_2d") > 6
                else reply
                for reply in replies
            ]

    found = describe(np.asarray(picture), Short())
    assert sorted(one.name for one in found.elements) == sorted(one.name for one in true)
    assert found.coverage.total > 1
    assert found.coverage.is_full


PICTURE = Image.new("RGB", (400, 300), "white")
THREE = [
    ScreenElement("button", "Save", Box(20, 20, 100, 50)),
    ScreenElement("textbox", "Name", Box(20, 80, 200, 110), "Ana"),
    ScreenElement("button", "", Box(300, 20, 330, 50)),
]


def three(question):
    return listing(question, THREE) if "reading order" in question.text else "Search"


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_a_model_that_misbehaves_gives_a_status_and_no_error(how):
    found = describe(np.asarray(PICTURE), Hostile(Oracle(three), how))
    for one in found.elements:
        assert 0 <= one.box.x1 < one.box.x2 <= 400
    if how in ("empty", "refusal", "other_language", "error_first", "wrong_json"):
        assert not found.coverage.is_full or found.problems
    if how in ("cut", "loop"):
        assert not found.coverage.is_full
        assert "cut off" in found.coverage.skipped[0].reason
    if how in ("slow", "swapped"):
        assert [one.name for one in found.elements] == ["Save", "Name", ""]


def test_other_words_for_roles_and_states_are_understood():
    rows = [
        (
            '"role": "Text Field", "label": "City", "value": "Rome", "states": "Focused, odd"',
            "textbox",
        ),
        ('"role": "toggle", "label": "Wi-Fi", "states": ["checked", "on"]', "switch"),
        ('"role": "icon_button", "label": ""', "button"),
        ('"label": "just text"', "StaticText"),
    ]
    inner = ",".join(
        f'{{"bbox_2d": [10, {40 * n + 10}, 90, {40 * n + 40}], {row}}}'
        for n, (row, _) in enumerate(rows)
    )
    found = describe(
        np.asarray(PICTURE), Oracle(lambda _: f"[{inner}]"), options=DescribeOptions(suggests=False)
    )
    assert [one.role for one in found.elements] == [role for _, role in rows]
    assert found.elements[0].states == ("focused",)
    assert found.elements[0].spoken() == "City, text field, Rome, focused"
    assert found.elements[1].states == ("checked",)
    assert found.elements[2].spoken() == "unlabeled, button"
    assert found.elements[3].spoken() == "just text"


def test_a_long_answer_is_no_suggested_name():
    def answer(question):
        return three(question) if "reading order" in question.text else "I think that " * 20

    found = describe(np.asarray(PICTURE), Oracle(answer))
    assert found.unlabeled[0].suggestion.status == "unread"
    assert found.unlabeled[0].spoken() == "unlabeled, button"


def test_an_empty_screen_is_read_to_its_end():
    found = describe(np.asarray(PICTURE), Oracle(lambda _: "```json\n[]\n```"))
    assert found.coverage.is_full
    assert found.elements == ()


def test_the_json_is_a_tree_and_can_be_read_again():
    found = describe(np.asarray(PICTURE), Oracle(three), source="a.png", model="oracle")
    tree = found.to_dict()
    assert (tree["role"], tree["bounds"]) == ("window", [0, 0, 400, 300])
    assert [each["name"] for each in tree["children"]] == ["Save", "Name", ""]
    assert [each["place"] for each in tree["children"]] == ["top left", "top left", "top right"]
    assert [each["row"] for each in tree["children"]] == [1, 2, 1]
    assert tree["unlabeled"] == [2]
    assert tree["children"][2]["suggestion"]["value"] == "Search"
    again = type(found).from_dict(tree)
    assert again.size == found.size
    assert said(again.elements) == said(found.elements)
    assert (
        found.speech()
        == "Save, button\nName, text field, Ana\nunlabeled, possibly Search, button\n"
    )


def test_an_error_of_the_second_question_leaves_the_name_unread():
    def answer(question):
        if "reading order" in question.text:
            return three(question)
        raise RemoteError("the endpoint is gone")

    found = describe(np.asarray(PICTURE), Oracle(answer))
    assert found.unlabeled[0].suggestion.status == "unread"
    assert found.unlabeled[0].suggestion.problems == ("the endpoint is gone",)
