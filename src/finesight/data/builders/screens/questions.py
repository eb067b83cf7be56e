# SPDX-License-Identifier: Apache-2.0
"""Questions about a screen, with answers in the official formats.

An element is named by its text, its role, its icon or its colour, and only where the phrase fits no other element.
Places are answered as points in XML or JSON, as boxes in JSON, or by a call of `computer_use` or `mobile_use`. The
answer about an absent element is "none", as for scenes, or a sentence that says so.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from finesight.data.builders.screens.content import FIELDS
from finesight.data.builders.screens.elements import ROLES, Element, Reference, Screen
from finesight.data.builders.screens.naming import absent, bare, draw_name, with_article
from finesight.screen.history import POINT_REQUEST, call_in_words

__all__ = ["POINT_XML", "REFER", "Turn", "ask", "ask_click", "ask_text"]

NONE = "none"
REFER = "Locate {phrase}, output its bbox coordinates using JSON format."
POINT_XML = "point to {phrase}, output its coordinates in XML format <points x y>object</points>"
CLICK = (
    "Click {phrase}.",
    "Click on {phrase}",
    "Press {phrase}.",
    "Select {phrase}.",
    "click {phrase}",
)
TAP = ("Tap {phrase}.", "Tap on {phrase}", "Press {phrase}.", "Select {phrase}.", "Touch {phrase}")
READ_POINT = (
    "What is the text of the element at [{x}, {y}]?",
    "What does the element at [{x}, {y}] say?",
)
READ_BOX = (
    "What is the text in the box {box}?",
    "Read the text of the element in the region {box}.",
)
ICON_BOX = ("Which icon is in the box {box}?", "What does the icon in the region {box} show?")
ROLE_POINT = ("What kind of element is at [{x}, {y}]?",)
PRESENT = ("Is there {phrase} on this screen?", "Does this screen show {phrase}?")
STATE = {
    "switch": ('Is "{name}" switched on?', 'Is the switch "{name}" on?'),
    "checkbox": ('Is "{name}" checked?', 'Is the checkbox "{name}" ticked?'),
    "radio": ('Is the option "{name}" selected?',),
}
SELECTED = {"tab": "Which tab is selected?", "menuitem": "Which menu entry is selected?"}
VALUE = ('What is entered in the field "{name}"?', 'What is the value of "{name}"?')
EVERY = "Locate every {name} in the image and output the coordinates in JSON format."
MAX_EVERY = 6
MIN_LETTERS = 3
"""Fewest letters of a text that alone names an element of an evaluation."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answer and what an evaluation needs to score it.

    Attributes:
        question: text of the user.
        answer: in the official format.
        task: kind of question, how the element is named, the name, and indices of the objects in the answer.
    """

    question: str
    answer: str
    task: dict[str, Any]


def ask(rng: random.Random, screen: Screen, num_turns: int, absent_share: float) -> list[Turn]:
    """Draw up to `num_turns` different questions.

    Args:
        rng: random generator.
        screen: the screen.
        num_turns: largest number of questions.
        absent_share: share of questions about an element that the screen does not show.
    """
    kinds, weights = list(_KINDS), [weight for _, weight in _KINDS.values()]
    turns: dict[str, Turn] = {}
    for _ in range(6 * num_turns):
        if len(turns) == num_turns:
            break
        make = _KINDS[rng.choices(kinds, weights)[0]][0]
        turn = make(rng, screen, rng.random() < absent_share)
        if turn is not None:
            turns.setdefault(turn.question, turn)
    return list(turns.values()) or [_present(rng, screen, True)]


def ask_text(rng: random.Random, screen: Screen) -> Turn | None:
    """Ask for a point in an element that is named by its text alone; None if the screen has no such element."""
    found = []
    for index in screen.asked():
        element = screen.elements[index]
        quoted = f'"{element.text}"'
        is_named = any(each.phrase == quoted for each in screen.references(element))
        if is_named and sum(map(str.isalpha, element.text)) >= MIN_LETTERS:
            found.append((index, element.text))
    if not found:
        return None
    index, text = rng.choice(found)
    return _point_json(screen, [index], Reference("text", text))


def ask_click(rng: random.Random, screen: Screen, tool: str, is_absent: bool) -> Turn | None:
    """A task of one step with its tool call; an absent element ends the task with a failure.

    Args:
        rng: random generator.
        screen: the screen.
        tool: "computer_use" or "mobile_use".
        is_absent: whether to ask for an element that the screen does not show.
    """
    drawn = draw_name(rng, screen, is_absent)
    if drawn is None:
        return None
    found, reference = drawn
    arguments: dict[str, Any] = {"action": "terminate", "status": "failure"}
    if found:
        action = "left_click" if tool == "computer_use" else "click"
        arguments = {"action": action, "coordinate": list(screen.elements[found[0]].centre)}
    question = rng.choice(CLICK if tool == "computer_use" else TAP).format(phrase=reference.phrase)
    return Turn(question, call_in_words(tool, arguments), _task("screen_click", reference, found))


def _point_json(screen: Screen, found: list[int], reference: Reference) -> Turn:
    label = bare(reference.phrase)
    rows = [{"point_2d": list(screen.elements[index].centre), "label": label} for index in found]
    question = POINT_REQUEST.format(text=label)
    return Turn(question, _fenced(rows), _task("screen_point", reference, found))


def _ask_point_json(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    drawn = draw_name(rng, screen, is_absent)
    return None if drawn is None else _point_json(screen, *drawn)


def _point_xml(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    drawn = draw_name(rng, screen, is_absent)
    if drawn is None:
        return None
    found, reference = drawn
    answer = NONE
    if found:
        x, y = screen.elements[found[0]].centre
        alt = reference.phrase.replace('"', "")  # the attribute stands between double quotes
        answer = f'```xml\n<points x1="{x}" y1="{y}" alt="{alt}">{alt}</points>\n```'
    question = POINT_XML.format(phrase=reference.phrase)
    return Turn(question, answer, _task("screen_point", reference, found))


def _box(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    drawn = draw_name(rng, screen, is_absent)
    if drawn is None:
        return None
    found, reference = drawn
    label = bare(reference.phrase)
    rows = [{"bbox_2d": list(screen.elements[index].box), "label": label} for index in found]
    question = REFER.format(phrase=reference.phrase)
    return Turn(question, _fenced(rows), _task("screen_box", reference, found))


def _read(rng: random.Random, screen: Screen, _is_absent: bool) -> Turn | None:
    pool = [
        index
        for index in screen.asked()
        if 0 < len(screen.elements[index].text) <= 80 and _is_top(screen, index)
    ]
    if not pool:
        return None
    index = rng.choice(pool)
    element = screen.elements[index]
    x, y = element.centre
    wording = rng.choice(READ_POINT if rng.random() < 0.6 else READ_BOX)
    question = wording.format(x=x, y=y, box=list(element.box))
    return Turn(
        question, element.text, _task("screen_read", Reference("place", element.text), [index])
    )


def _what(rng: random.Random, screen: Screen, _is_absent: bool) -> Turn | None:
    pool = [index for index in screen.asked() if _is_top(screen, index)]
    if not pool:
        return None
    index = rng.choice(pool)
    element = screen.elements[index]
    if element.icon and rng.random() < 0.8:
        question = rng.choice(ICON_BOX).format(box=list(element.box))
        return Turn(
            question, element.icon, _task("screen_icon", Reference("place", element.icon), [index])
        )
    if element.role in ("control", "text"):
        return None
    x, y = element.centre
    role = ROLES[element.role]
    return Turn(
        rng.choice(ROLE_POINT).format(x=x, y=y),
        role,
        _task("screen_role", Reference("place", role), [index]),
    )


def _present(rng: random.Random, screen: Screen, is_absent: bool) -> Turn:
    drawn = draw_name(rng, screen, is_absent or rng.random() < 0.4)
    found, reference = drawn or ([], absent(rng, screen))
    question = rng.choice(PRESENT).format(phrase=with_article(reference.phrase))
    return Turn(question, "Yes" if found else "No", _task("screen_present", reference, found))


def _state(rng: random.Random, screen: Screen, _is_absent: bool) -> Turn | None:
    pool = [
        index
        for index in screen.asked()
        if (element := screen.elements[index]).state
        and (element.role in SELECTED or (element.name and screen.is_single(element, "name")))
    ]
    if not pool:
        return None
    index = rng.choice(pool)
    element = screen.elements[index]
    if element.role in STATE:
        question = rng.choice(STATE[element.role]).format(name=element.name)
        answer = "Yes" if element.state == "on" else "No"
        return Turn(
            question, answer, _task("screen_state", Reference("role", element.name), [index])
        )
    chosen = [
        number
        for number, other in enumerate(screen.elements)
        if (other.role, other.state) == (element.role, "on")
    ]
    if len(chosen) != 1 or not screen.elements[chosen[0]].is_whole:
        return None
    text = screen.elements[chosen[0]].text
    return Turn(
        SELECTED[element.role], text, _task("screen_state", Reference("role", text), chosen)
    )


def _value(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    if is_absent:
        name = rng.choice(
            [label for label in FIELDS if label.lower() not in screen.words] or ["Fax"]
        )
        answer = f'The picture does not show a field "{name}".'
        return Turn(
            rng.choice(VALUE).format(name=name),
            answer,
            _task("screen_value", Reference("absent", name), []),
        )
    pool = [
        index
        for index in screen.asked()
        if (element := screen.elements[index]).name
        and element.value is not None
        and screen.is_single(element, "name")
    ]
    if not pool:
        return None
    index = rng.choice(pool)
    element = screen.elements[index]
    answer = element.value or f'The field "{element.name}" is empty.'
    return Turn(
        rng.choice(VALUE).format(name=element.name),
        answer,
        _task("screen_value", Reference("role", element.name), [index]),
    )


def _every(rng: random.Random, screen: Screen, _is_absent: bool) -> Turn | None:
    counts = sorted(
        {element.role for element in screen.elements}
        & {"button", "checkbox", "switch", "tab", "link", "textbox"}
    )
    if not counts:
        return None
    role = rng.choice(counts)
    found = [index for index, element in enumerate(screen.elements) if element.role == role]
    if len(found) > MAX_EVERY or not all(screen.elements[index].is_whole for index in found):
        return None
    rows = [
        {"bbox_2d": list((it := screen.elements[index]).box), "label": it.title} for index in found
    ]
    question = EVERY.format(name=ROLES[role])
    return Turn(
        question, _fenced(rows), _task("screen_every", Reference("role", ROLES[role]), found)
    )


_KINDS: dict[str, tuple[Callable[[random.Random, Screen, bool], Turn | None], float]] = {
    "point_json": (_ask_point_json, 0.24),
    "point_xml": (_point_xml, 0.20),
    "box": (_box, 0.17),
    "read": (_read, 0.12),
    "what": (_what, 0.05),
    "present": (_present, 0.05),
    "state": (_state, 0.07),
    "value": (_value, 0.07),
    "every": (_every, 0.03),
}


def _is_top(screen: Screen, index: int) -> bool:
    """Whether no smaller element lies at its centre."""
    x, y = screen.elements[index].centre
    around = [number for number, element in enumerate(screen.elements) if _contains(element, x, y)]
    return min(around, key=lambda number: _area(screen.elements[number]), default=-1) == index


def _contains(element: Element, x: int, y: int) -> bool:
    x1, y1, x2, y2 = element.box
    return x1 <= x < x2 and y1 <= y < y2


def _area(element: Element) -> int:
    x1, y1, x2, y2 = element.box
    return (x2 - x1) * (y2 - y1)


def _fenced(rows: list[dict[str, Any]]) -> str:
    body = ",\n\t".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"```json\n[\n\t{body}\n]\n```" if rows else NONE


def _task(kind: str, reference: Reference, found: list[int]) -> dict[str, Any]:
    return {"kind": kind, "by": reference.by, "name": reference.phrase, "objects": found}
