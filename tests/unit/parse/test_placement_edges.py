# SPDX-License-Identifier: Apache-2.0
"""Names of pictures and videos in every spelling, and the reasons why a result belongs nowhere."""

from __future__ import annotations

import pytest

from finesight.parse.placement import Placer
from tests.support.replies import picture_record, video_record

MEDIA = (
    picture_record("folder/one.png"),
    picture_record(r"C:\folder\two.png"),
    video_record("clips/three.mp4"),
    picture_record("report.pdf", page=0),
    picture_record("report.pdf", page=6),
    video_record("four.mp4"),
)
"""Pictures 1 to 4 (two of them pages 1 and 7), videos 1 and 2."""


def placed(name: str, *, kind=None, media=MEDIA):
    found = Placer(media, "").place(name, (0, 0), kind=kind)
    return found.media_index, found.placed_by


def headed(text: str, *, kind=None):
    """Where a result at the end of a text belongs."""
    found = Placer(MEDIA, text).place("", (len(text), len(text)), kind=kind)
    return found.media_index, found.placed_by, found.reason


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("Picture 1", 0),
        ("picture 2", 1),
        ("PICTURE 2", 1),
        ("Image 3", 3),
        ("image #4", 4),
        ("Picture1", 0),
        ("Video 1", 2),
        ("video 2", 5),
        ("Page 1", 3),
        ("page 7", 4),
        ("first image", 0),
        ("Second Picture", 1),
        ("second video", 5),
        ("first page", 3),
        ("图2", 1),
        ("图片 2", 1),
        ("图像1", 0),
        ("视频 2", 5),
        ("第2张图", 1),
        ("第 1 个视频", 2),
        ("第7页", 4),
        ("folder/one.png", 0),
        ("one.png", 0),
        ("two.png", 1),
        (r"C:\folder\two.png", 1),
        ("three.mp4", 2),
    ],
)
def test_names(name, index):
    assert placed(name) == (index, "name")


@pytest.mark.parametrize("name", ["nobody.png", "folder", "folder/one", "png", "", "2", "a cat"])
def test_what_names_nothing_leaves_it_to_the_lines_before(name):
    assert placed(name) == (None, "")
    text = "Picture 2:\n"
    found = Placer(MEDIA, text).place(name, (len(text), len(text)))
    assert (found.media_index, found.placed_by) == (1, "heading")


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("Picture 5", None, "'Picture 5' names 0 of the media shown"),
        ("Picture 0", None, "'Picture 0' names 0 of the media shown"),
        ("Video 3", None, "'Video 3' names 0 of the media shown"),
        ("Page 2", None, "'Page 2' names 0 of the media shown"),
        ("report.pdf", None, "'report.pdf' names 2 of the media shown"),
        ("Picture 1", "video", "'Picture 1' is no video"),
        ("Video 1", "image", "'Video 1' is no image"),
    ],
)
def test_names_that_do_not_decide(name, kind, reason):
    found = Placer(MEDIA, "").place(name, (0, 0), kind=kind)
    assert (found.media_index, found.placed_by, found.reason) == (None, "", reason)


def test_nothing_of_the_kind_is_shown():
    found = Placer(MEDIA[:2], "").place("", (0, 0), kind="video")
    assert (found.media_index, found.reason) == (None, "the conversation shows no video")
    found = Placer((), "").place("Picture 1", (0, 0))
    assert (found.media_index, found.reason) == (None, "the conversation shows no picture")


def test_the_only_one_needs_no_name():
    assert placed("nobody.png", media=MEDIA[:1]) == (0, "only")
    assert placed("", kind="video", media=MEDIA[:3]) == (2, "only")
    assert placed("", kind="image", media=MEDIA[:3]) == (None, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Picture 2:\n", (1, "heading", "")),
        ("In the second image:\n", (1, "heading", "")),
        ("Picture 1:\nPicture 2:\n", (1, "heading", "")),
        ("Picture 2:\n\nsome words\n", (1, "heading", "")),
        ("Picture 1 and Picture 1:\n", (0, "heading", "")),
        (
            "Picture 2 and Picture 1:\n",
            (None, "", "the line before it names Picture 1 and Picture 2"),
        ),
        (
            "Video 1, Picture 3, Picture 2, Picture 1:\n",
            (None, "", "the line before it names Picture 1 and Picture 2 and Picture 3"),
        ),
        ("Picture 9:\n", (None, "", "'Picture 9' names 0 of the media shown")),
        ("some words\n", (None, "", "it could belong to any of 6 media")),
        ("Picturesque 2\n", (None, "", "it could belong to any of 6 media")),
    ],
)
def test_lines_before_a_result(text, found):
    assert headed(text) == found


def test_a_heading_of_the_other_kind_does_not_decide():
    assert headed("Picture 1:\n", kind="video") == (None, "", "'Picture 1' is no video")
    assert headed("Video 2:\n", kind="video") == (5, "heading", "")


def test_a_heading_after_a_result_does_not_count():
    placer = Placer(MEDIA, "Picture 1:\n{}\nPicture 2:\n{}")
    assert placer.place("", (11, 13)).media_index == 0
    assert placer.place("", (25, 27)).media_index == 1


def test_a_result_ends_the_line_it_stands_in():
    text = "Picture 1: {} Picture 2: {}"
    placer = Placer(MEDIA, text, blocks=[(11, 13), (25, 27)])
    assert placer.place("", (11, 13)).media_index == 0
    assert placer.place("", (25, 27)).media_index == 1
    together = Placer(MEDIA, text).place("", (25, 27))
    assert together.reason == "the line before it names Picture 1 and Picture 2"


def test_the_caller_knows_best():
    found = Placer(MEDIA, "Picture 2:\n", forced=4).place("Picture 1", (11, 11), kind="video")
    assert (found.media_index, found.placed_by, found.reason) == (4, "caller", "")
