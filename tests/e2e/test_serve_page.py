# SPDX-License-Identifier: Apache-2.0
"""The page of `finesight serve` in Chromium: files, answers, marks, timeline, documents, code, keys."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.support.pages import needs_browser
from tests.support.running_server import running_server

pytestmark = needs_browser
MEDIA = Path(__file__).parents[2] / "examples" / "media"
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    "<a href='javascript:window.hacked=1'>a</a><svg onload='window.hacked = 1'></svg>"
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    from finesight.browser.start import find_chromium

    fake_camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=find_chromium(),
            chromium_sandbox=os.geteuid() != 0,
            args=list(fake_camera),
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address():
    with running_server() as url:
        yield url


@pytest.fixture
def page(browser, address):
    """The page, with all that goes wrong in it and all that it asks other servers for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    allowed = ["clipboard-read", "clipboard-write", "camera"]
    context.grant_permissions(allowed, origin=address)
    opened = context.new_page()
    opened.faults = []
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else opened.faults.append(request.url)
        ),
    )
    opened.goto(address)
    opened.locator("#model option").first.wait_for(state="attached")
    yield opened
    context.close()
    assert opened.faults == []


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A red circle in (144, 58, 194, 108) of 280 x 196 pixels."""
    path = tmp_path_factory.mktemp("shapes") / "shape's $(1).png"
    picture = Image.new("RGB", (280, 196), "white")
    ImageDraw.Draw(picture).ellipse((144, 58, 194, 108), fill=(214, 32, 40))
    picture.save(path)
    return path


def drop(page, path, kind):
    """Drop a file on the page, as a file manager does."""
    data = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """([data, name, type]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type }));
            document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [data, path.name, kind],
    )
    page.locator(".file", has_text=path.name).wait_for()


def ask(page, text):
    page.get_by_label("Question", exact=True).fill(text)
    page.keyboard.press("Enter")


def answered(page):
    """The text of the last answer, when it is complete."""
    page.locator(".turn").last.locator(".answer:not(.writing)").wait_for()
    return page.locator(".answer").last.inner_text()


def fake_answer(page, text, finesight=None, media=()):
    """Let the next questions be answered with `text`, as the server would send it."""
    found = {"boxes": [], "points": [], "events": [], "tool_calls": [], "document": None,
             "document_media_index": None, "truncated": False, "problems": [], "notes": []}  # fmt: skip
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop", "finesight": found | (finesight or {})}  # fmt: skip
    chunks = [{"choices": [delta]}, {"choices": [last], "media": list(media)}]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            body="".join(lines) + "data: [DONE]\n\n", content_type="text/event-stream"
        ),
    )


def medium(kind, width, height):
    return {"kind": kind, "original": {"width": width, "height": height}, "notes": []}


def test_a_box_is_drawn_on_the_dropped_picture_where_the_model_found_it(page, shapes):
    drop(page, shapes, "image/png")
    ask(page, "Locate every red circle in the image and output the coordinates in JSON format.")
    box = page.locator("rect.mark")
    box.wait_for()
    picture, drawn = page.locator("#frame img").bounding_box(), box.bounding_box()
    scale = picture["width"] / 280
    assert scale == pytest.approx(picture["height"] / 196, rel=0.01)
    corners = (
        (drawn["x"] - picture["x"]) / scale,
        (drawn["y"] - picture["y"]) / scale,
        (drawn["x"] - picture["x"] + drawn["width"]) / scale,
        (drawn["y"] - picture["y"] + drawn["height"]) / scale,
    )
    # Six pixels are what the small model is off by at most here, and three what the line adds.
    assert corners == pytest.approx((144, 58, 194, 108), abs=9)
    assert "red circle" in page.locator("#found").inner_text()


def test_a_box_and_its_entry_in_the_list_are_highlighted_together(page, shapes):
    drop(page, shapes, "image/png")
    ask(page, "Locate every red circle in the image and output the coordinates in JSON format.")
    box, entry = page.locator("rect.mark"), page.locator("#found button")
    entry.hover()
    assert "active" in box.get_attribute("class")
    box.hover()
    assert "active" in entry.get_attribute("class")
    page.get_by_role("heading", level=1).hover()
    assert "active" not in entry.get_attribute("class")
    entry.focus()
    assert "active" in box.get_attribute("class")


def test_several_turns_keep_their_pictures_and_answers(page, shapes):
    drop(page, shapes, "image/png")
    ask(page, "Point to the red circle.")
    answered(page)
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "And now?")
    answered(page)
    messages = sent.value.post_data_json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"][0]["type"] == "image_url"
    assert messages[2]["content"] == [{"type": "text", "text": "And now?"}]
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".turn").count() == 0


@pytest.mark.parametrize("where", ["text", "label", "document"])
def test_an_answer_is_never_run_as_html(page, shapes, where):
    found, media = {}, [medium("image", 280, 196)]
    if where == "label":
        box = {"box": [1, 2, 30, 40], "label": HOSTILE, "media_index": 0}
        found = {"boxes": [box]}
    if where == "document":
        plain = {"variant": "", "level": 0, "box": None, "clipped": False, "is_cut": False}
        cell = {"text": HOSTILE, "is_header": False, "colspan": 1, "rowspan": 1}
        blocks = [
            {"kind": "paragraph", "text": HOSTILE, **plain},
            {"kind": "table", "text": "", "rows": [[cell]], **plain},
        ]
        found = {"document": {"blocks": blocks}, "document_media_index": 0}
    fake_answer(page, HOSTILE, found, media)
    drop(page, shapes, "image/png")
    ask(page, "QwenVL HTML")
    assert HOSTILE in answered(page)
    shown = {"text": ".answer", "label": "#found", "document": "#document td"}[where]
    assert "<script>" in page.locator(shown).inner_text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main a, main svg[onload], main img[onerror]").count() == 0


def test_the_content_policy_forbids_scripts_in_the_page_and_other_servers(page):
    policy = page.request.get(page.url).headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    ran = page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
            return window.hacked ?? null;
        }"""
    )
    assert ran is None


def test_stop_ends_an_answer_and_keeps_what_was_written(page, address):
    ask(page, "Count: 1 2 3 4 5 6 7 8 9")
    answered(page)  # the answer of the tiny model is short: a longer one is forced below
    page.route("**/v1/chat/completions", lambda route: route.continue_(post_data=_endless(route)))
    ask(page, "Go on.")
    page.locator(".answer.writing:not(:empty)").wait_for()
    page.get_by_role("button", name="Stop").click()
    text = answered(page)
    assert 0 < len(text) < 4000
    assert "stopped" in page.locator(".facts").last.inner_text()
    page.unroute("**/v1/chat/completions")
    page.wait_for_function(
        """async () => (await (await fetch("/metrics")).text()).includes("finesight_active_requests 0.0")"""
    )


def _endless(route):
    """The request with an answer that the grammar makes long."""
    body = route.request.post_data_json
    return {**body, "structured_outputs": {"regex": "[a-f]{4000}"}, "max_tokens": 4000}


def test_escape_stops_as_the_button_does(page):
    page.route("**/v1/chat/completions", lambda route: route.continue_(post_data=_endless(route)))
    ask(page, "Go on.")
    page.locator(".answer.writing:not(:empty)").wait_for()
    page.keyboard.press("Escape")
    answered(page)
    assert "stopped" in page.locator(".facts").last.inner_text()


def test_the_pages_of_a_pdf_are_shown_and_a_document_stands_beside_its_page(page, pdf_file):
    drop(page, pdf_file, "application/pdf")
    assert page.get_by_role("tab").all_inner_texts() == [f"three.pdf, page {n}" for n in (1, 2, 3)]
    ask(page, "Read all the text in the image.")
    answered(page)
    assert page.locator("#problem").is_hidden()
    plain = {"variant": "", "level": 1, "clipped": False, "is_cut": False}
    block = {"kind": "heading", "text": "Title", "box": [10, 20, 60, 50], **plain}
    found = {"document": {"blocks": [block]}, "document_media_index": 1}
    fake_answer(page, "<h1>Title</h1>", found, [medium("image", 100, 100)] * 3)
    ask(page, "QwenVL HTML")
    answered(page)
    assert page.get_by_role("tab", selected=True).inner_text() == "three.pdf, page 2"
    title = page.locator("#document h2")
    assert title.inner_text() == "Title"
    title.hover()
    assert "active" in page.locator("rect.mark").get_attribute("class")


def test_pages_of_a_pdf_can_be_chosen(page, pdf_file):
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Pages of a PDF").fill("2-3")
    page.get_by_role("button", name="Close").click()
    drop(page, pdf_file, "application/pdf")
    assert page.get_by_role("tab").all_inner_texts() == [f"three.pdf, page {n}" for n in (2, 3)]
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "Read all the text in the image.")
    assert sent.value.post_data_json["messages"][0]["content"][0]["pages"] == "2-3"
    answered(page)
    assert page.locator("#problem").is_hidden()


def test_a_video_is_answered_and_its_events_seek_it(page):
    drop(page, MEDIA / "sign.mp4", "video/mp4")
    ask(page, "What is written here?")
    assert "station" in answered(page)
    event = {"start_seconds": 1.5, "end_seconds": 2.0, "label": "the sign turns", "media_index": 0}
    fake_answer(page, "[]", {"events": [event]}, [medium("video", 282, 60)])
    ask(page, "When does the sign turn?")
    answered(page)
    button = page.locator("#timeline button")
    bar, drawn = page.locator("#timeline").bounding_box(), button.bounding_box()
    assert (drawn["x"] - bar["x"]) / bar["width"] == pytest.approx(0.5, abs=0.02)  # of 3 seconds
    button.click()
    assert page.evaluate("document.querySelector('#frame video').currentTime") == 1.5
    assert "0:01.5 – 0:02.0" in page.locator("#found").inner_text()


def test_the_request_as_code_runs(page, shapes):
    drop(page, shapes, "image/png")
    text = 'Read "all" the $text`\\ in the image.'
    page.get_by_label("Question", exact=True).fill(text)
    page.get_by_role("button", name="Code").click()
    page.get_by_role("button", name="Copy the request, curl").click()
    command = page.evaluate("navigator.clipboard.readText()")
    program = page.locator("#python").inner_text()
    page.get_by_role("button", name="Close").click()
    with page.expect_request("**/v1/chat/completions"):
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Send").click()
    shown = answered(page)
    options = {"cwd": shapes.parent, "capture_output": True, "text": True, "timeout": 120}
    lines = subprocess.run(["bash", "-c", command], **options).stdout.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert (
        "".join(choice["delta"].get("content", "") for choice in choices).strip() == shown.strip()
    )
    printed = subprocess.run([sys.executable, "-c", program], **options)
    assert printed.stdout.strip() == shown.strip()


def test_errors_are_sentences_and_the_question_is_kept(page, tmp_path, shapes):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    drop(page, broken, "image/png")
    ask(page, "What is this?")
    problem = page.get_by_role("alert")
    problem.wait_for()
    assert "broken" in problem.inner_text() or "cannot" in problem.inner_text()
    assert page.get_by_label("Question", exact=True).input_value() == "What is this?"
    assert page.locator(".turn").count() == 0
    page.get_by_role("button", name="Remove broken.png").click()
    assert page.locator(".file").count() == 0


def test_the_page_needs_no_key_and_the_api_does(browser, tmp_path):
    from finesight.server.keys import new_key

    secret, line = new_key("someone")
    keys = tmp_path / "keys"
    keys.write_text(line + "\n")
    with running_server("--api-keys", str(keys)) as url:
        opened = browser.new_page()
        opened.goto(url)
        opened.locator("#problem:not([hidden])").wait_for()
        assert "API key" in opened.get_by_role("alert").inner_text()
        addresses = []
        opened.on("request", lambda request: addresses.append(request.url))
        opened.get_by_role("button", name="Settings").click()
        opened.get_by_label("API key").fill(secret)
        opened.get_by_role("button", name="Close").click()
        opened.locator("#model option").first.wait_for(state="attached")
        ask(opened, "Hello")
        answered(opened)
        assert not any(secret in address for address in addresses)
        opened.get_by_role("button", name="Code").click()
        assert secret not in opened.locator("#code").inner_text()
        assert "$FINESIGHT_API_KEY" in opened.locator("#curl").inner_text()
        opened.close()


def test_everything_can_be_reached_by_the_keyboard_and_has_a_name(page):
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea")]
            .filter((each) => !(each.textContent.trim() || each.getAttribute("aria-label")
                || each.labels?.length)).map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    seen = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    assert {
        "model",
        "open-settings",
        "open-code",
        "clear",
        "question",
        "files",
        "camera",
        "send",
    } <= seen


def test_the_camera_streams_frames_and_questions_are_about_them(page):
    page.get_by_role("button", name="Camera").click()
    page.get_by_text("frames kept").wait_for()
    assert page.evaluate("document.querySelector('#frame video').videoWidth") > 0
    for text in ("What is shown?", "And now?"):
        ask(page, text)
        answered(page)
        assert page.locator("#problem").is_hidden()
        assert "visual tokens" in page.locator(".facts").last.inner_text()
    page.get_by_role("button", name="Stop camera").click()
    assert page.locator("#frame video").count() == 0
    assert page.locator("#live-state").inner_text() == ""
    ask(page, "Hello")  # without frames again
    answered(page)
    assert page.locator("#problem").is_hidden()


def test_settings_and_the_model_are_those_of_the_request(page, shapes):
    assert page.get_by_label("Model", exact=True).input_value() == "tiny"
    page.get_by_role("button", name="Settings").click()
    fields = {
        "Longest answer": "7",
        "Temperature": "0.5",
        "Most pixels": "15680",
        "Frames per second": "1.5",
    }
    for label, value in fields.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Close").click()
    drop(page, shapes, "image/png")
    drop(page, MEDIA / "sign.mp4", "video/mp4")
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "What is shown?")
    answered(page)
    body = sent.value.post_data_json
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("tiny", 7, 0.5)
    picture, video, _ = body["messages"][0]["content"]
    assert picture["max_pixels"] == video["max_pixels"] == 15680
    assert (video["fps"], "fps" in picture) == (1.5, False)
    assert page.locator("#problem").is_hidden()


def test_a_pasted_picture_is_attached(page, shapes):
    data = base64.b64encode(shapes.read_bytes()).decode()
    page.evaluate(
        """(data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
            document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        data,
    )
    page.locator(".file", has_text="image.png").wait_for()
    ask(page, "Point to the red circle.")
    page.locator("circle.mark").wait_for()


def test_marks_stay_in_place_when_the_window_changes(page, shapes):
    drop(page, shapes, "image/png")
    ask(page, "Locate every red circle in the image and output the coordinates in JSON format.")
    page.locator("rect.mark").wait_for()

    def share():
        picture = page.locator("#frame img").bounding_box()
        mark = page.locator("rect.mark").bounding_box()
        return (mark["x"] - picture["x"]) / picture["width"], mark["width"] / picture["width"]

    before = share()
    page.set_viewport_size({"width": 500, "height": 700})
    assert share() == pytest.approx(before, abs=0.01)
