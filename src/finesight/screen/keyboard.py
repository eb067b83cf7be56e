# SPDX-License-Identifier: Apache-2.0
"""Keys of an X11 display: names, and keys for letters that the keyboard lacks.

xdotool gives such a letter a key, presses it and takes the key away again. A program that is slow to notice misses the
letter. Here all letters of a text get their keys first, and keep them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from finesight.browser.keys import key_name
from finesight.errors import ScreenUnavailable

_KEYS = {
    "ArrowDown": "Down",
    "ArrowLeft": "Left",
    "ArrowRight": "Right",
    "ArrowUp": "Up",
    "Backspace": "BackSpace",
    "Control": "ctrl",
    "Enter": "Return",
    "Meta": "super",
    "PageDown": "Next",
    "PageUp": "Prior",
    "Space": "space",
}
"""Names of keys in X11 that differ from those of browsers."""
_NOTICE_SECONDS = 0.3
"""Time in which programs notice that keys have other letters."""
_SPARE = re.compile(r"^keycode\s+(\d+) =\s*$", re.MULTILINE)


def x11_name(name: str) -> str:
    """X11's name of a key; a mark is given by its code point.

    Raises:
        ActionRefused: the name is unknown.
    """
    key = key_name(name)
    if len(key) == 1 and not (key.isascii() and key.isalnum()):
        return f"U{ord(key):04X}"
    return _KEYS.get(key, key.lower() if key in ("Alt", "Shift") else key)


class Keyboard:
    """Gives keys to letters.

    Args:
        call: runs a program on the display and returns its output.
    """

    def __init__(self, call: Callable[[Sequence[str]], str]) -> None:
        self._call = call
        self._letters: dict[str, str | None] = {}  # of each spare key, the longest unused first

    def pieces(self, line: str) -> Iterator[str]:
        """Pieces of a line; while a piece is used, all its letters have keys.

        Raises:
            ScreenUnavailable: no key is spare.
        """
        wanted: set[str] = set()
        start = 0
        for index, letter in enumerate(line):
            if letter.isascii():
                continue
            if letter not in wanted and len(wanted) == len(self._spare()):
                self._give(wanted)
                yield line[start:index]
                start, wanted = index, set()
            wanted.add(letter)
        self._give(wanted)
        if start < len(line):
            yield line[start:]

    def _spare(self) -> dict[str, str | None]:
        """Letters of the keys that the layout leaves free."""
        if not self._letters:
            listed = self._call(("xmodmap", "-pke"))
            self._letters = dict.fromkeys(_SPARE.findall(listed))
            if not self._letters:
                raise ScreenUnavailable("the keyboard of the display has no spare key for a letter")
        return self._letters

    def _give(self, wanted: set[str]) -> None:
        new = sorted(wanted - set(self._letters.values()))
        if not new:
            return
        free = [key for key, letter in self._letters.items() if letter not in wanted]
        words = ["xmodmap"]
        for key, letter in zip(free, new, strict=False):
            del self._letters[key]
            self._letters[key] = letter  # behind the others
            words += ["-e", f"keycode {key} = U{ord(letter):04X}"]
        self._call(words)
        time.sleep(_NOTICE_SECONDS)
