# SPDX-License-Identifier: Apache-2.0
"""A page is seen and touched in pixels of its screenshot; nothing reaches the network; nothing outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from finesight.browser.browser import Browser
from finesight.browser.keys import key_name
from finesight.browser.start import find_chromium
from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box, Point, Size
from tests.support.pages import FORM, needs_browser


@pytest.fixture(scope="module")
def form(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "form.html"
    path.write_text(FORM, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shared(form):
    """A browser at two pixels of the screenshot per pixel of the page."""
    with Browser(Size(200, 140), scale=2) as browser:
        yield browser


@pytest.fixture
def page(shared, form) -> Browser:
    shared.open(form)
    return shared


@needs_browser
def test_a_screenshot_shows_the_page_in_its_own_pixels(page):
    picture = page.screenshot()
    assert picture.size == (400, 280) == (page.size.width, page.size.height)
    assert picture.getpixel((2 * 50, 2 * 20)) == (255, 0, 0)
    assert picture.getpixel((2 * 70, 2 * 95)) == (0, 0, 255)


@needs_browser
def test_a_document_is_shown_in_a_viewport_of_its_own():
    with Browser(Size(200, 140), scale=2) as browser:
        browser.show(
            "<body style='background: #00f'><script>window.done = 1</script>", Size(60, 90)
        )
        assert browser.evaluate("[window.done, innerWidth, innerHeight]") == [1, 60, 90]
        assert browser.screenshot().size == (120, 180) == (browser.size.width, browser.size.height)
        browser.show("<img src='http://127.0.0.1/a.png'>", Size(60, 90))
        assert browser.blocked == ["http://127.0.0.1/a.png"]


@needs_browser
def test_a_click_lands_on_the_pixel_of_the_screenshot(page):
    page.click(Point(100, 40))
    page.click(Point(100, 40), button="right")
    page.click(Point(60, 180), count=2)
    events = page.evaluate("window.events")
    assert ["click", 50, 20, 0] in events
    assert ["contextmenu", 50, 20, 2] in events
    assert ["dblclick", 30, 90, 0] in events


@needs_browser
def test_text_goes_where_the_focus_is_and_keys_are_pressed_together(page):
    page.click(Point(100, 100))
    page.type_text("Ada é")
    page.press(["ctrl", "a"])
    page.press(["Backspace"])
    page.type_text("Bob")
    assert page.evaluate("document.getElementById('field').value") == "Bob"
    assert ["key", "a", True] in page.evaluate("window.events")


@needs_browser
def test_a_drag_presses_in_one_place_and_lets_go_in_another(page):
    page.drag(Point(60, 160), Point(200, 220))
    kinds = [each for each in page.evaluate("window.events") if each[0] in ("mousedown", "mouseup")]
    assert kinds == [["mousedown", 30, 80, 0], ["mouseup", 100, 110, 0]]


@needs_browser
def test_a_negative_number_scrolls_down_and_a_positive_one_up_again(page):
    top = "document.getElementById('long').scrollTop"
    page.scroll(-300, at=Point(300, 100))
    page.wait(0.3)
    assert page.evaluate(top) == 150
    page.scroll(300)
    page.wait(0.3)
    assert page.evaluate(top) == 0


@needs_browser
def test_elements_have_the_names_that_chromium_gives_them_and_boxes_of_the_screenshot(page):
    found = {(each.role, each.name): each.box for each in page.elements()}
    assert found["button", "Send the form"] == Box(40, 20, 160, 60)
    assert found["textbox", "Your name"] == Box(40, 80, 240, 120)
    assert page.boxes("#pad") == [Box(40, 140, 240, 240)]
    assert page.boxes("#nowhere") == []


@needs_browser
def test_a_point_outside_and_an_unknown_key_are_refused(page):
    with pytest.raises(ActionRefused, match=r"\(400, 10\) lies outside the screen of 400 x 280"):
        page.click(Point(400, 10))
    with pytest.raises(ActionRefused, match="key 'hyper' is unknown"):
        page.press(["hyper"])
    with pytest.raises(ActionRefused, match="the list of keys is empty"):
        page.press([])


@needs_browser
def test_what_a_script_throws_is_said(page):
    with pytest.raises(ScreenUnavailable, match=r"running a script: .*the lamp is broken"):
        page.evaluate("() => { throw new Error('the lamp is broken') }")
    assert page.evaluate("([a, b]) => a + b", [2, 3]) == 5


@needs_browser
def test_only_local_pages_are_opened(page, tmp_path):
    for address in ("https://example.org/", "http://127.0.0.1/", str(tmp_path / "no.html")):
        with pytest.raises(ScreenUnavailable, match="is not a file"):
            page.open(address)
    page.open("data:text/html,<title>here</title>")
    assert page.evaluate("document.title") == "here"


@needs_browser
def test_nothing_reaches_a_server_and_what_was_asked_for_is_written_down(shared, tmp_path):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"127.0.0.1:{server.server_port}"
    page = tmp_path / "curious.html"
    page.write_text(
        f"""<img src="http://{base}/picture"><iframe src="http://{base}/frame"></iframe><script>
        window.said = fetch("http://{base}/fetch").then(() => "reached", () => "refused");
        window.socket = new Promise((done) => {{
          const socket = new WebSocket("ws://{base}/socket");
          socket.onclose = () => done("closed");
        }});</script>""",
        encoding="utf-8",
    )
    before = len(shared.blocked)
    try:
        shared.open(page)
        assert shared.evaluate("window.said") == "refused"
        assert shared.evaluate("window.socket") == "closed"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == []
    blocked = shared.blocked[before:]
    assert {each.rpartition("/")[2] for each in blocked} == {
        "picture",
        "frame",
        "fetch",
        "socket",
    }


@needs_browser
def test_it_works_from_any_thread(page):
    sizes = []
    thread = threading.Thread(target=lambda: sizes.append(page.screenshot().size))
    thread.start()
    thread.join()
    assert sizes == [(400, 280)]


@needs_browser
def test_a_page_that_hangs_is_ended_and_so_is_its_browser(monkeypatch):
    monkeypatch.setattr("finesight.browser.browser._GRACE_SECONDS", 0.5)
    browser = Browser(Size(50, 50), timeout_seconds=20)
    process_id = browser._running.process_id
    browser.timeout_seconds = 0.5
    with pytest.raises(ScreenUnavailable, match="running a script: the page did not respond for"):
        browser.evaluate("() => { for (;;) {} }")
    assert is_gone(process_id)
    with pytest.raises(ScreenUnavailable, match="the browser is closed"):
        browser.screenshot()
    browser.close()


@needs_browser
def test_a_browser_that_dies_is_reported_at_the_next_call(form):
    with Browser(Size(50, 50)) as browser:
        browser.open(form)
        os.kill(browser._running.process_id, signal.SIGKILL)
        with pytest.raises(ScreenUnavailable, match="the page crashed"):
            browser.screenshot()


@needs_browser
def test_no_process_is_left_after_an_exception(form):
    seen = []

    def fail():
        with Browser(Size(50, 50)) as browser:
            seen.append(browser._running.process_id)
            browser.open(form)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_gone(seen[0])


@needs_browser
def test_no_process_is_left_when_we_are_killed():
    script = (
        "from finesight.browser.browser import Browser; from finesight.geometry import Size\n"
        "print(Browser(Size(50, 50))._running.process_id, flush=True)\nimport time; time.sleep(600)"
    )
    ours = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert ours.stdout is not None
    process_id = int(ours.stdout.readline())
    assert not is_gone(process_id, patience=0)
    ours.kill()
    ours.wait()
    ours.stdout.close()
    assert is_gone(process_id)


def test_a_missing_program_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch):
    with pytest.raises(ScreenUnavailable, match=r"no Chromium at .*nowhere") as caught:
        find_chromium(tmp_path / "nowhere")
    assert "make setup-web" in caught.value.hint
    monkeypatch.setattr("finesight.browser.start.NAMES", ("no-such-program",))
    with pytest.raises(ScreenUnavailable, match="none of no-such-program is on the path"):
        find_chromium()


def test_a_missing_package_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch):
    program = tmp_path / "chromium"
    program.touch()
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(ScreenUnavailable, match="playwright is missing") as caught:
        Browser(Size(50, 50), executable=program)
    assert "finesight[web]" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("ctrl", "Control"),
        ("Return", "Enter"),
        ("Page_Down", "PageDown"),
        ("arrowleft", "ArrowLeft"),
        ("left", "ArrowLeft"),
        ("shiftleft", "Shift"),
        ("F5", "F5"),
        ("a", "a"),
        (" ", "Space"),
    ],
)
def test_keys_go_by_the_names_that_models_use(said, known):
    assert key_name(said) == known


def is_gone(process_id: int, *, patience: float = 10.0) -> bool:
    """Whether a process has ended, or does so within some seconds; one that nobody has reaped has ended."""
    until = time.monotonic() + patience
    while True:
        try:
            state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state.rpartition(")")[2].split()[0] == "Z":
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
