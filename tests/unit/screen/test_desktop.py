# SPDX-License-Identifier: Apache-2.0
"""Steps on real X11 programs; what a step did is read from the accessibility tree, from files, or from xev."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Point, Size
from finesight.parse.action import Action
from finesight.screen.act import Act
from finesight.screen.desktop import Desktop, _element
from tests.support.screens import needs_desktop

pytestmark = needs_desktop


@pytest.fixture(scope="module")
def desktop():
    found = Desktop([["mousepad"], ["galculator"]], size=Size(1024, 768))
    yield found
    found.close()


def control(desktop, name, window):
    return next(
        one
        for one in desktop.elements()
        if one.name == name and window in one.traits["document"] and one.role != "StaticText"
    )


def click(desktop, name, window, kind="left_click"):
    desktop.act(Act(kind=kind, point=control(desktop, name, window).box.center))


def shown(desktop):
    """What the calculator shows."""
    return next(
        one.value
        for one in desktop.elements()
        if one.role == "textbox" and one.traits["document"] == "galculator"
    )


def text(desktop):
    """What stands in the editor."""
    return next(
        one.value
        for one in desktop.elements()
        if one.role == "textbox" and "Mousepad" in one.traits["document"]
    )


def test_clicks_press_the_buttons_of_a_calculator(desktop):
    assert desktop.title == "galculator"
    assert desktop.observe().place == "galculator"
    for name in ("AC", "1", "2", "*", "7", "="):
        click(desktop, name, "galculator")
    assert shown(desktop) == "84"


def test_keys_are_typed_into_the_active_window(desktop):
    click(desktop, "AC", "galculator")
    desktop.act(Act(kind="type", text="9*8"))
    desktop.act(Act(kind="key", keys=("Return",)))
    assert shown(desktop) == "72"


def test_an_editor_takes_text_of_every_script_and_keys(desktop):
    title = next(
        one for one in desktop.elements() if "Mousepad" in one.name and one.role == "window"
    )
    desktop.act(Act(kind="left_click", point=Point(title.box.x2 - 60, title.box.y2 - 60)))
    assert "Mousepad" in desktop.title
    typed = "Grüße 你好\n#x %s 'it' \"is\" $HOME `id` \\"
    desktop.act(Act(kind="type", text=typed))
    assert text(desktop) == typed
    assert desktop.focused().value == typed
    desktop.act(Act(kind="key", keys=("ctrl", "a")))
    many = "".join(chr(0x4E00 + 7 * index) for index in range(90)) + "äöüß €😀"
    desktop.act(Act(kind="type", text=many))
    assert text(desktop) == many
    desktop.act(Act(kind="key", keys=("ctrl", "a")))
    desktop.act(Act(kind="key", keys=("Delete",)))
    assert text(desktop) == ""
    desktop.act(Act(kind="key", keys=("shift", "a")))
    desktop.act(Act(kind="key", keys=("?",)))
    assert text(desktop) == "A?"


def test_a_double_click_selects_a_word_and_a_drag_a_line(desktop):
    box = next(
        one.box
        for one in desktop.elements()
        if one.role == "textbox" and "Mousepad" in one.traits["document"]
    )
    inside = Point(box.x2 - 60, box.y2 - 60)
    desktop.act(Act(kind="left_click", point=inside))
    for _ in range(3):  # on a machine that is busy two clicks can be too slow for a double click
        desktop.act(Act(kind="key", keys=("ctrl", "a")))
        desktop.act(Act(kind="type", text="first second\nlast"))
        desktop.act(Act(kind="double_click", point=Point(box.x1 + 15, box.y1 + 12)))
        desktop.act(Act(kind="type", text="1st"))
        if text(desktop) == "1st second\nlast":
            break
    assert text(desktop) == "1st second\nlast"
    desktop.act(Act(kind="mouse_move", point=Point(box.x1 + 1, box.y1 + 12)))
    desktop.act(Act(kind="left_click_drag", point=Point(box.x1 + 400, box.y1 + 12)))
    desktop.act(Act(kind="key", keys=("BackSpace",)))
    assert text(desktop) == "\nlast"


def test_a_right_click_opens_a_menu_and_escape_closes_it(desktop):
    box = next(
        one.box
        for one in desktop.elements()
        if one.role == "textbox" and "Mousepad" in one.traits["document"]
    )
    desktop.act(Act(kind="right_click", point=Point(box.x2 - 60, box.y2 - 60)))
    end = time.monotonic() + 10
    while not (found := [one for one in desktop.elements() if one.name == "Select All"]):
        assert time.monotonic() < end
    assert found
    desktop.act(Act(kind="key", keys=("esc",)))


def test_every_mouse_step_reaches_a_program_as_such():
    with_xev = Desktop([["xev", "-geometry", "400x300+50+50"]], size=Size(640, 480))
    try:
        at = Point(200, 200)
        steps = [
            (Act(kind="left_click", point=at), [1]),
            (Act(kind="middle_click"), [2]),
            (Act(kind="right_click"), [3]),
            (Act(kind="double_click"), [1, 1]),
            (Act(kind="scroll", pixels=-300), [5, 5]),
            (Act(kind="scroll", pixels=10, point=at), [4]),
        ]
        seen = 0
        for act, buttons in steps:
            with_xev.act(act)
            pressed = events(with_xev, "ButtonPress", len(buttons) + seen)[seen:]
            assert [button for _, _, button in pressed] == buttons, act.kind
            assert {(x, y) for x, y, _ in pressed} == {(200, 200)}
            seen += len(buttons)
    finally:
        with_xev.close()


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 3.0])
def test_a_click_lands_within_a_pixel_at_every_scale(scale):
    """The model sees 320 x 240 pixels of a larger screen."""
    size = Size(round(320 * scale), round(240 * scale))
    words = ["xev", "-geometry", f"{size.width}x{size.height}+0+0"]
    desktop = Desktop([words], size=size)
    try:
        points = [Point(21, 51), Point(160, 120), Point(299, 229)]
        for point in points:
            action = Action(tool="computer_use", kind="left_click", point_resized=point)
            desktop.act(Act.placed(action, (scale, scale)))
        for (x, y, _), point in zip(events(desktop, "ButtonPress", 3), points, strict=True):
            assert abs(x - scale * point.x) <= 1
            assert abs(y - scale * point.y) <= 1
    finally:
        desktop.close()


def events(desktop, kind, at_least):
    """Position on the screen and button of each event that xev has written."""
    end = time.monotonic() + 5
    while True:
        written = (desktop.home / "messages.log").read_text(errors="replace")
        found = re.findall(rf"{kind} event.*\n.*root:\((\d+),(\d+)\),\n.*button (\d)", written)
        if len(found) >= at_least or time.monotonic() > end:
            return [tuple(map(int, each)) for each in found]
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Act(kind="left_click", point=Point(1024, 5)), "outside the screen of 1024 x 768"),
        (Act(kind="left_click", point=Point(5, -1)), "outside the screen"),
        (Act(kind="key", keys=("hyperspace",)), "is unknown"),
        (Act(kind="key"), "names no key"),
        (Act(kind="scroll"), "0 pixels"),
        (Act(kind="swipe", point=Point(1, 1)), "not possible on a desktop"),
    ],
)
def test_a_step_that_is_not_possible_is_refused(desktop, act, reason):
    with pytest.raises(ActionRefused, match=reason):
        desktop.act(act)


def test_programs_have_neither_the_network_nor_the_files_of_the_user(desktop, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("mine")
    done = desktop._display.run(("cat", "/proc/net/dev"))
    assert [line.split(":")[0].strip() for line in done.stdout.splitlines()[2:]] == ["lo"]
    assert desktop._display.run(("sh", "-c", f"echo lost > {secret}")).returncode
    assert desktop._display.run(("ls", "/tmp")).stdout.split() == [desktop.home.name]
    assert secret.read_text() == "mine"
    assert desktop._display.run(("sh", "-c", "echo kept > note && id -u")).stdout == "1000\n"
    assert (desktop.home / "note").read_text() == "kept\n"


def test_a_display_that_ends_says_so_and_leaves_nothing_behind():
    desktop = Desktop(size=Size(320, 240))
    home, server = desktop.home, desktop._display._processes[0]
    try:
        with pytest.raises(ActionRefused, match="has not been moved yet"):
            desktop.act(Act(kind="left_click"))
        with pytest.raises(ActionRefused, match="a drag starts at the mouse"):
            desktop.act(Act(kind="left_click_drag", point=Point(3, 3)))
        with pytest.raises(ScreenUnavailable, match="no program 'frobnicate'"):
            desktop.start(["frobnicate"])
        with pytest.raises(ScreenUnavailable, match="showed no window"):
            desktop.start(["true"])
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        for call in (
            desktop.observe,
            desktop.elements,
            lambda: desktop.act(Act(kind="type", text="x")),
        ):
            with pytest.raises(ScreenUnavailable, match="has ended with code -9"):
                call()
    finally:
        desktop.close()
    assert not home.exists()
    with pytest.raises(ScreenUnavailable, match="is closed"):
        desktop.screenshot()


def test_a_running_display_is_used_and_nothing_is_started_on_it(desktop):
    second = Desktop(display=desktop.display)
    try:
        assert second.size == desktop.size
        assert second.title == desktop.title
        assert second.home is None
        with pytest.raises(ScreenUnavailable, match="not started on the running display"):
            second.start(["xev"])
    finally:
        second.close()
    desktop.screenshot()


def test_a_password_has_no_value():
    given = {"role": "password text", "name": "PIN", "box": [0, 0, 50, 20], "text": "1234"}
    found = _element({**given, "states": ["focused"], "window": "Login"}, Size(100, 100))
    assert (found.role, found.name, found.value) == ("textbox", "PIN", "")
    assert found.traits["type"] == "password"
