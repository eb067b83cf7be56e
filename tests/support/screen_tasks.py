# SPDX-License-Identifier: Apache-2.0
"""Tasks on a desktop and on the practice phone: goal, solution in words, and a check that reads what was done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from finesight.geometry import Point
from finesight.screen.act import Act
from finesight.screen.history import call_in_words
from tests.support.app_responders import Oracle


@dataclass(frozen=True)
class ScreenTask:
    """A task.

    Attributes:
        goal: in words.
        solution: steps such as "click Save", "type hello", "key ctrl a", "open Notes", "button Home", "hold Photo 1",
            "swipe 300 600 300 200", "double 10 20", "move 10 20", "drag 10 20", "beside -30 milk" for a click that many
            pixels from the left edge, "twice milk", "hover milk".
        is_done: reads what was done, from a desktop's programs or a practice phone's state.
        start: steps that prepare the screen.
    """

    goal: str
    solution: tuple[str, ...]
    is_done: Callable[[Any], bool]
    start: tuple[str, ...] = field(default=())


def act_of(words: str, screen) -> Act:
    """A step of a solution; controls are found by their names."""
    verb, _, rest = words.partition(" ")
    is_phone = screen.tool == "mobile_use"
    if verb in ("click", "hold", "right"):
        found = [one for one in screen.elements() if one.name == rest]
        best = [one for one in found if one.role != "StaticText"] or found
        kind = {"hold": "long_press", "right": "right_click"}.get(
            verb, "click" if is_phone else "left_click"
        )
        return Act(kind=kind, point=best[0].box.center, seconds=1.0 if verb == "hold" else None)
    if verb in ("at", "double", "move", "drag", "rightat"):
        x, y = map(float, rest.split())
        kinds = {
            "at": "left_click",
            "double": "double_click",
            "move": "mouse_move",
            "drag": "left_click_drag",
            "rightat": "right_click",
        }
        return Act(kind=kinds[verb], point=Point(x, y))
    if verb in ("beside", "twice", "hover"):
        shift, name = rest.split(" ", 1) if verb == "beside" else ("0", rest)
        box = next(one for one in screen.elements() if one.name == name).box
        place = Point(box.x1 + float(shift), box.center.y) if verb == "beside" else box.center
        kinds = {"beside": "left_click", "twice": "double_click", "hover": "mouse_move"}
        return Act(kind=kinds[verb], point=place)
    if verb == "swipe":
        x1, y1, x2, y2 = map(float, rest.split())
        return Act(kind="swipe", point=Point(x1, y1), point2=Point(x2, y2))
    if verb == "key":
        return Act(kind="key", text=rest) if is_phone else Act(kind="key", keys=tuple(rest.split()))
    simple = {"type": "text", "open": "text"}
    if verb in simple:
        return Act(kind=verb, text=rest)
    assert verb == "button"
    return Act(kind="system_button", button=rest)


def solver(task: ScreenTask, screen) -> Oracle:
    """Answers with the next step of the solution in the official format, in pixels that the model sees."""
    left = list(task.solution)

    def answer(question):
        act = act_of(left.pop(0), screen) if left else Act(kind="terminate", status="success")
        resize = question.resizes[0]
        scale = (
            resize.original.width / resize.resized.width,
            resize.original.height / resize.resized.height,
        )
        return call_in_words(screen.tool, act.arguments(scale))

    return Oracle(answer)


def clicker(task: ScreenTask, screen, seed: int | None) -> Oracle:
    """Clicks on random points, or always on the middle, whatever the task."""
    del task
    draw = random.Random(seed)

    def answer(question):
        size = question.resizes[0].resized
        x, y = size.width // 2, size.height // 2
        if seed is not None:
            x, y = draw.randrange(size.width), draw.randrange(size.height)
        kind = "click" if screen.tool == "mobile_use" else "left_click"
        return call_in_words(screen.tool, {"action": kind, "coordinate": [x, y]})

    return Oracle(answer)


def _person(state, name):
    return next((one["phone"] for one in state["contacts"] if one["name"] == name), None)


PHONE_TASKS = (
    ScreenTask(
        "Turn on Wi-Fi.", ("click Settings", "click Wi-Fi"), lambda s: s["settings"]["Wi-Fi"]
    ),
    ScreenTask(
        "Turn on the dark theme.",
        ("open Settings", "swipe 190 760 190 300", "click Dark theme"),
        lambda s: s["settings"]["Dark theme"],
    ),
    ScreenTask(
        "Add the contact Dora with the number 555 0199.",
        (
            "open Contacts",
            "click Add contact",
            "click Name",
            "type Dora",
            "click Phone",
            "type 555 0199",
            "click Save",
        ),
        lambda s: _person(s, "Dora") == "555 0199",
    ),
    ScreenTask(
        "Delete the contact Bob.",
        ("open Contacts", "click Bob", "click Delete contact", "click Delete"),
        lambda s: _person(s, "Bob") is None,
    ),
    ScreenTask(
        'Write a note "Errands": milk and eggs.',
        (
            "open Notes",
            "click New note",
            "click Title",
            "type Errands",
            "click Text",
            "type milk and eggs",
            "click Save",
        ),
        lambda s: {"title": "Errands", "text": "milk and eggs"} in s["notes"],
    ),
    ScreenTask(
        "Turn the volume up by two.", ("key volume_up", "key volume_up"), lambda s: s["volume"] == 7
    ),
    ScreenTask(
        "Tell Ana that you are on your way.",
        ("open Messages", "click Ana", "click Message", "type On my way", "click Send"),
        lambda s: {"to": "Ana", "text": "On my way"} in s["sent"],
    ),
    ScreenTask(
        "Set the alarm for 7:30.", ("open Clock", "click 07:30"), lambda s: s["alarms"]["07:30"]
    ),
    ScreenTask(
        "Multiply 12 by 7.",
        ("open Calculator", "click 1", "click 2", "click *", "click 7", "click ="),
        lambda s: s["display"] == "84",
    ),
    ScreenTask(
        "Select the photo of the beach.",
        ("open Photos", "hold Photo Beach"),
        lambda s: s["chosen"] == ["Beach"],
    ),
    ScreenTask(
        "Show the photo of the city.",
        ("open Photos", "swipe 300 300 60 300", "swipe 300 300 60 300"),
        lambda s: (s["app"], s["photo"]) == ("photos", 2),
    ),
    ScreenTask(
        "Go back to the clock from the recent apps.",
        ("button Menu", "click Switch to Clock"),
        lambda s: s["app"] == "clock",
        ("open Clock", "open Notes"),
    ),
    ScreenTask(
        "Close the app Notes.",
        ("button Menu", "click Close Notes"),
        lambda s: "notes" not in s["opened"],
        ("open Notes", "open Clock"),
    ),
    ScreenTask(
        "Find Chen in the contacts.",
        ("open Contacts", "click Search", "type chen", "button Enter", "click Chen"),
        lambda s: s["view"] == "of Chen",
    ),
    ScreenTask("Lock the phone.", ("key power",), lambda s: s["locked"]),
)


def _value(desktop, window):
    found = desktop.elements()
    return next(
        (
            one.value
            for one in found
            if one.role == "textbox" and window in one.traits["document"].lower()
        ),
        "",
    )


def calculator(wanted):
    return lambda desktop: _value(desktop, "galculator") == wanted


def editor(wanted):
    return lambda desktop: _value(desktop, "mousepad") == wanted


def written(name, wanted):
    def is_written(desktop):
        path = desktop.home / name
        return path.is_file() and path.read_text(encoding="utf-8").strip() == wanted

    return is_written


def _keys(words):
    return tuple(f"click {each}" for each in words.split())


IN_CALCULATOR, IN_EDITOR = ("at 80 145", "click AC"), ("at 600 500", "key ctrl a", "key Delete")
"""Steps that bring a program to the front and empty it; the windows are placed by `arranged`."""
DESKTOP_TASKS = (
    ScreenTask("Multiply 12 by 7.", _keys("1 2 * 7 ="), calculator("84"), IN_CALCULATOR),
    ScreenTask("Add 7 and 8.", _keys("7 + 8 ="), calculator("15"), IN_CALCULATOR),
    ScreenTask("Take the square root of 81.", _keys("8 1 sqrt"), calculator("9"), IN_CALCULATOR),
    ScreenTask("Divide 98 by 7.", ("type 98/7=",), calculator("14"), IN_CALCULATOR),
    ScreenTask(
        "Clear the calculator.", _keys("AC"), calculator("0"), (*IN_CALCULATOR, *_keys("5 6"))
    ),
    ScreenTask("Correct 56 to 5.", _keys("<-"), calculator("5"), (*IN_CALCULATOR, *_keys("5 6"))),
    ScreenTask(
        "Write: Meeting at 10.", ("type Meeting at 10",), editor("Meeting at 10"), IN_EDITOR
    ),
    ScreenTask("Schreibe: Grüße, 你好.", ("type Grüße, 你好",), editor("Grüße, 你好"), IN_EDITOR),
    ScreenTask(
        "Delete the text.", ("key ctrl a", "key Delete"), editor(""), (*IN_EDITOR, "type old")
    ),
    ScreenTask(
        "Write the text twice.",
        ("key ctrl a", "key ctrl c", "key End", "key ctrl v"),
        editor("twotwo"),
        (*IN_EDITOR, "type two"),
    ),
    ScreenTask("Undo.", ("key ctrl z",), editor(""), (*IN_EDITOR, "type x")),
    ScreenTask(
        "Replace all by new, with the menu.",
        ("click Edit", "click Select All", "type new"),
        editor("new"),
        (*IN_EDITOR, "type old"),
    ),
    ScreenTask(
        "Replace all by new, with the context menu.",
        ("rightat 600 500", "click Select All", "type new"),
        editor("new"),
        (*IN_EDITOR, "type old"),
    ),
    ScreenTask(
        "Replace the first word by 1st.",
        ("double 375 70", "type 1st"),
        editor("1st word"),
        (*IN_EDITOR, "type first word"),
    ),
    ScreenTask(
        "Save the text as list.txt.",
        ("key ctrl s", "key ctrl a", "type list.txt", "key Return"),
        written("list.txt", "saved"),
        (*IN_EDITOR, "type saved"),
    ),
)


def arranged(desktop):
    """Put the calculator to the left and the editor to the right."""
    for title, x, y, width, height in (
        ("galculator", 0, 0, 340, 400),
        ("Mousepad", 350, 0, 600, 700),
    ):
        ids = desktop._call(("xdotool", "search", "--onlyvisible", "--name", title)).split()
        for each in ids:
            desktop._call(("xdotool", "windowmove", each, str(x), str(y)))
            desktop._call(("xdotool", "windowsize", each, str(width), str(height)))
    return desktop
