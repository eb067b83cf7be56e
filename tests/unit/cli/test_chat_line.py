# SPDX-License-Identifier: Apache-2.0
"""Paths in a line of a chat, as terminals paste them, become pictures, videos and pages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from finesight.cli import chat_line
from finesight.cli.chat_line import is_address, media_parts, read_parts
from finesight.conversation import ImagePart, TextPart, VideoPart
from finesight.errors import ConfigError, MediaError, UnsupportedMedia


@pytest.fixture
def folder(tmp_path, picture, picture_file, video_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("cat.png", "my cat.png", "it's.png", "dog's & cat.png"):
        shutil.copy(picture_file, tmp_path / name)
    shutil.copy(video_file, tmp_path / "clip.mp4")
    picture.save(tmp_path / "scan.pdf", save_all=True, append_images=[picture, picture])
    (tmp_path / "notes.txt").write_text("only words in here\n")
    (tmp_path / "Makefile").write_text("all:\n\techo done\n")
    return tmp_path


def shown(parts):
    """Texts as they are; media by the name of their file and page."""
    found = []
    for part in parts:
        if isinstance(part, TextPart):
            found.append(part.text)
            continue
        assert Path(part.source).is_absolute()
        page = getattr(part, "page", None)
        found.append((Path(part.source).name, *(() if page is None else (page,))))
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cat.png", [("cat.png",)]),
        ("  cat.png \n", [("cat.png",)]),
        ("my cat.png", [("my cat.png",)]),
        ("my\\ cat.png", [("my cat.png",)]),
        ("'my cat.png'", [("my cat.png",)]),
        ('"my cat.png"', [("my cat.png",)]),
        ("'it'\\''s.png'", [("it's.png",)]),
        ("it\\'s.png what?", [("it's.png",), "what?"]),
        ("it's.png what?", [("it's.png",), "what?"]),
        ("dog\\'s\\ \\&\\ cat.png ?", [("dog's & cat.png",), "?"]),
        ("./cat.png", [("cat.png",)]),
        ("~/cat.png", [("cat.png",)]),
        ("{}/cat.png", [("cat.png",)]),
        ("file://{}/cat.png", [("cat.png",)]),
        ("file://{}/my%20cat.png what is it?", [("my cat.png",), "what is it?"]),
        ("cat.png what is it?", [("cat.png",), "what is it?"]),
        ("What is in cat.png?", ["What is in", ("cat.png",), "?"]),
        (
            "Compare cat.png and 'my cat.png', please",
            ["Compare", ("cat.png",), "and", ("my cat.png",), ", please"],
        ),
        ("cat.png cat.png", [("cat.png",), ("cat.png",)]),
        ("clip.mp4 what moves?", [("clip.mp4",), "what moves?"]),
        ("scan.pdf", [("scan.pdf", 0), ("scan.pdf", 1), ("scan.pdf", 2)]),
        ("it's here in cat.png and that's all", ["it's here in", ("cat.png",), "and that's all"]),
    ],
)
def test_paths_become_media_where_they_stand(folder, line, expected):
    assert shown(read_parts(line.replace("{}", str(folder)), {})) == expected


@pytest.mark.parametrize(
    "line",
    [
        "What is a cat?",
        "Read notes.txt and the Makefile",
        "'quoted' words, \"more\" and it's open",
        "a \\ backslash at the end \\",
        "https://example.com/cat.png",
        "data:image/png;base64,AAAA",
        "none.png is no file here",
        "and/or 1/2 ~ . / ..",
        "x" * 5000,
        "a\0b",
        "~nobody/cat.png",
    ],
)
def test_other_words_stay_text(folder, line):
    assert read_parts(line, {}) == [TextPart(line)]


@pytest.mark.parametrize(
    "path", ["./none.png", "/tmp/none/none.mp4", "~/no\\ ne.pdf", "file:///n.jpg"]
)
def test_a_path_of_a_medium_that_is_not_there_is_an_error(folder, path):
    with pytest.raises(MediaError, match="cannot be opened: No such file"):
        read_parts(f"What is {path} about?", {})


def test_options_belong_to_the_media(folder):
    options = {"max_pixels": 3136, "fps": 2.0}
    picture, clip = read_parts("cat.png clip.mp4", options)
    assert (picture.max_pixels, clip.max_pixels, clip.fps) == (3136, 3136, 2.0)
    assert isinstance(picture, ImagePart)
    assert isinstance(clip, VideoPart)


def test_addresses_are_taken_by_their_suffix():
    (picture,) = media_parts("https://example.com/a.png?x=b.mp4", {})
    assert picture == ImagePart(source="https://example.com/a.png?x=b.mp4")
    (clip,) = media_parts("https://example.com/a.MP4?x=1", {})
    assert clip == VideoPart(source="https://example.com/a.MP4?x=1")
    assert is_address("HTTPS://example.com")
    assert not is_address("file:///a.png")


def test_pages_are_those_of_pdfs_and_pictures(folder):
    from finesight.cli.chat_line import local_file

    assert shown(media_parts(local_file("scan.pdf"), {}, pages="3,1-2")) == [
        ("scan.pdf", 2),
        ("scan.pdf", 0),
        ("scan.pdf", 1),
    ]
    with pytest.raises(ConfigError, match="page 9 of 3 does not exist"):
        media_parts(local_file("scan.pdf"), {}, pages="9")
    with pytest.raises(UnsupportedMedia, match="is a video, which has no pages"):
        media_parts(local_file("clip.mp4"), {}, pages="1")
    with pytest.raises(UnsupportedMedia, match="is a text file, not a picture, video or PDF"):
        media_parts(local_file("notes.txt"), {})


def test_a_word_that_is_no_file_is_looked_up_once(monkeypatch):
    """Pasted prose has thousands of words; each look-up of a missing file with its error takes 0.3 ms."""
    looked_up = []
    exists = chat_line._exists
    monkeypatch.setattr(
        chat_line, "_exists", lambda path: (looked_up.append(path), exists(path))[1]
    )
    monkeypatch.setattr(chat_line, "local_file", pytest.fail)
    (part,) = read_parts("plain words, it's a 'quoted part' and more", {})
    assert part.text == "plain words, it's a 'quoted part' and more"
    assert len(looked_up) == len(set(looked_up))
    assert [each for each in looked_up if each in ("plain", "and", "more", "a")] == [
        "plain",
        "a",
        "and",
        "more",
    ]
