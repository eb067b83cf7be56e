# SPDX-License-Identifier: Apache-2.0
"""The applications over HTTP: the JSON of the commands, the limits of the server, and the end of a request."""

from __future__ import annotations

import base64
import io
import json
import re
import threading

import httpx
import pytest
from PIL import Image

from finesight.apps.document.html import document_json
from finesight.apps.document.job import Job, read_pages
from finesight.apps.document.markdown import document_markdown
from finesight.apps.document.pages import find_pages
from finesight.apps.document.read import ReadOptions
from finesight.geometry import Box, iou
from finesight.server.asking import Asking, Ended
from finesight.server.keys import new_key
from tests.support.app_responders import Hostile, Oracle
from tests.support.documents import PageOracle, lines_below, oracle_of, write_pdf
from tests.support.forms import Copyist, draw_form, schema
from tests.support.grounding import scene
from tests.support.serving import app_of, data_address, live, post, request, wait_until

PATHS = tuple(f"/v1/apps/{name}" for name in ("read", "extract", "locate", "describe-screen"))
FOREIGN = re.compile(r"max_new_tokens|Python|command line|--\w+|None\b|/tmp|finesight-")
"""Names of Python, of the command line, and of files of the server."""
NEEDED = {"extract": {"schema": {"type": "object", "properties": {"total": {"type": "number"}}}},
          "locate": {"phrase": "red square"}}  # fmt: skip


def picture(size=(84, 84)):
    return data_address(Image.new("RGB", size, "white"))


@pytest.fixture(scope="module")
def pdf_file(tmp_path_factory):
    texts = ("Annual report", "Sales grew", "Outlook")
    path = tmp_path_factory.mktemp("pdf") / "three.pdf"
    return write_pdf(path, [lines_below([text, f"{text} again"]) for text in texts])


def body_for(path, **fields):
    return {"file_data": picture(), **NEEDED.get(path.rpartition("/")[2], {}), **fields}


def test_read_is_the_json_of_the_command_with_the_markdown(served, answers, pdf_file):
    oracle = Oracle(oracle_of(pdf_file))
    answers(oracle)
    file = {"file_data": data_address(pdf_file, "application/pdf"), "filename": "three.pdf"}
    found = post(app_of(served), PATHS[0], {**file, "pages": "1,3", "route": "html"})
    assert found.status_code == 200, found.text
    given = found.json()
    addresses = find_pages([pdf_file], "1,3")
    job = Job(addresses, ReadOptions(upright=True), "tiny")
    expected = read_pages(job, oracle)
    assert given.pop("markdown") == document_markdown(expected)
    assert given.pop("model") == "tiny"
    assert given.pop("files") == []
    assert given == json.loads(json.dumps(document_json(expected)))
    assert [page["source"] for page in given["pages"]] == ["three.pdf"] * 2
    assert [page["page_of_source"] for page in given["pages"]] == [1, 3]


def test_extract_gives_values_with_places_and_scores(served, answers):
    form = draw_form(3, "lines", "en")
    page = Oracle(PageOracle([(form.pixels, form.lines)]))
    copyist = Copyist([form.raw])

    class Both:
        def respond(self, conversations, sampling):
            is_value = sampling.json_schema is not None
            return (copyist if is_value else page).respond(conversations, sampling)

    answers(Both())
    body = {"file_data": data_address(Image.fromarray(form.pixels)), "schema": schema()}
    body |= {"route": "html", "upright": "off", "filename": "../../invoice.png"}
    found = post(app_of(served), PATHS[1], body)
    assert found.status_code == 200, found.text
    (document,) = found.json()["documents"]
    assert document["document"] == "invoice.png"
    assert document["data"] == form.data
    total = document["fields"]["total"]
    assert total["status"] == "found"
    assert total["score"]["value"] > 0.5
    assert iou(Box(*total["evidence"][0]["box"]), form.boxes["total"]) > 0.5


def _about_red(question, boxes):
    """Knows where the red squares are, and that there is nothing else."""
    is_red = "red" in question.text
    if question.text.startswith("Is "):
        return "Yes" if is_red else "No"
    if question.text.startswith("How many"):
        return str(len(boxes)) if is_red else "0"
    return question.boxes_json([(box, "red square") for box in boxes] if is_red else [])


def test_locate_gives_places_a_count_and_says_what_is_absent(served, answers):
    drawn = scene(1, size=(252, 168), counts={"red square": 3}, sides=(20, 40))
    answers(Oracle(lambda question: _about_red(question, drawn.boxes("red square"))))
    body = {"file_data": data_address(Image.fromarray(drawn.pixels)), "count": True}
    body["phrase"] = ["red square", "blue square"]
    found = post(app_of(served), PATHS[2], body)
    assert found.status_code == 200, found.text
    (located,) = found.json()["pictures"]
    red, blue = located["phrases"]
    assert (red["status"], red["count"]) == ("found", 3)
    boxes = [Box(*thing["box"]) for thing in red["things"]]
    assert all(max(iou(true, box) for box in boxes) > 0.8 for true in drawn.boxes("red square"))
    assert (blue["status"], blue["count"]) == ("absent", 0)


def test_describe_screen_lists_the_controls_and_their_speech(served, answers):
    row = {"role": "button", "label": "Save", "value": "", "states": []}

    def knows(question):
        box = question.numbers(Box(20, 30, 90, 60))
        return json.dumps([{"bbox_2d": box, **row}])

    answers(Oracle(knows))
    image = Image.new("RGB", (280, 196), "white")
    found = post(app_of(served), PATHS[3], {"file_data": data_address(image)})
    assert found.status_code == 200, found.text
    (screen,) = found.json()["screens"]
    (control,) = screen["children"]
    assert (control["role"], control["name"]) == ("button", "Save")
    assert iou(Box(*control["bounds"]), Box(20, 30, 90, 60)) > 0.8
    assert "Save" in screen["speech"]
    assert screen["model"] == "tiny"


@pytest.mark.parametrize("path", PATHS)
def test_the_tiny_model_answers_every_application(served, path):
    found = post(app_of(served), path, body_for(path))
    assert found.status_code == 200, found.text
    assert served.engine.num_requests() == (0, 0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"file_date": "x"}, "file_date", "unknown field 'file_date'"),
        ({"file_data": None}, None, "the file has no data"),
        ({"file_url": "https://example.com/a.png"}, None, "file_data and file_url"),
        ({"file_data": "data:image/png;base64,AAAA"}, None, "picture"),
        ({"max_tokens": 0}, "max_tokens", "max_tokens=0"),
        ({"max_pixels": "large"}, "max_pixels", "max_pixels='large'"),
        ({"min_pixels": 9000, "max_pixels": 8000}, "min_pixels", "min_pixels"),
        ({"filename": 3}, "filename", "filename is 3"),
        ({"model": "none"}, "model", "there is no model 'none'"),
    ],
)
def test_wrong_fields_are_refused_with_their_names(served, path, fields, param, words):
    body = {**body_for(path), **fields}
    found = post(app_of(served), path, body)
    error = found.json()["error"]
    assert found.status_code in (400, 404), found.text
    assert words in error["message"]
    assert not FOREIGN.search(error["message"])
    if param is not None:
        assert error["param"] == param


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("read", {"schema": {}}, "unknown field 'schema'"),
        ("read", {"route": "fast"}, "route is 'fast'"),
        ("read", {"pages": 1}, "pages is 1"),
        ("read", {"pages": "4"}, "page 4"),
        ("read", {"photo": "yes"}, "photo is 'yes'"),
        ("extract", {"schema": "/etc/passwd"}, "schema is '/etc/passwd'"),
        ("extract", {"schema": None}, "schema is missing"),
        ("extract", {"schema": {"type": "array"}}, "not an object"),
        ("locate", {"phrase": [" "]}, "phrase is [' ']"),
        ("locate", {"phrase": None}, "phrase is missing"),
        ("locate", {"as": "circle"}, "as is 'circle'"),
        ("describe-screen", {"order": "none"}, "order is 'none'"),
    ],
)
def test_wrong_values_of_one_application_are_refused(served, name, fields, words):
    path = f"/v1/apps/{name}"
    found = post(app_of(served), path, {**body_for(path), **fields})
    assert found.status_code == 400, found.text
    assert words in found.json()["error"]["message"]


def test_no_error_has_names_of_python_or_the_command_line(served, pdf_file):
    pdf, broken = data_address(pdf_file, "application/pdf"), data_address(b"\0" * 50)
    bodies = [
        ("read", {"file_data": pdf, "max_tokens": -1}),
        ("read", {"file_data": pdf, "pages": "9"}),
        ("read", {"file_data": data_address(b"%PDF-1.7", "application/pdf")}),
        ("extract", {"file_data": pdf, "schema": {"type": "array"}}),
        ("locate", {"file_data": pdf, "phrase": "cat"}),
        ("locate", {"file_data": broken, "phrase": "cat"}),
        ("locate", {"file_data": broken, "phrase": "cat", "min_pixels": -1}),
        ("describe-screen", {"file_url": "ftp://a/b"}),
    ]
    for name, body in bodies:
        found = post(app_of(served), f"/v1/apps/{name}", body)
        assert found.status_code == 400, found.text
        assert not FOREIGN.search(found.json()["error"]["message"]), found.text


ODD = (True, 0, -1, 2.5, 10**400, "", "x" * 300, "../..", [], [1], {}, {"a": None})


@pytest.mark.parametrize("path", PATHS)
def test_no_value_of_a_field_is_a_fault_of_the_server(served, answers, path):
    answers(Oracle(lambda _: "Hello"))
    app = app_of(served)
    known = request(app, "GET", "/openapi.json").json()["paths"][path]["post"]
    schema = known["requestBody"]["content"]["application/json"]["schema"]
    for name in schema["properties"]:
        for value in ODD:
            found = post(app, path, {**body_for(path), name: value})
            assert found.status_code in (200, 400, 404), (name, value, found.text)
    for body in (None, [], "text", 3, {}):
        assert post(app, path, body).status_code == 400


def test_a_pdf_to_locate_in_names_the_endpoint_that_takes_it(served, pdf_file):
    body = body_for(PATHS[2], file_data=data_address(pdf_file, "application/pdf"))
    found = post(app_of(served), PATHS[2], body)
    assert found.status_code == 400
    assert "/v1/apps/read" in found.json()["error"]["message"]


def test_too_many_pages_are_refused_with_the_field_that_chooses_some(served):
    pages = [Image.new("RGB", (28, 28), "white")] * 51
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    body = {"file_data": base64.b64encode(file.getvalue()).decode()}
    found = post(app_of(served), PATHS[0], body)
    assert found.status_code == 400
    assert "51 pages are asked for; at most 50" in found.json()["error"]["message"]


def test_files_are_opened_only_in_allowed_folders(served, answers, tmp_path):
    answers(Oracle(lambda _: "Hello"))
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        Image.new("RGB", (56, 56), "white").save(folder / "page.png")
    app = app_of(served, folders=(inside,))
    refused = post(app, PATHS[0], {"file_url": (outside / "page.png").as_uri()})
    assert refused.status_code == 400
    opened = post(app, PATHS[0], {"file_url": (inside / "page.png").as_uri()})
    assert opened.status_code == 200, opened.text
    assert opened.json()["pages"][0]["source"] == "page.png"


@pytest.mark.parametrize("path", PATHS)
def test_keys_and_the_number_of_requests_are_checked(served, path, tmp_path):
    secret, line = new_key("alice")
    (tmp_path / "keys").write_text(line)
    app = app_of(served, keys_file=tmp_path / "keys", requests_per_minute=1)
    assert post(app, path, {}).status_code == 401
    headers = {"Authorization": f"Bearer {secret}"}
    assert post(app, path, {}, headers=headers).status_code == 400
    assert post(app, path, {}, headers=headers).status_code == 429


def test_a_page_that_fails_is_named_in_the_result(served, answers):
    answers(Hostile(Oracle(lambda _: "Hello"), "empty"))
    drawn = scene(1, size=(280, 280), counts={"red square": 3}, sides=(20, 60))
    body = {"file_data": data_address(Image.fromarray(drawn.pixels)), "upright": "off"}
    found = post(app_of(served), PATHS[0], body)
    (page,) = found.json()["pages"]
    assert page["status"] in ("partly", "unreadable")
    assert page["problems"]


def test_a_client_that_goes_ends_its_application(served, monkeypatch):
    has_begun, has_ended = threading.Event(), threading.Event()

    def until_it_ends(self, *_):
        has_begun.set()
        try:
            while True:
                self.check()
                threading.Event().wait(0.005)
        except Ended:
            has_ended.set()
            raise

    monkeypatch.setattr(Asking, "respond", until_it_ends)
    drawn = scene(1, size=(280, 280), counts={"red square": 3}, sides=(20, 60))
    body = json.dumps(body_for(PATHS[2], file_data=data_address(Image.fromarray(drawn.pixels))))
    with live(served) as server:
        head = f"POST {PATHS[2]} HTTP/1.1\nHost: server\nContent-Length: {len(body)}\n\n"
        connection = server.send(head, body.encode())
        assert has_begun.wait(30)
        assert httpx.get(f"{server.url}/health").status_code == 200  # others are answered meanwhile
        connection.close()
        assert has_ended.wait(30)
        wait_until(server.is_idle)
