# SPDX-License-Identifier: Apache-2.0
"""The practice phone: a small set of Android's shell commands, carried out on a page of apps in Chromium.

    with PracticePhone() as practice:
        phone = Phone(practice.address)
        phone.act(Act(kind="open", text="Notes"))
        practice.state()["app"]     # "notes"

The page (`apps.html`) keeps the state of all apps, and `log` all commands, so that tests can see what was done.
"""

from __future__ import annotations

import base64
import io
import shlex
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from finesight.browser.browser import Browser
from finesight.elements import ScreenElement
from finesight.errors import FinesightError
from finesight.geometry import Point, Size
from finesight.screen.phone import Phone
from finesight.screen.practice.adbd import Adbd

PAGE = Path(__file__).with_name("apps.html")
VIEWPORT = Size(390, 844)
"""Size of the phone's page in CSS pixels."""
PREFIX = "org.practice."
"""Of the apps' packages."""
KEYBOARD = "com.android.adbkeyboard/.AdbIME"
PROPERTIES = {
    "ro.product.name": "practice",
    "ro.product.model": "Practice phone",
    "ro.product.device": "practice",
}
_LATIN_KEYBOARD = "com.android.inputmethod.latin/.LatinIME"
_TAP_SECONDS = 0.05
_KEYS = {
    "HOME": 3,
    "BACK": 4,
    "VOLUME_UP": 24,
    "VOLUME_DOWN": 25,
    "POWER": 26,
    "CAMERA": 27,
    "CLEAR": 28,
    "TAB": 61,
    "ENTER": 66,
    "DEL": 67,
    "MENU": 82,
    "APP_SWITCH": 187,
}
_NOT_FOUND = 127
Output = tuple[bytes | str, int]
"""What a command prints, and its exit code."""


class PracticePhone:
    """A phone with some apps, which listens for adb on loopback.

    Args:
        scale: pixels of the screen per CSS pixel.
        has_keyboard: whether ADBKeyBoard is installed, which types any text.

    Attributes:
        log: the commands that were run, in order, as words.

    Raises:
        ScreenUnavailable: Chromium or playwright is missing.
    """

    def __init__(self, *, scale: float = 1.0, has_keyboard: bool = False) -> None:
        self.log: list[list[str]] = []
        self._has_keyboard, self._keyboard = has_keyboard, _LATIN_KEYBOARD
        self._files: dict[str, str] = {}
        self._known: dict[str, Callable[[list[str]], Output]] = {
            "am": self._do_am,
            "cat": self._do_cat,
            "cmd": self._do_cmd,
            "dumpsys": self._do_dumpsys,
            "getprop": self._do_getprop,
            "ime": self._do_ime,
            "input": self._do_input,
            "monkey": self._do_monkey,
            "pm": self._do_pm,
            "screencap": self._do_screencap,
            "settings": self._do_settings,
            "uiautomator": self._do_uiautomator,
            "wm": self._do_wm,
        }
        self._browser = Browser(VIEWPORT, scale=scale)
        try:
            self._browser.open(PAGE)
            self._adbd = Adbd(self._shell, PROPERTIES)
        except BaseException:
            self._browser.close()
            raise

    @property
    def address(self) -> str:
        """Host and port, under which adb connects to it."""
        return f"127.0.0.1:{self._adbd.port}"

    def state(self) -> dict[str, Any]:
        """State of all apps."""
        return dict(self._browser.evaluate("phone.state"))

    def touches(self) -> list[list[Any]]:
        """Touch events of the page since its start: kind, x and y in CSS pixels."""
        return list(self._browser.evaluate("phone.touches"))

    def elements(self) -> list[ScreenElement]:
        """Elements of the page, read from the browser."""
        return self._browser.elements(nested=True)

    def drop(self) -> None:
        """End the connection, like a phone whose cable is pulled."""
        self._adbd.close()

    def close(self) -> None:
        """End the connection and the browser."""
        self._adbd.close()
        self._browser.close()

    def __enter__(self) -> PracticePhone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shell(self, line: str) -> tuple[bytes, int]:
        """Output and last exit code of a line: commands with `;` or `&&` between them, and `$?` for that code."""
        output, code = b"", 0
        for separator, words in _commands(line):
            if separator == "&&" and code:
                continue
            words = [word.replace("$?", str(code)) for word in words]
            said, code = self._carried_out(words)
            output += said if isinstance(said, bytes) else said.encode()
        return output, code

    def _carried_out(self, words: Sequence[str]) -> Output:
        name, rest = words[0], list(words[1:])
        if name == "echo":
            return " ".join(rest) + "\n", 0
        self.log.append(list(words))
        command = self._known.get(name)
        if command is None:
            return f"/system/bin/sh: {name}: inaccessible or not found\n", _NOT_FOUND
        try:
            return command(rest)
        except (FinesightError, IndexError, ValueError) as error:
            return f"Error: {error}\n", 1

    def _do_screencap(self, _: list[str]) -> Output:
        buffer = io.BytesIO()
        self._browser.screenshot().save(buffer, format="PNG")
        return buffer.getvalue(), 0

    def _do_input(self, words: list[str]) -> Output:
        kind, rest = words[0], words[1:]
        if kind == "tap":
            point = Point(float(rest[0]), float(rest[1]))
            self._browser.touch(point, point, _TAP_SECONDS)
        elif kind == "swipe":
            x1, y1, x2, y2, milliseconds = map(float, [*rest, "300"][:5])
            self._browser.touch(Point(x1, y1), Point(x2, y2), milliseconds / 1000)
        elif kind == "text":
            if not rest[0].isascii():
                return "Exception occurred while executing 'text': NullPointerException\n", 255
            self._browser.type_text(rest[0].replace("%s", " "))
        elif kind == "keyevent":
            return self._key(rest[0])
        else:
            return f"Error: Unknown command: {kind}\n", 255
        return "", 0

    def _key(self, name: str) -> Output:
        code = int(name) if name.isdigit() else _KEYS.get(name.removeprefix("KEYCODE_"))
        if code is None:
            return f"Error: Unknown keycode: {name}\n", 255
        pressed = {61: "Tab", 66: "Enter", 67: "Backspace"}.get(code)
        if pressed is not None:
            self._browser.press([pressed])
        else:
            self._browser.evaluate("code => phone.key(code)", code)
        return "", 0

    def _do_wm(self, words: list[str]) -> Output:
        size, scale = self._browser.size, self._browser.scale
        if words == ["density"]:
            return f"Physical density: {round(160 * scale)}\n", 0
        return f"Physical size: {size.width}x{size.height}\n", 0

    def _do_getprop(self, words: list[str]) -> Output:
        known = {**PROPERTIES, "ro.build.version.release": "0"}
        if words:
            return known.get(words[0], "") + "\n", 0
        return "".join(f"[{name}]: [{value}]\n" for name, value in known.items()), 0

    def _do_dumpsys(self, _: list[str]) -> Output:
        package = PREFIX + str(self.state()["app"])
        return f"  mCurrentFocus=Window{{1a2b3c u0 {package}/{package}.Main}}\n", 0

    def _do_uiautomator(self, words: list[str]) -> Output:
        root = ElementTree.Element("hierarchy", rotation="0")
        for each in self.elements():
            ElementTree.SubElement(root, "node", _node(each))
        file = (words[1:] or ["/sdcard/window_dump.xml"])[0]
        self._files[file] = ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
        return f"UI hierarchy dumped to: {file}\n", 0

    def _do_cat(self, words: list[str]) -> Output:
        if words[0] in self._files:
            return self._files[words[0]], 0
        return f"cat: {words[0]}: No such file or directory\n", 1

    def _packages(self) -> list[str]:
        return [PREFIX + each for each in self._browser.evaluate("phone.apps")]

    def _do_pm(self, _: list[str]) -> Output:
        return "".join(f"package:{each}\n" for each in self._packages()), 0

    def _do_cmd(self, _: list[str]) -> Output:
        return "".join(f"  {each}/.Main\n" for each in self._packages()), 0

    def _do_monkey(self, words: list[str]) -> Output:
        return self._open(words[words.index("-p") + 1])

    def _do_am(self, words: list[str]) -> Output:
        if words[0] == "start":
            return self._open(words[words.index("-n") + 1].partition("/")[0])
        if self._keyboard == KEYBOARD and "ADB_INPUT_B64" in words:
            self._browser.type_text(base64.b64decode(words[words.index("msg") + 1]).decode())
        return "Broadcast completed: result=0\n", 0

    def _open(self, package: str) -> Output:
        if package not in self._packages():
            return "** No activities found to run, monkey aborted.\n", 252
        self._browser.evaluate("app => phone.open(app)", package.removeprefix(PREFIX))
        return "Events injected: 1\n", 0

    def _do_ime(self, words: list[str]) -> Output:
        if words[0] == "set":
            self._keyboard = words[1]
        listed = [_LATIN_KEYBOARD, *([KEYBOARD] if self._has_keyboard else [])]
        return "".join(f"{each}\n" for each in listed) if words[0] == "list" else "", 0

    def _do_settings(self, _: list[str]) -> Output:
        return f"{self._keyboard}\n", 0


class PracticeScreen(Phone):
    """A practice phone as a screen, with an adb server of its own; closing it ends both.

    Args:
        scale: pixels of the screen per CSS pixel.

    Raises:
        ScreenUnavailable: Chromium, playwright or adbutils is missing.
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = int(server.getsockname()[1])
        self.practice = PracticePhone(scale=scale)
        try:
            super().__init__(self.practice.address, port=port)
        except BaseException:
            self.practice.close()
            raise

    def close(self) -> None:
        """End the connection, the adb server and the phone."""
        super().close()
        self.end_server()
        self.practice.close()


def _commands(line: str) -> list[tuple[str, list[str]]]:
    """The commands of a line, each with the separator before it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&")
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[tuple[str, list[str]]] = [("", [])]
    for word in lexer:
        if word in (";", "&&"):
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return [(separator, words) for separator, words in found if words]


def _node(element: ScreenElement) -> dict[str, str]:
    """An element as a node of uiautomator."""
    kind = _CLASSES.get(element.role, "android.view.View")
    is_field = element.role == "textbox"
    box = [round(edge) for edge in (element.box.x1, element.box.y1, element.box.x2, element.box.y2)]
    return {
        "class": kind,
        "text": element.value if is_field else element.name,
        "content-desc": element.name if is_field else "",
        "bounds": f"[{box[0]},{box[1]}][{box[2]},{box[3]}]",
        "clickable": _word(element.role in _CLASSES and element.role != "StaticText"),
        "enabled": _word("disabled" not in element.states),
        "password": "false",
        **{name: _word(name in element.states) for name in ("checked", "focused", "selected")},
    }


def _word(value: bool) -> str:
    return str(value).lower()


_CLASSES = {
    "StaticText": "android.widget.TextView",
    "button": "android.widget.Button",
    "checkbox": "android.widget.CheckBox",
    "image": "android.widget.ImageView",
    "switch": "android.widget.Switch",
    "textbox": "android.widget.EditText",
}
"""Android's classes by the roles of Chromium's tree."""
