# SPDX-License-Identifier: Apache-2.0
"""Every way to name a source leads to its bytes; what must not be opened is refused by name."""

from __future__ import annotations

import base64
import os

import pytest

from finesight.errors import DecodeError, FetchRefused, MediaError, UnsupportedMedia
from finesight.media.source import kind_of, localize

DATA = b"\x00\xffsome bytes"


def read(source) -> bytes:
    with localize(source).open() as stream:
        return stream.read()


def test_paths_and_bytes(tmp_path):
    path = tmp_path / "a file.bin"
    path.write_bytes(DATA)
    assert read(path) == read(str(path)) == read(DATA) == read(bytearray(DATA)) == DATA


def test_file_addresses(tmp_path, monkeypatch):
    path = tmp_path / "a file.bin"
    path.write_bytes(DATA)
    literal = tmp_path / "b%20c.bin"
    literal.write_bytes(b"literal")
    assert read(f"file://{path}") == DATA
    assert read(f"file://localhost{path}") == DATA
    assert read(f"FILE://{str(path).replace(' ', '%20')}") == DATA
    assert read(f"file:{path}") == DATA
    assert read(f"file://{literal}") == b"literal"
    monkeypatch.chdir(tmp_path)
    assert read("file://a file.bin") == DATA  # as qwen-vl-utils reads it


@pytest.mark.parametrize(
    "address",
    [
        "data:image/png;base64," + base64.b64encode(DATA).decode(),
        "data:;base64," + base64.b64encode(DATA).decode(),
        "data:image;base64," + base64.urlsafe_b64encode(DATA).decode().rstrip("="),
        "data:image/png;charset=x;base64," + base64.b64encode(DATA).decode() + "\n",
        "DATA:image/png; BASE64," + base64.b64encode(DATA).decode().replace("=", "%3D"),
        "data:,%00%FFsome%20bytes",
    ],
)
def test_data_addresses(address):
    assert read(address) == DATA


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("data:image/png;base64", "has no comma"),
        ("data:image/png;base64,@@@@", "is not valid base64"),
        ("data:image/png;base64,A", "is not valid base64"),
        ("data:image/png;base64,", r"is empty \(0 bytes\)"),
    ],
)
def test_broken_data_addresses(address, message):
    with pytest.raises(DecodeError, match=message):
        localize(address)


def test_what_is_not_there(tmp_path):
    with pytest.raises(MediaError, match=r"nothing\.png cannot be opened: No such file") as caught:
        localize(tmp_path / "nothing.png")
    assert caught.value.hint
    with pytest.raises(MediaError, match="cannot be opened"):
        localize("zero\0byte.png")
    with pytest.raises(MediaError, match="cannot be opened: File name too long"):
        localize("QUJD" * 5000)  # base64 without `data:`


def test_what_is_refused(tmp_path):
    with pytest.raises(FetchRefused, match="is a directory"):
        localize(tmp_path)
    with pytest.raises(FetchRefused, match="is not a regular file"):
        localize("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FetchRefused, match="is not a regular file"):
        localize(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(DATA)
    path.chmod(0)
    with pytest.raises(MediaError, match=r"secret\.png cannot be opened: Permission denied"):
        localize(path)


def test_a_file_that_vanishes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    source = localize(path)
    path.unlink()
    with pytest.raises(MediaError, match="cannot be opened"):
        source.open()


def test_unknown_things():
    with pytest.raises(UnsupportedMedia, match="scheme s3, which is not one of"):
        localize("s3://bucket/a.png")
    with pytest.raises(UnsupportedMedia, match="a int is no picture source"):
        localize(3)


def test_kinds():
    assert kind_of(b"\x89PNG\r\n\x1a\n") == "PNG picture"
    assert kind_of(b"\0\0\0\x18ftypavif....") == "AVIF picture"
    assert kind_of(b"\0\0\0\x18ftypmp42....") == "MP4 video"
    assert kind_of(b"RIFF1234AVI LIST") == "AVI video"
    assert kind_of(b"#EXTM3U\n#EXT-X") == "playlist"
    assert kind_of(b"PK\x03\x04...") == "ZIP archive"
    assert kind_of(b"\0\0\1\0\2\0\x20\x20") == "ICO picture"
    assert kind_of(b"P6\n2 2\n255\n......") == "PPM, PGM or PBM picture"
    assert kind_of(b"P6 is a street") == "PPM, PGM or PBM picture"  # only its reader can tell
    assert kind_of(b"Paragraph 6 ...") == "text file"
