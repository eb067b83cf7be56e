# SPDX-License-Identifier: Apache-2.0
"""The applications on the page of the server, in Chromium: their fields, results, places, and what goes wrong."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading

import pytest
from PIL import Image

from finesight.geometry import Box
from finesight.server.asking import Asking
from tests.support.app_responders import Oracle
from tests.support.axe import needs_axe, serious
from tests.support.documents import PageOracle, lines_below, oracle_of, write_pdf
from tests.support.forms import Copyist, draw_form, schema
from tests.support.grounding import scene
from tests.support.pages import needs_browser
from tests.support.serving import live, tiny_served, wait_until

pytestmark = needs_browser
HOSTILE = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    from finesight.browser.start import find_chromium

    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=find_chromium(), chromium_sandbox=os.geteuid() != 0
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def server():
    served = tiny_served()
    with live(served) as found:
        yield found
    served.engine.close()


@pytest.fixture
def page(browser, server):
    """The page in the mode of applications, with all that goes wrong in it."""
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.faults = []
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.goto(server.url)
    opened.locator("#model option").first.wait_for(state="attached")
    opened.get_by_role("button", name="Applications").click()
    yield opened
    opened.close()
    assert opened.faults == []


def run(page, app, path):
    page.get_by_role("button", name=app, exact=True).click()
    page.set_input_files("#app-file", path)
    page.locator("#app-chosen", has_text=path.name).wait_for()
    page.get_by_role("button", name="Run").click()


def finished(page):
    """The text of the result, when the application has ended."""
    page.locator("#app-state", has_text=" s").wait_for()
    return page.locator("#app-result").inner_text()


def saved(folder, pixels, name="picture.png"):
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def corners(page, mark, width):
    """A drawn mark in pixels of the original picture."""
    picture, drawn = page.locator("#frame img").bounding_box(), mark.bounding_box()
    scale = picture["width"] / width
    left, top = (drawn["x"] - picture["x"]) / scale, (drawn["y"] - picture["y"]) / scale
    return (left, top, left + drawn["width"] / scale, top + drawn["height"] / scale)


def test_read_shows_the_markdown_and_draws_the_blocks_on_their_pages(page, answers, tmp_path):
    texts = [["Annual report", "Sales grew"], ["Outlook", "More to come"]]
    path = write_pdf(tmp_path / "report.pdf", [lines_below(each) for each in texts])
    answers(Oracle(oracle_of(path, {"Annual report": "h1"})))
    run(page, "Read", path)
    shown = finished(page)
    assert "2 pages read" in shown
    assert "# Annual report" in page.get_by_label("Markdown").inner_text()
    assert page.get_by_role("tab").all_inner_texts() == ["report.pdf, page 1", "report.pdf, page 2"]
    assert page.get_by_role("tab", selected=True).inner_text() == "report.pdf, page 1"
    page.get_by_role("tab", name="report.pdf, page 2").click()
    marks = page.locator("rect.mark")
    marks.first.wait_for()
    assert marks.count() == 2
    page.locator("#document p", has_text="Outlook").hover()
    assert "active" in marks.first.get_attribute("class")


def test_extract_lists_values_with_status_and_score_and_draws_their_places(page, answers, tmp_path):
    form = draw_form(3, "lines", "en")
    pages, copyist = Oracle(PageOracle([(form.pixels, form.lines)])), Copyist([form.raw])

    class Both:
        def respond(self, conversations, sampling):
            one = pages if sampling.json_schema is None else copyist
            return one.respond(conversations, sampling)

    answers(Both())
    page.route(  # the page is upright; four questions about that would need another oracle
        "**/v1/apps/extract",
        lambda route: route.continue_(post_data={**route.request.post_data_json, "upright": "off"}),
    )
    page.get_by_role("button", name="Extract", exact=True).click()
    page.get_by_label("JSON Schema of the values").fill(json.dumps(schema()))
    run(page, "Extract", saved(tmp_path, form.pixels, "invoice.png"))
    finished(page)
    row = page.locator("#app-result tr", has=page.get_by_role("cell", name="total", exact=True))
    cells = row.get_by_role("cell").all_inner_texts()
    assert cells[1:3] == [json.dumps(form.data["total"]), "found"]
    assert float(cells[3]) > 0.9
    row.hover()
    mark = page.locator("rect.mark.active")
    found, true = corners(page, mark, form.pixels.shape[1]), form.boxes["total"]
    assert found == pytest.approx((true.x1, true.y1, true.x2, true.y2), abs=12)


def _about_red(question, boxes):
    is_red = "red" in question.text
    if question.text.startswith("Is "):
        return "Yes" if is_red else "No"
    if question.text.startswith("How many"):
        return str(len(boxes)) if is_red else "0"
    return question.boxes_json([(box, "red square") for box in boxes] if is_red else [])


def test_locate_draws_what_is_found_counts_it_and_says_what_is_not(page, answers, tmp_path):
    drawn = scene(1, size=(252, 168), counts={"red square": 3}, sides=(20, 40))
    answers(Oracle(lambda question: _about_red(question, drawn.boxes("red square"))))
    path = saved(tmp_path, drawn.pixels)
    page.get_by_role("button", name="Locate", exact=True).click()
    page.get_by_label("What to find").fill("red square")
    page.get_by_label("count and check each").check()
    run(page, "Locate", path)
    assert "red square: 3 found" in finished(page)
    assert page.locator("rect.mark").count() == 3
    assert "score" in page.locator("#found").inner_text()
    page.get_by_label("What to find").fill("blue square")
    page.keyboard.press("Enter")
    page.locator("#app-result", has_text="blue square: not found").wait_for()
    assert page.locator("rect.mark").count() == 0


def test_describe_screen_lists_controls_with_their_places(page, answers, tmp_path):
    box = Box(20, 30, 90, 60)

    def knows(question):
        row = {"role": "button", "label": HOSTILE, "value": "", "states": ["disabled"]}
        return json.dumps([{"bbox_2d": question.numbers(box), **row}])

    answers(Oracle(knows))
    Image.new("RGB", (280, 196), "white").save(tmp_path / "shot.png")
    run(page, "Describe screen", tmp_path / "shot.png")
    shown = finished(page)
    assert "1 element" in shown
    assert "button, disabled" in shown
    assert corners(page, page.locator("rect.mark"), 280) == pytest.approx((20, 30, 90, 60), abs=6)
    assert "<script>" in shown  # as text
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main img[onerror]").count() == 0


def test_the_tiny_model_reads_a_page_and_what_it_cannot_do_is_said(page, tmp_path):
    Image.new("RGB", (140, 84), "white").save(tmp_path / "shot.png")
    run(page, "Describe screen", tmp_path / "shot.png")
    assert "not read" in finished(page)


def test_problems_are_sentences_and_the_fields_stay(page, tmp_path):
    alert = page.locator("#app-problem")
    page.get_by_role("button", name="Run").click()
    assert alert.inner_text() == "Choose a file first."
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    run(page, "Locate", broken)
    assert alert.inner_text().startswith("Say what to find")
    page.get_by_label("What to find").fill("cat")
    page.get_by_role("button", name="Run").click()
    page.locator("#app-problem", has_text="cannot").or_(
        page.locator("#app-problem", has_text="broken")
    ).wait_for()
    assert page.get_by_label("What to find").input_value() == "cat"
    page.get_by_role("button", name="Extract", exact=True).click()
    page.get_by_label("JSON Schema of the values").fill("{")
    page.get_by_role("button", name="Run").click()
    assert alert.inner_text().startswith("The schema is not JSON")


def test_the_request_of_an_application_as_code_runs(page, answers, tmp_path):
    drawn = scene(1, size=(252, 168), counts={"red square": 3}, sides=(20, 40))
    answers(Oracle(lambda question: _about_red(question, drawn.boxes("red square"))))
    path = saved(tmp_path, drawn.pixels, "it's one.png")
    code = page.get_by_role("button", name="Code")
    code.click()
    assert page.locator("#app-problem").inner_text() == "Choose a file first."
    assert page.locator("#code").is_hidden()
    page.get_by_role("button", name="Locate", exact=True).click()
    page.get_by_label("What to find").fill("red square")
    run(page, "Locate", path)
    assert "red square: 3 found" in finished(page)
    code.click()
    assert "openai" not in page.locator("#code").inner_text()
    command, program = (page.locator(f"#{each}").inner_text() for each in ("curl", "python"))
    page.get_by_role("button", name="Close").click()
    with page.expect_response("**/v1/apps/locate") as response:
        page.get_by_role("button", name="Run").click()
    expected = response.value.json()
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
    for words in (["bash", "-c", command], [sys.executable, "-c", program]):
        done = subprocess.run(words, **options)
        assert _without_ids(json.loads(done.stdout)) == _without_ids(expected), done.stderr
    page.get_by_role("button", name="Conversation").click()
    code.click()
    assert "/v1/chat/completions" in page.locator("#curl").inner_text()
    assert "openai" in page.locator("#code").inner_text()
    page.get_by_role("button", name="Close").click()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_no_serious_violation(browser, server, tmp_path, scheme):
    page = browser.new_page(bypass_csp=True, color_scheme=scheme)
    page.goto(server.url)
    page.locator("#model option").first.wait_for(state="attached")
    found = {"conversation": serious(page.evaluate)}
    for name in ("Code", "Settings"):
        page.get_by_role("button", name=name).click()
        found[name] = serious(page.evaluate)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Applications").click()
    for app in ("Read", "Extract", "Locate", "Describe screen"):
        page.get_by_role("button", name=app, exact=True).click()
        found[app] = serious(page.evaluate)
    page.close()
    assert {name: each for name, each in found.items() if each} == {}


def test_code_with_a_key_reads_it_from_the_environment(page):
    script = """import("/page/code.js").then((it) => [
      it.plainProgram(() => ({ a: [null, true] }), [], true, "/v1/apps/read"),
      it.curlCommand(() => ({}), [], true, "/v1/apps/read")])"""
    program, command = page.evaluate(script)
    ast.parse(program)
    assert "import os\n" in program
    assert "f\"Bearer {os.environ['FINESIGHT_API_KEY']}\"" in program
    assert '"Authorization: Bearer $FINESIGHT_API_KEY"' in command


def _without_ids(value):
    return {name: each for name, each in value.items() if name not in ("id", "created")}


def test_stop_ends_an_application_on_the_server(page, server, monkeypatch, tmp_path):
    has_begun = threading.Event()

    def until_it_ends(self, *_):
        has_begun.set()
        while True:
            self.check()
            threading.Event().wait(0.005)

    monkeypatch.setattr(Asking, "respond", until_it_ends)
    Image.new("RGB", (280, 196), "white").save(tmp_path / "shot.png")
    run(page, "Describe screen", tmp_path / "shot.png")
    wait_until(has_begun.is_set)
    assert page.get_by_role("button", name="Conversation").is_disabled()
    page.get_by_role("button", name="Stop").click()
    page.locator("#app-state", has_text="stopped").wait_for()
    wait_until(server.is_idle)
    assert page.get_by_role("button", name="Conversation").is_enabled()


def test_the_conversation_keeps_its_files_while_applications_are_used(page, tmp_path):
    Image.new("RGB", (56, 56), "white").save(tmp_path / "one.png")
    page.get_by_role("button", name="Conversation").click()
    page.set_input_files("#files", tmp_path / "one.png")
    page.locator(".file", has_text="one.png").wait_for()
    page.get_by_role("button", name="Applications").click()
    assert page.locator("#figure").is_hidden()
    page.get_by_role("button", name="Conversation").click()
    assert page.locator(".file", has_text="one.png").is_visible()
    assert page.locator("#figure").is_visible()
