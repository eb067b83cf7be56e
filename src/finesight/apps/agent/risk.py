# SPDX-License-Identifier: Apache-2.0
"""How far a step reaches, decided by rules from the control that it uses, before it is performed.

read: nothing changes but the view. edit: something is typed or a plain control is used. consequential: something is
sent, bought, deleted, published, installed, allowed, or a form is submitted in another way than a search.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from finesight.browser.reach import origin_of
from finesight.elements import ScreenElement
from finesight.screen.act import Act
from finesight.screen.effect import FIELDS

__all__ = ["Risk", "risk_of", "risky_words"]

Level: TypeAlias = Literal["read", "edit", "consequential"]
_READ = frozenset(
    {"mouse_move", "scroll", "wait", "terminate", "answer", "note", "ask_user", "swipe"}
)
_CLICKS = frozenset(
    {"left_click", "double_click", "middle_click", "click", "left_click_drag", "long_press"}
)
_ENTER = frozenset({"enter", "return", "kp_enter", "numpadenter"})
_LEAVING = frozenset({"ctrl+w", "ctrl+q", "alt+f4", "ctrl+f4", "cmd+w", "cmd+q", "meta+w", "meta+q"})  # fmt: skip
_BUTTONS = frozenset({"button", "push button", "menuitem", "menu item", "switch", "tab"})
_LONG_NAME = 8
"""Words of a name from which on a risky word counts only at its start or end: it is a text, not a label."""
_SHORT_NAME = 3
"""Words of a link's name up to which a risky word counts anywhere."""


@dataclass(frozen=True, slots=True)
class Risk:
    """How far a step reaches.

    Attributes:
        level: the class of the step.
        kind: what it would do, such as "pay" or "submit"; empty below "consequential".
        reason: why, with the words or properties that decided.
    """

    level: Level
    kind: str = ""
    reason: str = ""


def risk_of(act: Act, element: ScreenElement | None, *, text: str | None = None) -> Risk:
    """The risk of a step.

    Args:
        act: the step.
        element: the control at its point; for keys and typing, the one with the focus.
        text: text around the point that was read from pixels, on a screen without elements.
    """
    if act.kind in _READ:
        return Risk("read")
    if act.kind == "open_url":
        return Risk("consequential", "navigate", "opens another address")
    if act.kind in ("open", "system_button"):
        return _enter(element) if act.button == "Enter" else Risk("read")
    if act.kind == "type":
        is_sent = "\n" in (act.text or "") and not _is_multiline(element)
        return _enter(element) if is_sent else _typing(element)
    if act.kind == "key":
        return _key(act, element)
    if act.kind in _CLICKS:
        return _click(element, text)
    return Risk("edit")


def risky_words(name: str, *, is_button: bool = True) -> tuple[str, str] | None:
    """Kind and words of what a control's name says that it does; None if that is harmless.

    Args:
        name: its accessible name or visible text.
        is_button: whether it is a button; of a longer link only the first words count.
    """
    shown = _plain(name)
    if not shown:
        return None
    num_words = len(shown.split())
    for kind, start, end in _matches(shown):
        if _is_named_thing(shown, start, end):
            continue
        at_edge = start == 0 or (is_button and end == len(shown))
        if at_edge or num_words <= (_LONG_NAME if is_button else _SHORT_NAME):
            return kind, shown[start:end]
    return None


def _click(element: ScreenElement | None, text: str | None) -> Risk:
    if element is None or element.role == "canvas":
        found = None if text is None else _text_risk(text)
        return found or Risk("edit")
    traits, role = element.traits, element.role.lower()
    if role == "iframe":
        return Risk("consequential", "unknown", "a frame of another site cannot be checked")
    if traits.get("type") == "file":
        return Risk("consequential", "upload", "opens a file picker")
    if traits.get("download") or traits.get("target", "").startswith(("mailto:", "tel:", "sms:")):
        return Risk("consequential", "send", f"the link leads to {traits.get('target', '')[:80]}")
    if traits.get("type") == "submit" and (found := _submit(element)):
        return found
    if role in FIELDS:
        return Risk("edit")
    is_button = role in _BUTTONS
    if words := risky_words(element.name, is_button=is_button):
        return Risk("consequential", words[0], f"{role} says {words[1]!r}")
    if _plain(element.name) in _lists()[1] or (is_button and not element.name):
        near = _near(element)
        if words := _first_match(near):
            return Risk("consequential", words[0], f"{role} {element.name!r} beside {words[1]!r}")
    return Risk("edit")


def _submit(element: ScreenElement) -> Risk | None:
    """The risk of submitting the control's form, if it is more than a search."""
    traits = element.traits
    target, here = origin_of(traits.get("target", "")), origin_of(traits.get("document", ""))
    if held := traits.get("holds", ""):
        kind = "sign_in" if "password" in held else "upload" if "file" in held else "pay"
        return Risk("consequential", kind, f"the form holds: {held}")
    if traits.get("method", "get") not in ("get", "dialog"):
        return Risk("consequential", "submit", f"submits a form by {traits['method'].upper()}")
    if target and target != here:
        return Risk("consequential", "submit", f"sends a form to {target}")
    return None


def _enter(element: ScreenElement | None) -> Risk:
    """The risk of Enter: it presses the focused control, or submits the form of a field."""
    if element is None:
        return Risk("edit")
    if element.role.lower() not in FIELDS:
        return _click(element, None)
    if not element.traits.get("form") and not element.traits.get("method"):
        return Risk("edit")
    if found := _submit(element):
        return found
    if words := risky_words(element.traits.get("submit", "")):
        return Risk("consequential", words[0], f"Enter presses {words[1]!r}")
    return Risk("edit")


def _key(act: Act, element: ScreenElement | None) -> Risk:
    keys = tuple(key.lower() for key in act.keys) or ((act.text or "").lower(),)
    together = "+".join("ctrl" if key == "control" else key for key in keys)
    is_field = element is not None and element.role.lower() in FIELDS
    if together in _LEAVING:
        return Risk("consequential", "close", f"{together} closes the window")
    if keys[-1] in ("delete", "del") and not is_field:
        return Risk("consequential", "delete", "the key Delete outside of a text field")
    if keys[-1] in _ENTER:
        if len(keys) > 1 and is_field:
            return Risk("consequential", "send", f"{together} sends what was typed")
        return Risk("edit") if _is_multiline(element) else _enter(element)
    if keys[-1] in ("space", " ") and not is_field:
        return _click(element, None)
    return Risk("edit")


def _typing(element: ScreenElement | None) -> Risk:
    if element is not None and element.traits.get("autocomplete", "").startswith("cc-"):
        return Risk("consequential", "pay", "the field takes the data of a card")
    return Risk("edit")


def _is_multiline(element: ScreenElement | None) -> bool:
    return element is not None and element.traits.get("type") in ("multiline", "editable")


def _near(element: ScreenElement) -> str:
    """Text around the control, without its own."""
    return _plain(element.traits.get("near", "")).replace(_plain(element.name), " ", 1)


def _text_risk(text: str) -> Risk | None:
    """The risk of a click whose surroundings were read from pixels; the first line is that of the point."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines[:1]:
        if words := risky_words(line):
            return Risk("consequential", words[0], f"the screen says {words[1]!r} there")
        if _plain(line) in _lists()[1] and (words := _first_match(_plain(" ".join(lines[1:])))):
            return Risk("consequential", words[0], f"{line!r} beside {words[1]!r}")
    return None


def _first_match(shown: str) -> tuple[str, str] | None:
    for kind, start, end in _matches(shown):
        if not _is_named_thing(shown, start, end):
            return kind, shown[start:end]
    return None


def _matches(shown: str) -> Iterator[tuple[str, int, int]]:
    for kind, pattern in _lists()[0]:
        for found in pattern.finditer(shown):
            yield kind, *found.span()


def _is_named_thing(shown: str, start: int, end: int) -> bool:
    """Whether a harmless word stands beside the risky one, such as "history" in "payment history"."""
    return any(
        found.end() <= start or found.start() >= end for found in _lists()[2].finditer(shown)
    )


def _plain(text: str) -> str:
    """Without regard to case, width, white space, and symbols around it."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"^[\W_]+|[\W_]+$", "", re.sub(r"\s+", " ", folded).strip())


@cache
def _lists() -> tuple[tuple[tuple[str, re.Pattern[str]], ...], frozenset[str], re.Pattern[str]]:
    """Patterns of risky words by kind, the agreeing words, and the pattern of harmless ones."""
    text = (Path(__file__).parent / "words.toml").read_text(encoding="utf-8")
    listed = tomllib.loads(text)
    risky = tuple((kind, _pattern(words)) for kind, words in listed["risky"].items())
    return risky, frozenset(listed["agreeing"]["words"]), _pattern(listed["harmless"]["words"])


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_one(word) for word in sorted(words, key=len, reverse=True)))


def _one(word: str) -> str:
    plain = re.escape(_plain(word))
    if re.search(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", word):
        return plain  # written without blanks between words
    return rf"(?<!\w){plain}\w*" if word.endswith("*") else rf"(?<!\w){plain}(?!\w)"
