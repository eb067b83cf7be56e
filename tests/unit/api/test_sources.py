# SPDX-License-Identifier: Apache-2.0
"""Whatever a user gives as pictures, videos and PDFs becomes parts, or an error that says how to give it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.api.sources import media_parts
from finesight.conversation import ImagePart, VideoPart
from finesight.errors import ConfigError, DecodeError, UnsupportedMedia
from finesight.media.pages import page_numbers


def test_one_source_needs_no_list():
    assert media_parts("a.png", "b.mp4", ()) == media_parts(["a.png"], ["b.mp4"], ())


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


def pages_file(format_name: str) -> io.BytesIO:
    """A file of three pages in memory, left at its end as after writing."""
    pages = [Image.new("RGB", (24, 16), colour) for colour in ("red", "lime", "blue")]
    stream = io.BytesIO()
    pages[0].save(stream, format_name, save_all=True, append_images=pages[1:])
    return stream


@pytest.mark.parametrize(
    "pages",
    ["1-999999999999", "9" * 5000, "1-" + "9" * 5000, range(10**12), [10**12]],
    ids=["range", "digits", "range of digits", "numbers", "number"],
)
def test_far_more_pages_than_there_are(pages):
    with pytest.raises(ConfigError, match="of 10 does not exist"):
        page_numbers(pages, 10)


def test_pages_are_not_repeated_without_end():
    """A text of 20 MB named billions of pages, whose numbers filled the memory."""
    assert len(page_numbers("1-10," * 999 + "1", 10)) == 9_991
    with pytest.raises(ConfigError, match=r"are 10,001 pages of a file that has 10"):
        page_numbers("1-10," * 1000 + "1", 10)


@pytest.mark.parametrize("pages", [np.int64(4), np.array(4), [np.int8(4)], np.array([4])])
def test_page_numbers_of_numpy(pages):
    assert page_numbers(pages, 10) == [4]


@pytest.mark.parametrize("pages", [True, [True], 1.5, {1, 2}, [[1]], np.zeros((2, 2)), object()])
def test_what_is_no_page_number(pages):
    with pytest.raises(ConfigError, match="not page numbers"):
        page_numbers(pages, 10)


def test_pictures_with_their_pages():
    stream = pages_file("TIFF")
    parts = media_parts([(stream, "2-"), (stream, [0]), (stream, None), "a.png"], (), ())
    assert [part.page for part in parts] == [1, 2, 0, None, None]
    assert {part.source for part in parts[:4]} == {stream.getvalue()}
    assert [part.page for part in media_parts((stream, "1-3"), (), ())] == [0, 1, 2]


def test_a_tuple_of_pictures_is_no_pair():
    assert media_parts(("a.png", "b.png"), (), ()) == media_parts(["a.png", "b.png"], (), ())
    array = np.zeros((4, 6, 3), np.uint8)
    assert [part.source is array for part in media_parts((array, array), (), ())] == [True, True]
    assert [part.source is array for part in media_parts(array, (), ())] == [True]


def test_pdfs_with_and_without_pages():
    stream = pages_file("PDF")
    assert [part.page for part in media_parts((), (), stream)] == [0, 1, 2]
    assert [part.page for part in media_parts((), (), (stream, "2"))] == [1]
    assert [part.page for part in media_parts((), (), [stream, (stream, 0)])] == [0, 1, 2, 0]


def test_a_page_that_is_not_there_is_counted():
    with pytest.raises(ConfigError, match="page 4 of 3"):
        media_parts((pages_file("TIFF"), "4"), (), ())


def test_pages_belong_to_the_file_not_to_a_part():
    with pytest.raises(ConfigError, match="set its `page` instead"):
        media_parts((ImagePart(source="a.tif"), "1"), (), ())


@pytest.mark.parametrize("pages", [None, "1"])
def test_a_picture_is_no_pdf_and_a_pdf_no_picture(pages):
    picture, document = pages_file("TIFF"), pages_file("PDF")
    with pytest.raises(DecodeError, match="is no PDF but a TIFF picture") as caught:
        media_parts((), (), (picture, pages))
    assert "images=" in caught.value.hint
    assert "--image" in caught.value.hint
    if pages is None:
        return  # without pages a picture is opened later
    with pytest.raises(UnsupportedMedia, match="is no picture but a PDF document") as caught:
        media_parts((document, pages), (), ())
    assert "pdf=" in caught.value.hint
    assert "--pdf" in caught.value.hint


def test_frames_in_every_form():
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    for videos in (frames, [frames], [torch.from_numpy(frames)], [list(frames)], tuple(frames)):
        (part,) = media_parts((), videos, ())
        assert part.is_frame_list
        assert len(part.source) == 2
    assert media_parts((), bytearray(b"a file"), ())[0].source == b"a file"


@pytest.mark.parametrize("pages", [[], (), range(0), np.array([], dtype=int)])
def test_no_pages_at_all_are_refused(pages):
    with pytest.raises(ConfigError, match="is empty"):
        page_numbers(pages, 3)


@pytest.mark.parametrize("name", ["images", "videos", "pdf"])
def test_an_empty_list_is_refused_because_a_search_that_finds_nothing_gives_one(name):
    given = {"images": (), "videos": (), "pdf": (), name: []}
    with pytest.raises(ConfigError, match="an empty list of"):
        media_parts(**given)
    assert media_parts((), (), ()) == []
