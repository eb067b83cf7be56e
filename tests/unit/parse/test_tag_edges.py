# SPDX-License-Identifier: Apache-2.0
"""Tags, attributes and comments at the ends of a stretch."""

from __future__ import annotations

import pytest

from finesight.parse.tags import cut_tag, find_comments, find_tags, read_numbers, unescape


def names(text: str, *ends: int) -> list[str]:
    return [("/" if tag.is_closing else "") + tag.name for tag in find_tags(text, *ends)]


def test_tags_of_a_stretch():
    text = "<a><B></b></a>"
    assert names(text) == ["a", "b", "/b", "/a"]
    assert names(text, 3) == ["b", "/b", "/a"]
    assert names(text, 3, 10) == ["b", "/b"]
    assert names(text, 0, 2) == []


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("<a>", {}),
        ("<a x>", {"x": ""}),
        ("<a x=1 y='2' z=\"3\">", {"x": "1", "y": "2", "z": "3"}),
        ("<a X=Y>", {"x": "Y"}),
        ("<a x=1 x=2>", {"x": "1"}),
        ("<a x=1/>", {"x": "1"}),
        ("<a x=/b/c y=1>", {"x": "/b/c", "y": "1"}),
        ("<a x=/b/>", {"x": "/b"}),
        ("<a x=/b/ y>", {"x": "/b/", "y": ""}),
        ('<a x="b/">', {"x": "b/"}),
        ('<a x="&lt;&amp;">', {"x": "<&"}),
        ("<a x = 1>", {"x": "1"}),
        ("</a>", {}),
        ("</a x=1>", {"x": "1"}),
        ("</a x>", {}),
    ],
)
def test_attributes(text, attributes):
    (tag,) = find_tags(text)
    assert dict(tag.attributes) == attributes


@pytest.mark.parametrize(
    ("text", "is_empty"), [("<a/>", True), ("<a />", True), ("<a / >", True), ("<a>", False)]
)
def test_tags_without_content(text, is_empty):
    (tag,) = find_tags(text)
    assert tag.is_empty is is_empty


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("<a", 0),
        ("x<a b='", 1),
        ("x<", 1),
        ("x</", 1),
        ("<a>x</a", 4),
        ("<a>x<b", 4),
        ("<a>", None),
        ("<a>x", None),
        ("x < y", None),
        ("x", None),
        ("", None),
    ],
)
def test_a_tag_that_the_end_cuts(text, offset):
    assert cut_tag(text) == offset


def test_a_tag_cut_by_the_end_of_a_stretch():
    text = "<a><bcd>"
    assert cut_tag(text, 0, 6) == 3
    assert cut_tag(text, 0, 8) is None
    assert cut_tag(text, 4, 6) is None  # it began before
    assert cut_tag(text, 3, 6) == 3
    assert cut_tag(text, end=2) == 0


def test_comments():
    text = "<!doctype html>a<!--b-->c<!-- d -->e<!--f-->"
    spans, is_open = find_comments(text, 0, len(text))
    assert not is_open
    assert [text[start:end] for start, end in spans] == [
        "<!doctype html>",
        "<!--b-->",
        "<!-- d -->",
        "<!--f-->",
    ]


def test_a_comment_that_does_not_end():
    text = "<!--a--><!--b"
    assert find_comments(text, 0, len(text)) == ([(0, 8), (8, 13)], True)
    assert find_comments("-->a<!--b", 0, 9) == ([(4, 9)], True)
    assert find_comments("<!--a", 0, 5) == ([(0, 5)], True)


def test_comments_of_a_stretch():
    text = "<!--a--><!--b--><!--c--><!D>"
    assert find_comments(text, 8, 16) == ([(8, 16)], False)
    assert find_comments(text, 1, 8) == ([], False)
    assert find_comments(text, 8, 15) == ([(8, 15)], True)
    assert find_comments(text, 16, 24) == ([(16, 24)], False)
    assert find_comments(text, 24, 28) == ([(24, 28)], False)
    assert find_comments(text, 0, 8) == ([(0, 8)], False)
    assert find_comments("<!---->b", 0, 8) == ([(0, 7)], False)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1 2.5 -3", [1, 2.5, -3]),
        ("(1, 2); [3]", [1, 2, 3]),
        (".5 5. +1", [0.5, 5, 1]),
        ("", []),
        ("1 x", None),
        ("1e3", None),
        ("1-2", None),
        ("1234567890123", None),
        ("123456789012", [123456789012]),
    ],
)
def test_numbers_of_an_attribute(text, numbers):
    assert read_numbers(text) == numbers


def test_character_references():
    assert unescape("&lt;&#65;&nosuch;") == "<A&nosuch;"
    long = "&#" + "9" * 5000 + ";"
    assert unescape(long) == long
