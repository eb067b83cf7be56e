# SPDX-License-Identifier: Apache-2.0
"""An Android phone or emulator as a screen, controlled through the protocol of `adb`.

The screen is the picture of `screencap`: its size follows the rotation of the phone, which `wm size` does not. Steps
are those of `mobile_use`; `Menu` opens the recent apps (key 187), as its description in the tool says.

`input text` types ASCII only. Other text needs the keyboard app ADBKeyBoard on the phone, and is refused without it.
"""

from __future__ import annotations

import base64
import io
import re
import shlex
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from PIL import Image

from finesight.elements import ScreenElement, control_at
from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act, ToolName
from finesight.screen.effect import settled
from finesight.screen.environment import Observation

if TYPE_CHECKING:
    from adbutils import AdbDevice

HINT = "install the client with pip install 'finesight[agents]'; `adb devices` lists the phones"
LONGEST_WAIT_SECONDS = 30.0
"""Time limit of the steps `wait` and `long_press`."""
SWIPE_SECONDS = 0.3
SETTLE_SECONDS = 3.0
"""Longest time to wait for a screen that keeps changing."""
BUTTONS = {"Back": 4, "Home": 3, "Menu": 187, "Enter": 66}
"""Key codes of the system buttons; 187 is APP_SWITCH."""
_KEYBOARD = "com.android.adbkeyboard/.AdbIME"
_KEY = re.compile(r"(?:KEYCODE_)?(\w{1,40})", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z]\w*(?:\.\w+)+", re.ASCII)
_BOUNDS = re.compile(r"\[(-?\d+),(-?\d+)\]\[(-?\d+),(-?\d+)\]")
_FOCUS = re.compile(r"mCurrentFocus=Window\{\S+ \S+ (\S+?)\}")
_LAUNCHABLE = shlex.split(
    "cmd package query-activities --brief -a android.intent.action.MAIN -c android.intent.category.LAUNCHER"
)


class Phone:
    """A phone behind an adb server.

    Args:
        serial: of the phone as `adb devices` lists it, or host:port to connect to; None takes the only one.
        apps: packages by the names under which they are opened; other names are looked up on the phone.
        port: of the adb server on this machine, which is started if it does not run.
        timeout_seconds: time limit of one command.

    Raises:
        ScreenUnavailable: adbutils is missing, there is no such phone, or several without a serial.
    """

    tool: ToolName = "mobile_use"

    def __init__(
        self,
        serial: str | None = None,
        *,
        apps: Mapping[str, str] | None = None,
        port: int = 5037,
        timeout_seconds: float = 20.0,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._apps = {_plain(name): package for name, package in (apps or {}).items()}
        self._device = _connected(serial, port, timeout_seconds)
        self._port = port
        self._is_ours = serial is not None and ":" in serial
        self._size: Size | None = None

    @property
    def serial(self) -> str:
        """Serial number of the phone."""
        return str(self._device.serial)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Model, Android version and size of the phone."""
        names = {"model": "ro.product.model", "android": "ro.build.version.release"}
        found = {name: self.shell("getprop", key).strip() for name, key in names.items()}
        size = self.size
        return {"screen": "phone", **found, "size": [size.width, size.height]}

    @property
    def size(self) -> Size:
        """Size of the last screenshot."""
        if self._size is None:
            self.screenshot()
        assert self._size is not None
        return self._size

    def screenshot(self) -> Image.Image:
        """The screen as an RGB picture.

        Raises:
            ScreenUnavailable: the phone does not answer, or its answer is no picture.
        """
        data = self._run("screencap", "-p")
        try:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
        except (OSError, SyntaxError) as error:
            raise ScreenUnavailable(
                f"phone {self.serial}: screencap sent {len(data)} bytes that are no picture: {error}",
                hint="is the screen on, and does it show an app that forbids screenshots?",
            ) from error
        self._size = Size(*picture.size)
        return picture

    def observe(self) -> Observation:
        """The screen once it has settled; the place is the package and activity in front."""
        picture = settled(self.screenshot, limit_seconds=SETTLE_SECONDS)
        return Observation(screenshot=picture, place=self.focus)

    def element_at(self, point: Point) -> ScreenElement | None:
        """The control at a point."""
        return control_at(self.elements(), point)

    def focused(self) -> ScreenElement | None:
        """The field that gets the text."""
        return next((one for one in self.elements() if "focused" in one.states), None)

    def elements(self) -> list[ScreenElement]:
        """Role, name and box of the visible elements, as `uiautomator dump` lists them.

        Apps that draw their own controls may list none, or boxes as large as the screen.

        Raises:
            ScreenUnavailable: the phone does not answer, or has no list for this screen.
        """
        file = "/data/local/tmp/finesight.xml"
        said = self.shell("uiautomator", "dump", file)
        if "dumped to" not in said:  # the file would be that of an earlier screen
            raise ScreenUnavailable(
                f"phone {self.serial}: no list of elements: {said.strip()[:200]}"
            )
        text = self.shell("cat", file)
        try:
            tree = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise ScreenUnavailable(
                f"phone {self.serial}: the list of elements cannot be read: {error} ({said[:200]})"
            ) from error
        return [one for node in tree.iter("node") if (one := _element(node, self.size)) is not None]

    @property
    def focus(self) -> str:
        """Package and activity in front, such as com.android.settings/.Settings; empty if none has the focus."""
        found = _FOCUS.search(self.shell("dumpsys", "window"))
        return found[1] if found else ""

    def act(self, act: Act) -> None:
        """Perform one step of `mobile_use`.

        Raises:
            ActionRefused: the kind of step, a point, key, text or app is not possible.
            ScreenUnavailable: the phone does not answer.
        """
        match act.kind:
            case "click":
                self._input("tap", *self._place(act.point, act))
            case "long_press":
                place = self._place(act.point, act)
                self._input("swipe", *place, *place, _milliseconds(act.seconds or 1.0))
            case "swipe":
                ends = (*self._place(act.point, act), *self._place(act.point2, act))
                self._input("swipe", *ends, _milliseconds(SWIPE_SECONDS))
            case "type":
                self._type(act.text or "")
            case "key":
                self._input("keyevent", key_code(act.text or ""))
            case "system_button":
                if act.button not in BUTTONS:
                    raise ActionRefused(
                        f"button {act.button!r} is unknown", hint=f"known: {', '.join(BUTTONS)}"
                    )
                self._input("keyevent", BUTTONS[act.button])
            case "open":
                self._open(act.text or "")
            case "wait":
                time.sleep(min(act.seconds or 0.0, LONGEST_WAIT_SECONDS))
            case "terminate":
                pass
            case _:
                raise ActionRefused(f"step {act.kind!r} is not possible on a phone")

    def shell(self, *words: str) -> str:
        """Output of a command on the phone; each word is quoted.

        Raises:
            ScreenUnavailable: the phone does not answer.
        """
        return self._run(*words).decode("utf-8", errors="replace")

    def close(self) -> None:
        """End a connection that was made to host:port; the adb server keeps others for other programs."""
        from adbutils import AdbClient, AdbError

        if self._is_ours:
            with suppress(AdbError, OSError):  # the phone or the server may have ended
                AdbClient(host="127.0.0.1", port=self._port).disconnect(self.serial)

    def end_server(self) -> None:
        """End the adb server, and with it the connections of all programs that use it."""
        from adbutils import AdbClient, AdbError

        with suppress(AdbError, OSError, EOFError):
            AdbClient(host="127.0.0.1", port=self._port).server_kill()

    def _run(self, *words: str) -> bytes:
        from adbutils import AdbError

        try:
            # With the exit code, an answer that breaks off differs from an empty one.
            done = self._device.shell2(
                list(words), timeout=self.timeout_seconds, encoding=None, v2=True
            )
        except (AdbError, OSError, EOFError) as error:
            raise ScreenUnavailable(
                f"phone {self.serial}: {words[0]} was not carried out: {_reason(error)}",
                hint="is the phone still connected? `adb devices` shows its state",
            ) from error
        return bytes(done.stdout if done.stdout else done.output)

    def _input(self, *words: object) -> None:
        said = self.shell("input", *map(str, words)).strip()
        if said:  # it is silent if it succeeds
            raise ActionRefused(f"the phone refused input {words[0]}: {said.splitlines()[0][:200]}")

    def _place(self, point: Point | None, act: Act) -> tuple[int, int]:
        if point is None:
            raise ActionRefused(f"{act.kind} lacks a point")
        x, y, size = round(point.x), round(point.y), self.size
        if not (0 <= x < size.width and 0 <= y < size.height):
            raise ActionRefused(
                f"({point.x:g}, {point.y:g}) lies outside the screen of {size.width} x {size.height} pixels"
            )
        return x, y

    def _type(self, text: str) -> None:
        if text.isascii():
            for number, line in enumerate(text.split("\n")):
                if number:
                    self._input("keyevent", BUTTONS["Enter"])
                for piece in _pieces(line):
                    self._input("text", piece)
            return
        if _KEYBOARD not in self.shell("ime", "list", "-s", "-a"):
            first = next(letter for letter in text if not letter.isascii())
            raise ActionRefused(
                f"text with {first!r} cannot be typed: the phone's `input text` knows ASCII only",
                hint="install the keyboard app ADBKeyBoard on the phone",
            )
        self._type_by_keyboard(text)

    def _type_by_keyboard(self, text: str) -> None:
        """Type with ADBKeyBoard, and choose the previous keyboard again."""
        before = self.shell("settings", "get", "secure", "default_input_method").strip()
        self.shell("ime", "enable", _KEYBOARD)
        self.shell("ime", "set", _KEYBOARD)
        try:
            coded = base64.b64encode(text.encode()).decode()
            self.shell("am", "broadcast", "-a", "ADB_INPUT_B64", "--es", "msg", coded)
        finally:
            if "/" in before:
                self.shell("ime", "set", before)

    def _open(self, name: str) -> None:
        package = self._package(name)
        said = self.shell(*("monkey", "-p", package, "-c", "android.intent.category.LAUNCHER", "1"))
        if "No activities found" in said or "aborted" in said:
            raise ActionRefused(f"app {name!r} ({package}) cannot be opened: {said.strip()[:200]}")

    def _package(self, name: str) -> str:
        """The package of an app: by the given names, by its own name, else by a part of its name."""
        plain = _plain(name)
        if plain in self._apps:
            return self._apps[plain]
        listed = re.findall(r"^\s*([\w.]+)/", self.shell(*_LAUNCHABLE), re.MULTILINE)
        packages: list[str] = sorted({each for each in listed if _PACKAGE.fullmatch(each)})
        if name in packages:
            return name
        exact = [each for each in packages if plain in map(_plain, each.split("."))]
        found = exact or [each for each in packages if plain and plain in _plain(each)]
        if len(found) == 1:
            return found[0]
        what = f"fits {', '.join(found[:6])}" if found else "is on no app of the phone"
        raise ActionRefused(
            f"the name {name[:60]!r} {what}",
            hint="give the package, or its name in `apps`",
        )


def key_code(name: str) -> str:
    """A key event as `input keyevent` takes it; raises `ActionRefused` if the name is no word."""
    found = _KEY.fullmatch(name.strip().replace(" ", "_"))
    if found is None:
        raise ActionRefused(
            f"key event {name[:60]!r} has no valid name", hint='such as "volume_up" or "66"'
        )
    return found[1] if found[1].isdigit() else f"KEYCODE_{found[1].upper()}"


def _connected(serial: str | None, port: int, timeout_seconds: float) -> AdbDevice:
    try:
        from adbutils import AdbClient, AdbError, adb_path
    except ImportError as error:
        raise ScreenUnavailable(f"adbutils is missing: {error}", hint=HINT) from error
    try:
        # Started here, since adbutils would let it write to our standard output.
        subprocess.run(
            [adb_path(), "-P", str(port), "start-server"],
            check=True,
            capture_output=True,
            timeout=timeout_seconds,
        )
        client = AdbClient(host="127.0.0.1", port=port, socket_timeout=timeout_seconds)
        if serial is not None and ":" in serial:
            said = client.connect(serial, timeout=timeout_seconds)
            if "connected to" not in said:
                raise ScreenUnavailable(f"phone {serial} is not reached: {said}", hint=HINT)
        device = client.device(serial)
        state = device.get_state()
    except (AdbError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        which = "no phone is reached" if serial is None else f"phone {serial} is not reached"
        raise ScreenUnavailable(f"{which}: {_reason(error)}", hint=HINT) from error
    if state != "device":
        raise ScreenUnavailable(
            f"phone {device.serial} is {state}", hint="unlock it and allow debugging over USB"
        )
    return device


def _reason(error: Exception) -> str:
    said = " ".join(str(part) for part in error.args) or type(error).__name__
    return " ".join(said.split())[:200]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _pieces(line: str) -> list[str]:
    """Arguments of `input text`, which types `%s` as a space: a literal `%s` is typed in two pieces."""
    return [piece.replace(" ", "%s") for piece in re.split(r"(?<=%)(?=s)", line) if piece]


def _milliseconds(seconds: float) -> int:
    return round(1000 * min(seconds, LONGEST_WAIT_SECONDS))


def _element(node: ElementTree.Element, screen: Size) -> ScreenElement | None:
    """An element with a name, or one that can be touched; None for others and for one outside the screen."""
    found = _BOUNDS.fullmatch(node.get("bounds", ""))
    role = _ROLES.get(kind := node.get("class", "").rpartition(".")[2], kind)
    is_field, is_private = role == "textbox", node.get("password") == "true"
    text, description = node.get("text", ""), node.get("content-desc", "")
    if found is None or not (text or description or node.get("clickable") == "true"):
        return None
    box, _ = Box(*map(float, found.groups())).clipped(screen)
    if box.area <= 0:
        return None
    return ScreenElement(
        role=role,
        name=description or node.get("hint", "") or ("" if is_field else text),
        box=box,
        value=text if is_field and not is_private else "",
        states=tuple(name for name in _STATES if node.get(name) == "true")
        + (("disabled",) if node.get("enabled") == "false" else ()),
        traits={"type": "password"} if is_private else {},
    )


_STATES = ("checked", "focused", "selected")
_ROLES = {
    "AutoCompleteTextView": "textbox",
    "Button": "button",
    "CheckBox": "checkbox",
    "EditText": "textbox",
    "ImageButton": "button",
    "ImageView": "image",
    "RadioButton": "radio",
    "Spinner": "combobox",
    "Switch": "switch",
    "TextView": "StaticText",
}
"""Roles of Android's classes, in the names of Chromium's tree."""
