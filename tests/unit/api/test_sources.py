# SPDX-License-Identifier: Apache-2.0
"""Whatever a user gives as pictures, videos and PDFs becomes parts, or an error that says how to give it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.api.sources import media_parts, page_numbers
from finesight.conversation import ImagePart, VideoPart
from finesight.errors import ConfigError, DecodeError, UnsupportedMedia

def test_one_source_needs_no_list():
    assert media_parts("a.png", "b.mp4", ()) == media_parts(
        ["a.png"], ["b.mp4"], ()
    )


def test_a_sequence_of_pictures_is_a_frame_list():
    (part,) = media_parts((), [("f1.png", "f2.png")], ())
    assert part == VideoPart(source=("f1.png", "f2.png"))


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        ("1", [0]),
        ("1-3,7", [0, 1, 2, 6]),
        ("9-", [8, 9]),
        (" 2 - 3 ", [1, 2]),
        (4, [4]),
        ([0, 2], [0, 2]),
        (range(2), [0, 1]),
    ],
)
def test_pages(pages, numbers):
    assert page_numbers(pages, 10) == numbers


@pytest.mark.parametrize("pages", ["0", "11", "3-1", "a", "", "1-2-3", "-3", 10, [-1], "12-"])
def test_pages_that_are_not_there(pages):
    with pytest.raises(ConfigError):
        page_numbers(pages, 10)
