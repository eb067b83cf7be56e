# SPDX-License-Identifier: Apache-2.0
"""What `--image` may name, besides a file."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from finesight.cli import options, pictures
from finesight.errors import ConfigError, MediaTooLarge
from finesight.media.fetch import FetchPolicy


def standard_input(monkeypatch, data, *, isatty=False):
    given = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: isatty)
    monkeypatch.setattr(sys, "stdin", given)


@pytest.fixture
def folder(tmp_path):
    names = ("img10.png", "img2.PNG", "Img1.jpg", "notes.txt", ".hidden.png", "9.webp")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "inner.png").mkdir()
    return tmp_path


def test_a_folder_is_its_pictures_in_natural_order(folder, capsys):
    (found,) = pictures.expand([str(folder)])
    wanted = ("9.webp", "Img1.jpg", "img2.PNG", "img10.png")
    assert found == [str(folder / name) for name in wanted]
    assert capsys.readouterr().err == (
        f"folder {folder}: pictures: 4; 2 other entries are ignored\n"
    )


def test_order_is_kept_between_folders_and_files(folder, monkeypatch):
    standard_input(monkeypatch, b"bytes")
    words = ["--image", "a.png", "--image", str(folder), "--video", "v.mp4", "--image", "-"]
    given = ["a.png", str(folder), "-"]
    parts = options.media_in_order(words, images=given, videos=["v.mp4"], pdfs=[], pages=[])
    assert [part.source for part in parts] == [
        "a.png",
        *pictures.expand([str(folder)])[0],
        "v.mp4",
        b"bytes",
    ]


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match="contains no picture, and 1 other"):
        pictures.expand([str(tmp_path)])


def test_a_folder_with_too_many_is_refused_with_both_numbers(folder, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_IN_FOLDER", 3)
    with pytest.raises(ConfigError, match="contains 4 pictures; the limit is 3"):
        pictures.expand([str(folder)])


@pytest.mark.parametrize("name", ["", "nowhere.png", "data:image/png;base64," + "A" * 9000])
def test_what_is_no_folder_stays(name):
    assert pictures.expand([name]) == [[name]]
    assert not pictures.is_many([name])


def test_a_list_is_asked_for_by_several_names_or_a_folder(folder):
    assert pictures.is_many(["a.png", "b.png"])
    assert pictures.is_many([str(folder)])


def test_standard_input_is_one_picture(monkeypatch):
    standard_input(monkeypatch, b"bytes")
    assert pictures.expand(["-"]) == [[b"bytes"]]
    with pytest.raises(ConfigError, match="given 2 times"):
        pictures.expand(["-", "-"])


def test_a_terminal_is_no_picture(monkeypatch):
    standard_input(monkeypatch, b"", isatty=True)
    with pytest.raises(ConfigError, match="a terminal"):
        pictures.expand(["-"])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="closed"):
        pictures.expand(["-"])


def test_standard_input_has_a_limit(monkeypatch):
    monkeypatch.setattr(pictures, "FetchPolicy", lambda: FetchPolicy(max_bytes=4))
    standard_input(monkeypatch, b"12345")
    with pytest.raises(MediaTooLarge, match="more than 4 bytes"):
        pictures.expand(["-"])
