# SPDX-License-Identifier: Apache-2.0
"""Every step on a web page, seen by the page's own events, at four scales of the screenshot."""

from __future__ import annotations

from contextlib import closing

import pytest

from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Point, Size
from finesight.screen.act import Act
from finesight.screen.web import WebScreen
from tests.support.pages import FORM, needs_browser

pytestmark = needs_browser


def test_a_file_address_with_a_blank_opens(tmp_path):
    path = tmp_path / "my page" / "é.html"
    path.parent.mkdir()
    path.write_text("<title>t</title>", encoding="utf-8")
    with closing(WebScreen(path.as_uri(), size=Size(200, 140))) as screen:
        assert screen.observe().place == path.as_uri()


@pytest.mark.parametrize(
    "scale", [1, 2, *(pytest.param(each, marks=pytest.mark.slow) for each in (1.5, 3))]
)
def test_every_step_reaches_the_page(tmp_path, scale):
    path = tmp_path / "form.html"
    path.write_text(FORM, encoding="utf-8")
    with closing(WebScreen(path, size=Size(200, 140), scale=scale)) as screen:

        def events():
            return screen.browser.evaluate("window.events.splice(0)")

        def at(x, y):
            return Point(x * scale, y * scale)

        seen = screen.observe()
        assert seen.screenshot.size == (200 * scale, 140 * scale)
        assert seen.place == path.as_uri()
        for kind, event, button in (
            ("left_click", "click", 0),
            ("right_click", "contextmenu", 2),
            ("middle_click", "mousedown", 1),
            ("double_click", "dblclick", 0),
        ):
            screen.act(Act(kind=kind, point=at(50, 20)))
            found = [each for each in events() if each[0] == event]
            assert found, kind
            assert abs(found[0][1] - 50) <= 1
            assert abs(found[0][2] - 20) <= 1
            assert found[0][3] == button
        screen.act(Act(kind="mouse_move", point=at(30, 80)))
        screen.act(Act(kind="left_click_drag", point=at(90, 110)))
        found = events()
        assert ["mousedown", 30, 80, 0] in found
        assert ["mouseup", 90, 110, 0] in found
        screen.act(Act(kind="scroll", point=at(150, 50), pixels=-60.0 * scale))
        assert screen.browser.evaluate("document.getElementById('long').scrollTop") == 60
        screen.act(Act(kind="left_click", point=at(60, 50)))
        screen.act(Act(kind="type", text="Ada é 你"))
        assert screen.focused().value == "Ada é 你"
        assert screen.element_at(at(60, 50)).name == "Your name"
        screen.act(Act(kind="key", keys=("ctrl", "a")))
        assert ["key", "a", True] in events()
        screen.act(Act(kind="wait", seconds=0.1))
        screen.act(Act(kind="terminate", status="success"))
        names = {(each.role, each.name) for each in screen.elements()}
        assert {("button", "Send the form"), ("textbox", "Your name")} <= names
        for wrong in (
            Act(kind="swipe"),
            Act(kind="left_click", point=at(500, 5)),
            Act(kind="open_url", text="file:///etc/hostname"),
        ):
            with pytest.raises(ActionRefused):
                screen.act(wrong)


def test_new_windows_are_followed_and_private_fields_known(tmp_path):
    (tmp_path / "other.html").write_text("<h1>Other</h1>", encoding="utf-8")
    first = tmp_path / "first.html"
    first.write_text(
        "<a href=other.html target=_blank>open</a><label>Code <input type=password value=1234></label>",
        encoding="utf-8",
    )
    with closing(WebScreen(first, size=Size(300, 200))) as screen:
        private = [each for each in screen.elements() if each.traits.get("type") == "password"]
        assert [each.role for each in private] == ["textbox"]
        link = next(each for each in screen.elements() if each.role == "link")
        screen.act(Act(kind="left_click", point=link.box.center))
        screen.browser.wait(0.3)
        seen = screen.observe()
        assert "a new window is shown" in seen.notices[0]
        assert screen.observe().place.endswith("other.html")
        assert any(each.name == "Other" for each in screen.elements())


def test_a_page_that_is_gone_says_so(tmp_path):
    with pytest.raises(ScreenUnavailable, match="is not a file"):
        WebScreen(tmp_path / "missing.html")


OPENER = """<body style="margin:0"><button style="width:100px;height:40px" onclick="
  const opened = window.open('');
  const size = 'style=width:100px;height:40px';
  opened.document.write(`<body style=margin:0><button ${size} onclick=window.close()>Done</button>`);
">Sign in</button></body>"""


def test_a_window_that_closes_itself_gives_way_to_the_one_before(tmp_path):
    path = tmp_path / "opener.html"
    path.write_text(OPENER, encoding="utf-8")
    click = Act(kind="left_click", point=Point(50, 20))
    with closing(WebScreen(path, size=Size(200, 140))) as screen:
        first = screen.observe()
        screen.act(click)
        assert "a new window is shown" in screen.observe().notices[0]
        assert screen.element_at(click.point).name == "Done"
        screen.act(click)
        last = screen.observe()
        assert last.place == first.place == path.as_uri()
        assert "the window closed" in last.notices[0]
        assert screen.element_at(click.point).name == "Sign in"
