# SPDX-License-Identifier: Apache-2.0
"""Names of keys as models write them, and as the browser knows them."""

from __future__ import annotations

from finesight.errors import ActionRefused

_NAMED = {
    "alt": "Alt",
    "backspace": "Backspace",
    "cmd": "Meta",
    "command": "Meta",
    "control": "Control",
    "ctrl": "Control",
    "del": "Delete",
    "delete": "Delete",
    "down": "ArrowDown",
    "end": "End",
    "enter": "Enter",
    "esc": "Escape",
    "escape": "Escape",
    "home": "Home",
    "insert": "Insert",
    "left": "ArrowLeft",
    "meta": "Meta",
    "pagedown": "PageDown",
    "pageup": "PageUp",
    "return": "Enter",
    "right": "ArrowRight",
    "shift": "Shift",
    "space": "Space",
    "super": "Meta",
    "tab": "Tab",
    "up": "ArrowUp",
    "win": "Meta",
}
_NAMED |= {f"f{number}": f"F{number}" for number in range(1, 13)}


def key_name(name: str) -> str:
    """The browser's name of a key: `Page_Down`, `pagedown` and `PageDown` are one; a character is itself.

    Raises:
        ActionRefused: the name is not known.
    """
    if len(name) == 1:
        return "Space" if name == " " else name
    plain = name.strip().lower().replace("_", "").replace("-", "").removeprefix("arrow")
    for side in ("left", "right"):  # shiftleft, ctrl_r and the like are the same key here
        if plain.removesuffix(side) in ("shift", "ctrl", "control", "alt", "meta"):
            plain = plain.removesuffix(side)
    if plain not in _NAMED:
        raise ActionRefused(
            f"key {name!r} is not known", hint=f"known: {', '.join(sorted(_NAMED))}"
        )
    return _NAMED[plain]
