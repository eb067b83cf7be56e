# SPDX-License-Identifier: Apache-2.0
"""A desktop of X11 programs as a screen: a display of its own, or the one that a user works on.

Steps are performed by xdotool. Pictures are those of the whole display, so their pixels are those of the mouse. The
accessibility tree (AT-SPI) is read by a separate process, since its bindings belong to Debian's Python. It serves
checks by code; a model sees pixels alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageGrab

from finesight.elements import ScreenElement, control_at
from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act, ToolName
from finesight.screen.display import SYSTEM_PYTHON, Display
from finesight.screen.effect import settled
from finesight.screen.environment import Observation
from finesight.screen.keyboard import Keyboard, x11_name

SCREEN = Size(1280, 800)
"""Default size of a display."""
SETTLE_SECONDS = 2.0
"""Longest time to wait for a screen that keeps changing."""
PAUSE_SECONDS = 0.15
"""Pause after each step, in which the program reacts."""
LONGEST_WAIT_SECONDS = 30.0
"""Time limit of a step `wait`."""
WHEEL_PIXELS = 120
"""Pixels of the step `scroll` for one notch of the wheel; how far a notch scrolls is up to the program."""
_DRAG_STEPS = 12
_BUTTONS = {"left_click": 1, "double_click": 1, "middle_click": 2, "right_click": 3}


class Desktop:
    """A desktop and its programs.

    Args:
        programs: command lines of the programs to start on a display of its own.
        size: of that display.
        display: name of a running display such as ":0" to work on instead; nothing is started there.
        network: whether the programs may use the network.
        home: folder for the programs' files, kept afterwards; None takes a new one, removed at the end.
        timeout_seconds: time limit of one call, and of the start.

    Raises:
        ScreenUnavailable: a program is missing, or the display does not start.
    """

    tool: ToolName = "computer_use"

    def __init__(
        self,
        programs: Sequence[Sequence[str]] = (),
        *,
        size: Size = SCREEN,
        display: str | None = None,
        network: bool = False,
        home: Path | None = None,
        timeout_seconds: float = 20.0,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._display = Display(
            size, name=display, network=network, home=home, timeout_seconds=timeout_seconds
        )
        self._at: Point | None = None
        self._keyboard = Keyboard(self._call)
        try:
            for words in programs:
                self.start(words)
            self.size = Size(*self.screenshot().size)
        except BaseException:
            self.close()
            raise

    @property
    def display(self) -> str:
        """Name of the display."""
        return self._display.name

    @property
    def home(self) -> Path | None:
        """Home folder of the programs; None on a running display."""
        return self._display.home

    @property
    def facts(self) -> Mapping[str, Any]:
        """The display, its size, the programs, and whether they may use the network."""
        return {
            "screen": "desktop",
            "display": self.display,
            "size": [self.size.width, self.size.height],
            "programs": [list(words) for words in self._display.started],
            "network": self._display.network,
        }

    def start(self, words: Sequence[str]) -> None:
        """Start a program and wait until a window has the focus.

        Raises:
            ScreenUnavailable: it is missing, ends at once, or shows no window in time.
        """
        before = self._active_window()
        process = self._display.start(words)
        end = time.monotonic() + self.timeout_seconds
        while (window := self._active_window()) in ("", before):
            if process.poll() is not None:
                raise ScreenUnavailable(
                    f"{words[0]} ended with code {process.returncode} and showed no window: "
                    f"{self._display.messages()}"
                )
            if time.monotonic() > end:
                raise ScreenUnavailable(
                    f"{words[0]} showed no window for {self.timeout_seconds:g} s"
                )
            time.sleep(0.1)
        self._xdotool("windowactivate", "--sync", window)

    def screenshot(self) -> Image.Image:
        """The whole display as an RGB picture, without the mouse.

        Raises:
            ScreenUnavailable: the display has ended.
        """
        self._display.check()
        try:
            return ImageGrab.grab(xdisplay=self.display).convert("RGB")
        except OSError as error:
            raise ScreenUnavailable(f"display {self.display}: no screenshot: {error}") from error

    def observe(self) -> Observation:
        """The display once it has settled; the place is the title of the active window."""
        picture = settled(self.screenshot, limit_seconds=SETTLE_SECONDS)
        return Observation(screenshot=picture, place=self.title)

    @property
    def title(self) -> str:
        """Title of the active window; empty if there is none."""
        window = self._active_window()
        return self._xdotool("getwindowname", window).strip() if window else ""

    def elements(self) -> list[ScreenElement]:
        """Visible elements in tree order, as the programs describe them through AT-SPI.

        Raises:
            ScreenUnavailable: the display has ended, or the tree cannot be read.
        """
        script = Path(__file__).with_name("atspi_tree.py").read_text(encoding="utf-8")
        listed = self._call((SYSTEM_PYTHON, "-"), script)
        try:
            found = json.loads(listed)
        except json.JSONDecodeError as error:
            raise ScreenUnavailable(
                f"display {self.display}: the accessibility tree cannot be read: {error}"
            ) from error
        return [one for each in found if (one := _element(each, self.size)) is not None]

    def element_at(self, point: Point) -> ScreenElement | None:
        """The control at a point."""
        return control_at(self.elements(), point)

    def focused(self) -> ScreenElement | None:
        """The control that gets the keys."""
        title = self.title
        found = [one for one in self.elements() if "focused" in one.states]
        return next((one for one in found if one.traits.get("document") == title), None)

    def act(self, act: Act) -> None:
        """Perform one step of `computer_use`.

        Raises:
            ActionRefused: the kind of step, a point or a key is not possible.
            ScreenUnavailable: the display has ended.
        """
        match act.kind:
            case "left_click" | "right_click" | "middle_click" | "double_click":
                count = "2" if act.kind == "double_click" else "1"
                click = ("click", "--repeat", count, "--delay", "20", str(_BUTTONS[act.kind]))
                self._xdotool(*self._move(act), *click)
            case "mouse_move":
                self._xdotool(*self._move(act))
            case "left_click_drag":
                self._drag(act)
            case "scroll":
                self._scroll(act)
            case "type":
                self._type(act.text or "")
            case "key":
                if not act.keys:
                    raise ActionRefused("a step `key` names no key")
                self._xdotool("key", "--clearmodifiers", "+".join(map(x11_name, act.keys)))
            case "wait":
                time.sleep(min(act.seconds or 0.0, LONGEST_WAIT_SECONDS))
            case "terminate":
                return
            case _:
                raise ActionRefused(f"step {act.kind!r} is not possible on a desktop")
        time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """End the programs and the display, unless it was there before; a second call does nothing."""
        self._display.close()

    def _move(self, act: Act) -> tuple[str, ...]:
        """Words of xdotool that move the mouse to the point of a step, else leave it where it is."""
        place = act.point or self._at
        if place is None:
            raise ActionRefused(f"{act.kind} has no point, and the mouse has not been moved yet")
        x, y = round(place.x), round(place.y)
        if not (0 <= x < self.size.width and 0 <= y < self.size.height):
            raise ActionRefused(
                f"({place.x:g}, {place.y:g}) lies outside the screen of"
                f" {self.size.width} x {self.size.height} pixels"
            )
        self._at = place
        return ("mousemove", str(x), str(y))

    def _drag(self, act: Act) -> None:
        if self._at is None:
            raise ActionRefused("a drag starts at the mouse, which has not been moved yet")
        start = self._at
        last = self._move(act)
        end = self._at
        words = ["mousemove", str(round(start.x)), str(round(start.y)), "mousedown", "1"]
        for step in range(1, _DRAG_STEPS):
            share = step / _DRAG_STEPS
            x, y = start.x + share * (end.x - start.x), start.y + share * (end.y - start.y)
            words += ["mousemove", str(round(x)), str(round(y)), "sleep", "0.02"]
        self._xdotool(*words, *last, "sleep", "0.05", "mouseup", "1")

    def _scroll(self, act: Act) -> None:
        pixels = act.pixels or 0.0
        if pixels == 0:
            raise ActionRefused("a step `scroll` scrolls by 0 pixels")
        notches = max(1, round(abs(pixels) / WHEEL_PIXELS))
        moved = self._move(act) if act.point or self._at else ()
        button = "4" if pixels > 0 else "5"
        self._xdotool(*moved, "click", "--repeat", str(notches), "--delay", "20", button)

    def _type(self, text: str) -> None:
        for number, line in enumerate(text.split("\n")):
            if number:
                self._xdotool("key", "Return")
            for piece in self._keyboard.pieces(line):
                # Not as an argument, which all users of the machine can read.
                self._xdotool("type", "--clearmodifiers", "--delay", "8", "--file", "-", text=piece)

    def _active_window(self) -> str:
        done = self._display.run(("xdotool", "getactivewindow"))
        return done.stdout.strip() if done.returncode == 0 else ""

    def _xdotool(self, *words: str, text: str = "") -> str:
        return self._call(("xdotool", *words), text)

    def _call(self, words: Sequence[str], text: str = "") -> str:
        """Output of a program that has to succeed."""
        done = self._display.run(words, text)
        if done.returncode:
            raise ScreenUnavailable(
                f"display {self.display}: {Path(words[0]).name} {words[1]} failed with code {done.returncode}: "
                f"{done.stderr.strip()[-300:]}"
            )
        return str(done.stdout)


_HOLDERS = frozenset({"application", "filler", "panel", "scroll pane", "split pane", "viewport"})
"""Containers that are left out."""
_ROLES = {
    "check box": "checkbox",
    "check menu item": "menuitemcheckbox",
    "combo box": "combobox",
    "entry": "textbox",
    "frame": "window",
    "icon": "listitem",
    "label": "StaticText",
    "list item": "listitem",
    "menu bar": "menubar",
    "menu item": "menuitem",
    "page tab": "tab",
    "password text": "textbox",
    "push button": "button",
    "radio button": "radio",
    "radio menu item": "menuitemradio",
    "spin button": "spinbutton",
    "table cell": "cell",
    "text": "textbox",
    "toggle button": "button",
    "tool bar": "toolbar",
}
"""Roles of AT-SPI, in the names of Chromium's tree."""


def _element(given: Mapping[str, Any], screen: Size) -> ScreenElement | None:
    if given["role"] in _HOLDERS or given["box"] is None:
        return None
    left, top, right, bottom = map(float, given["box"])
    if right <= left or bottom <= top:
        return None
    box, _ = Box(left, top, right, bottom).clipped(screen)
    if box.area <= 0:
        return None
    role = _ROLES.get(given["role"], given["role"].replace(" ", ""))
    traits = {"document": str(given["window"])}
    if given["role"] == "password text":
        traits["type"] = "password"
    value = "" if "type" in traits or role == "StaticText" else str(given["text"])
    return ScreenElement(
        role, str(given["name"]).strip(), box, value, tuple(given["states"]), traits
    )
