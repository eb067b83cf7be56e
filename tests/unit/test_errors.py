# SPDX-License-Identifier: Apache-2.0
"""The tree in the docstring of `errors` is the tree of the classes, and a hint is shown."""

from __future__ import annotations

import inspect
import re

import pytest

from finesight import errors

KINDS = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, errors.FinesightError)
]


def test_the_drawn_tree_names_every_error():
    drawn = re.findall(r"^(?:    )?[ │]*(?:[├└]─ )?(\w+)", errors.__doc__ or "", re.MULTILINE)
    assert {kind.__name__ for kind in KINDS} <= set(drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_shows_message_and_hint(kind):
    error = kind("width is 0, height is 5", hint="crop less")
    assert isinstance(error, errors.FinesightError)
    assert str(error) == "width is 0, height is 5\n  hint: crop less"
    assert str(kind("width is 0")) == "width is 0"


@pytest.mark.parametrize("kind", [errors.ConfigError, errors.LayoutError])
def test_wrong_values_are_value_errors_too(kind):
    assert issubclass(kind, ValueError)
