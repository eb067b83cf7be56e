# SPDX-License-Identifier: Apache-2.0
"""The files of the web page, and pages of PDFs drawn for it."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from finesight.server import page
from finesight.server.app import create_app
from finesight.server.models import Models, Offer
from finesight.server.settings import ServerSettings

FOLDER = Path(page.__file__).with_name("page")
FILES = sorted(path.name for path in FOLDER.iterdir())


@pytest.fixture(scope="module")
def client():
    offer = Offer("none", lambda: pytest.fail("the page must not load a model"), 0)
    with TestClient(create_app(Models([offer]), ServerSettings())) as client:
        yield client


def pdf(*sizes):
    pages = [Image.new("RGB", size, "white") for size in sizes]
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=144)
    return "data:application/pdf;base64," + base64.b64encode(file.getvalue()).decode()


def test_the_page_is_at_the_root(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>finesight</title>" in answer.text


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_under_the_same_policy(client, name):
    answer = client.get(f"/page/{name}")
    assert answer.text == (FOLDER / name).read_text(encoding="utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["..%2Fpage.py", "%2e%2e", "style.css%00", "other.js", "."])
def test_nothing_else_is_served(client, name):
    assert client.get(f"/page/{name}").status_code == 404


def test_no_file_names_another_server():
    # The addresses of namespaces are names, which no browser opens.
    allowed = {"http://www.w3.org/2000/svg"}
    for name in FILES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s'\"`$]+", text)) <= allowed, name


def test_scripts_are_short():
    lines = {name: len((FOLDER / name).read_text().splitlines()) for name in FILES}
    assert {name: count for name, count in lines.items() if count > 250} == {}


def test_pages_of_a_pdf_are_drawn_in_the_size_that_boxes_refer_to(client):
    answer = client.post("/page/pages", json={"file_data": pdf((300, 200), (4000, 1000))})
    drawn = answer.json()
    assert drawn["num_pages"] == 2
    sizes = [(page["width"], page["height"]) for page in drawn["pages"]]
    assert sizes == [(300, 200), (4000, 1000)]
    large = base64.b64decode(drawn["pages"][1]["url"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(large)).size == (1600, 400)


def test_pages_are_chosen_by_their_numbers(client):
    sizes = ((300, 200), (320, 200), (340, 200))
    answer = client.post("/page/pages", json={"file_data": pdf(*sizes), "pages": "3,1"})
    assert [page["page"] for page in answer.json()["pages"]] == [2, 0]
    assert [page["width"] for page in answer.json()["pages"]] == [340, 300]


def test_a_long_pdf_is_drawn_in_part_and_its_length_is_said(client):
    answer = client.post("/page/pages", json={"file_data": pdf(*[(28, 28)] * 52)}).json()
    assert (answer["num_pages"], len(answer["pages"])) == (52, 50)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "file_data is missing"),
        ({"file_data": "file:///etc/passwd"}, "file_data is missing"),
        ([], "file_data is missing"),
        ({"file_data": "data:application/pdf;base64,AAAA"}, "no PDF"),
        ({"file_data": pdf((28, 28)), "pages": "2"}, "page 2"),
        (
            {"file_data": pdf((28, 28)), "page": "1"},
            "unknown field 'page'\n  hint: did you mean pages?",
        ),
        ({"file_data": pdf(*[(28, 28)] * 52), "pages": "1-52"}, "at most 50"),
    ],
)
def test_what_is_no_pdf_is_refused_with_a_sentence(client, body, words):
    answer = client.post("/page/pages", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
