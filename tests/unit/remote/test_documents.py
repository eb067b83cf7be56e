# SPDX-License-Identifier: Apache-2.0
"""Files among the parts of a message become pictures of their pages, or an error that says what they are."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from finesight.conversation import ImagePart, Sampling, TextPart
from finesight.errors import ConfigError, FetchRefused, FinesightError
from finesight.remote.chat_request import read_request


def pdf(num_pages):
    """A PDF of blank pages."""
    pages = [Image.new("RGB", (60, 80), "white") for _ in range(num_pages)]
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    return file.getvalue()


PDF = pdf(3)
ADDRESS = "data:application/pdf;base64," + base64.b64encode(PDF).decode()
HELLO = "data:text/plain;base64," + base64.b64encode(b"Hello, page").decode()


def shown(part, **options):
    """The parts that a request with this part shows."""
    body = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]}
    parts = read_request(body, Sampling(), **options).conversation.messages[0].parts
    assert parts[-1] == TextPart("?")
    return list(parts[:-1])


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": ADDRESS, "filename": "a.pdf"}},
        {"type": "input_file", "file_data": ADDRESS},
        {"type": "input_file", "file_data": base64.b64encode(PDF).decode(), "file_url": None},
    ],
)
def test_each_page_is_a_picture(part):
    assert shown(part) == [ImagePart(source=PDF, page=page) for page in range(3)]


def test_pages_and_the_pixel_budget_may_be_given():
    part = {"type": "input_file", "file_data": ADDRESS, "pages": "2-", "max_pixels": 5000}
    assert shown(part) == [ImagePart(source=PDF, page=page, max_pixels=5000) for page in (1, 2)]


def test_a_picture_and_a_text_are_shown_as_such():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    data = file.getvalue()
    assert shown({"type": "file", "file": {"file_data": base64.b64encode(data).decode()}}) == [
        ImagePart(source=data)
    ]
    assert shown({"type": "file", "file": {"file_data": HELLO}}) == [TextPart("Hello, page")]


@pytest.mark.parametrize("text", ["a", "hello", "Grüße", "漢字\n", "1,2\t3\r\n"])
def test_a_short_text_is_a_text(text):
    data = base64.b64encode(text.encode()).decode()
    assert shown({"type": "input_file", "file_data": data}) == [TextPart(text)]


@pytest.mark.parametrize("data", [b"\0\1\2\3", b"a\0b", b"\xff\xfe" * 8])
def test_bytes_that_are_no_text_are_refused(data):
    with pytest.raises(ConfigError, match="file that starts with"):
        shown({"type": "input_file", "file_data": base64.b64encode(data).decode()})


def test_an_address_is_opened_by_the_caller(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(PDF)
    part = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    asked = []
    assert len(shown(part, open_file=lambda address: asked.append(address) or path)) == 3
    assert asked == ["https://example.com/a.pdf"]

    def refuse(address):
        raise FetchRefused(f"{address} is not allowed")

    with pytest.raises(FetchRefused):
        shown(part, open_file=refuse)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "file"}, "message 0, part 0: the file has no data"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_id names a stored file"),
        ({"type": "file", "file": "a.pdf"}, "file is 'a.pdf'"),
        ({"type": "input_file", "file_data": "?"}, "neither a data: address nor base64"),
        ({"type": "input_file", "file_data": ADDRESS, "pages": "7"}, "page 7 of 3 does not exist"),
        ({"type": "input_file", "file_data": ADDRESS, "page": 1}, "unknown key 'page'"),
        ({"type": "input_file", "file_data": ADDRESS, "file_url": "a"}, "file_data and file_url"),
        ({"type": "input_file", "file_data": HELLO, "pages": "1"}, "given with a text file"),
        (
            {"type": "input_file", "file_data": HELLO, "filename": "a.PDF"},
            "'a.PDF' is given as a PDF, but holds text",
        ),
        (
            {"type": "input_file", "file_data": HELLO.replace("text/plain", "application/pdf")},
            "'without a name' is given as a PDF, but holds text",
        ),
        (
            {"type": "input_file", "file_data": base64.b64encode(b"PK\3\4" * 9).decode()},
            "ZIP archive",
        ),
        ({"type": "input_file", "file_data": base64.b64encode(b"%PDF-1.7").decode()}, "PDF"),
    ],
)
def test_what_cannot_be_shown_is_an_error(part, said):
    with pytest.raises(FinesightError) as raised:
        shown(part)
    assert said in raised.value.message
    assert isinstance(raised.value, ConfigError) or "PDF" in said
