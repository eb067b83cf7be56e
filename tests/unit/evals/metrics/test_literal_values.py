# SPDX-License-Identifier: Apache-2.0
"""Values that a model wrote as JSON or as Python would."""

from __future__ import annotations

import warnings

import pytest

from finesight.evals.metrics.literal import (
    LONGEST_READ,
    load_object,
    read_literal,
    read_object,
    read_python,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("+7", 7),
        ("-7", -7),
        ("7.0", 7.0),
        ("7.", 7.0),
        (".5", 0.5),
        ("-2.5e3", -2500.0),
        ("true", True),
        ("FALSE", False),
        ("'a b'", "a b"),
        ('"ab"', "ab"),
        ('""', ""),
        ("'a\"", None),
        ("'", None),
        ("aba", None),
        ("xyx", None),
        ("(1, 2)", [1, 2]),
        ("(12, 34)", [12, 34]),
        ("[1, [2, 3]]", [1, [2, 3]]),
        ('{"a": 1}', {"a": 1}),
        ('{"a": 1} and more', None),
        ('see {"a": 1}', None),
        ("[1] [2]", None),
        ("[1, 2", None),  # its end was cut off
        ("(1, 2", None),
        ("1, 2)", None),
        ("word", None),
        ("", None),
        ("1 2", None),
    ],
)
def test_a_value_that_is_the_whole_text(text, value):
    found = read_literal(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1, 2", (1, 2)), ("[1, 'a']", [1, "a"]), ("{'a': None}", {"a": None}), ("-3.5", -3.5)],
)
def test_python_values(text, value):
    assert read_python(text) == value


@pytest.mark.parametrize("text", ["", "word", "f(1)", "1 +", "[" * 500, "import os"])
def test_what_spells_no_python_value(text):
    with pytest.raises(ValueError):  # noqa: PT011  # ast words some of these itself
        read_python(text)


def test_python_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="5or"):
            read_python("5or")


def test_a_long_value_is_cut():
    assert read_python("1" + " " * LONGEST_READ + "+") == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure: {"a": 1}, and {"b": 2}', {"a": 1}),
        ('{} then {"b": 2}', {"b": 2}),
        ('[1, 2] then {"b": 2}', {"b": 2}),
        ("total: 12\nname = Ann", {"total": "12", "name": "Ann"}),
        ("'total': '12'", {"total": "12"}),
        ("nothing here", {}),
    ],
)
def test_the_first_object_of_a_text(text, value):
    assert read_object(text) == value


@pytest.mark.parametrize(
    ("value", "loaded"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("{'a': 1}", {"a": 1}),
        ("\"{'a': 1}\"", {"a": 1}),  # Python within JSON
        (" \"{'a': 1}\" ", {"a": 1}),
        ('""{\'a\': 1}""', {"a": 1}),  # quotes doubled on the way through a table
        ("[1, 2]", {}),
        ("7", {}),
        ("word", {}),
        (None, {}),
        ([1], {}),
    ],
)
def test_objects_of_a_data_set(value, loaded):
    assert load_object(value) == loaded
