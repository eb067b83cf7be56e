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

from finesight.data.builders.screens.content import ACTIONS, FIELDS, MENU, OPTIONS
from finesight.data.builders.screens.elements import ROLES, Element, Reference, Screen, alike_icon
from finesight.data.sources.interface import ICONS
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
LABELS = (*ACTIONS, *MENU, *OPTIONS)


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
    return _point_json(screen, index, Reference("text", text))


def ask_click(rng: random.Random, screen: Screen, tool: str, is_absent: bool) -> Turn | None:
    """A task of one step with its tool call; an absent element ends the task with a failure.

    Args:
        rng: random generator.
        screen: the screen.
        tool: "computer_use" or "mobile_use".
        is_absent: whether to ask for an element that the screen does not show.
    """
    wording = rng.choice(CLICK if tool == "computer_use" else TAP)
    if is_absent:
        phrase = _absent(rng, screen).phrase
        call = call_in_words(tool, {"action": "terminate", "status": "failure"})
        return Turn(
            wording.format(phrase=phrase), call, _task("screen_click", "absent", phrase, [])
        )
    named = _named(rng, screen)
    if named is None:
        return None
    index, reference = named
    action = "left_click" if tool == "computer_use" else "click"
    call = call_in_words(
        tool, {"action": action, "coordinate": list(screen.elements[index].centre)}
    )
    task = _task("screen_click", reference.by, reference.phrase, [index])
    return Turn(wording.format(phrase=reference.phrase), call, task)


def _point_json(screen: Screen, index: int, reference: Reference) -> Turn:
    label = reference.phrase
    answer = _fenced([{"point_2d": list(screen.elements[index].centre), "label": label}])
    return Turn(
        POINT_REQUEST.format(text=label),
        answer,
        _task("screen_point", reference.by, label, [index]),
    )


def _ask_point_json(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    if is_absent:
        phrase = _bare(_absent(rng, screen).phrase)
        return Turn(
            POINT_REQUEST.format(text=phrase), NONE, _task("screen_point", "absent", phrase, [])
        )
    named = _named(rng, screen)
    if named is None:
        return None
    index, reference = named
    return _point_json(screen, index, Reference(reference.by, _bare(reference.phrase)))


def _point_xml(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    if is_absent:
        phrase = _absent(rng, screen).phrase
        return Turn(
            POINT_XML.format(phrase=phrase), NONE, _task("screen_point", "absent", phrase, [])
        )
    named = _named(rng, screen)
    if named is None:
        return None
    index, reference = named
    (x, y), phrase = screen.elements[index].centre, reference.phrase
    # The attribute stands between double quotes, so a quoted text loses its own.
    alt = phrase.replace('"', "")
    answer = f'```xml\n<points x1="{x}" y1="{y}" alt="{alt}">{alt}</points>\n```'
    return Turn(
        POINT_XML.format(phrase=phrase),
        answer,
        _task("screen_point", reference.by, phrase, [index]),
    )


def _box(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    if is_absent:
        phrase = _absent(rng, screen).phrase
        return Turn(REFER.format(phrase=phrase), NONE, _task("screen_box", "absent", phrase, []))
    named = _named(rng, screen)
    if named is None:
        return None
    index, reference = named
    answer = _fenced(
        [{"bbox_2d": list(screen.elements[index].box), "label": _bare(reference.phrase)}]
    )
    question = REFER.format(phrase=reference.phrase)
    return Turn(question, answer, _task("screen_box", reference.by, reference.phrase, [index]))


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
    return Turn(question, element.text, _task("screen_read", "place", element.text, [index]))


def _what(rng: random.Random, screen: Screen, _is_absent: bool) -> Turn | None:
    pool = [index for index in screen.asked() if _is_top(screen, index)]
    if not pool:
        return None
    index = rng.choice(pool)
    element = screen.elements[index]
    if element.icon and rng.random() < 0.8:
        question = rng.choice(ICON_BOX).format(box=list(element.box))
        return Turn(question, element.icon, _task("screen_icon", "place", element.icon, [index]))
    if element.role in ("control", "text"):
        return None
    x, y = element.centre
    role = ROLES[element.role]
    return Turn(
        rng.choice(ROLE_POINT).format(x=x, y=y), role, _task("screen_role", "place", role, [index])
    )


def _present(rng: random.Random, screen: Screen, is_absent: bool) -> Turn:
    named = None if is_absent or rng.random() < 0.4 else _named(rng, screen)
    found = [] if named is None else [named[0]]
    reference = _absent(rng, screen) if named is None else named[1]
    phrase = _with_article(reference.phrase)
    answer = "Yes" if found else "No"
    return Turn(
        rng.choice(PRESENT).format(phrase=phrase),
        answer,
        _task("screen_present", reference.by, phrase, found),
    )


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
        return Turn(question, answer, _task("screen_state", "role", element.name, [index]))
    chosen = [
        number
        for number, other in enumerate(screen.elements)
        if (other.role, other.state) == (element.role, "on")
    ]
    if len(chosen) != 1 or not screen.elements[chosen[0]].is_whole:
        return None
    text = screen.elements[chosen[0]].text
    return Turn(SELECTED[element.role], text, _task("screen_state", "role", text, chosen))


def _value(rng: random.Random, screen: Screen, is_absent: bool) -> Turn | None:
    if is_absent:
        name = rng.choice(
            [label for label in FIELDS if label.lower() not in screen.words] or ["Fax"]
        )
        answer = f'The picture does not show a field "{name}".'
        return Turn(
            rng.choice(VALUE).format(name=name), answer, _task("screen_value", "absent", name, [])
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
        _task("screen_value", "role", element.name, [index]),
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
    return Turn(question, _fenced(rows), _task("screen_every", "role", ROLES[role], found))


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


def _named(rng: random.Random, screen: Screen) -> tuple[int, Reference] | None:
    """An element and a phrase for it; phrases by icon, role and colour are as likely as those by text."""
    by: dict[str, list[tuple[int, Reference]]] = {}
    for index in screen.asked():
        for reference in screen.references(screen.elements[index]):
            by.setdefault(reference.by, []).append((index, reference))
    if not by:
        return None
    weights = {"text": 0.5, "role": 0.2, "icon": 0.25, "colour": 0.05}
    ways = sorted(by)
    return rng.choice(by[rng.choices(ways, [weights[way] for way in ways])[0]])


def _absent(rng: random.Random, screen: Screen) -> Reference:
    """A phrase for something that this screen does not show."""
    roll = rng.random()
    icons = [
        name for name in ICONS if screen.icons is not None and not screen.icons[alike_icon(name)]
    ]
    if roll < 0.35 and icons:
        return Reference("icon", f"the {rng.choice(icons)} icon")
    roles = [
        role
        for role in ("searchbox", "checkbox", "switch", "slider")
        if all(each.role != role for each in screen.elements)
    ]
    if roll < 0.45 and roles and screen.icons is not None:
        return Reference("role", f"the {ROLES[rng.choice(roles)]}")
    labels = [label for label in LABELS if label.lower() not in screen.words]
    return Reference(
        "text", f'the "{rng.choice(labels)}" button' if roll < 0.8 else f'"{rng.choice(labels)}"'
    )


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


def _bare(phrase: str) -> str:
    """The phrase without an article and without quotes, for prompts that put it between quotes."""
    return phrase.removeprefix("the ").replace('"', "")


def _with_article(phrase: str) -> str:
    """The phrase with an indefinite article."""
    if not phrase.startswith("the "):
        return f"the text {phrase}"
    noun = phrase.removeprefix("the ")
    return f"{'an' if noun.strip(chr(34))[:1].lower() in 'aeiou' else 'a'} {noun}"


def _fenced(rows: list[dict[str, Any]]) -> str:
    body = ",\n\t".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"```json\n[\n\t{body}\n]\n```"


def _task(kind: str, by: str, name: str, found: list[int]) -> dict[str, Any]:
    return {"kind": kind, "by": by, "name": name, "objects": found}
