# SPDX-License-Identifier: Apache-2.0
"""Map key names as models write them to the browser's names."""

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
    """The browser's name of a key: `Page_Down`, `pagedown` and `PageDown` are equal; a character is kept.

    Raises:
        ActionRefused: the name is unknown.
    """
    if len(name) == 1:
        return "Space" if name == " " else name
    plain = name.strip().lower().replace("_", "").replace("-", "").removeprefix("arrow")
    for side in ("left", "right"):  # shiftleft is shift, ctrl_right is ctrl
        if plain.removesuffix(side) in ("shift", "ctrl", "control", "alt", "meta"):
            plain = plain.removesuffix(side)
    if plain not in _NAMED:
        raise ActionRefused(
            f"key {name!r} is unknown", hint=f"known keys: {', '.join(sorted(_NAMED))}"
        )
    return _NAMED[plain]
