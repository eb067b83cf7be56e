# SPDX-License-Identifier: Apache-2.0
"""Responders that work on a screen by a plan: they know its elements, and answer in the official format."""

from __future__ import annotations

import json

from finesight.apps.agent.reading import READ
from finesight.geometry import Point
from finesight.screen.history import call_in_words
from tests.support.app_responders import answered, asked


class Planned:
    """Plays a plan, one entry a question; the last entry is repeated.

    Entries: ("click", NAME), ("at", x, y), ("type", TEXT), ("key", KEY...), ("scroll", PIXELS), ("wait", SECONDS),
    ("call", NAME, TEXT) for another function, ("text", TEXT) for a raw answer, ("success",), ("failure",).

    Args:
        screen: to find elements by their names.
        plan: the entries.
        yes: whether the task is done, for the question at the end.
    """

    def __init__(self, screen, plan, *, yes=True):
        self.screen, self.plan, self.yes = screen, list(plan), yes
        self.questions = []
        self.target = ""
        self.turn = 0

    def respond(self, conversations, sampling):
        return [self._answer(asked(each)) for each in conversations]

    def _answer(self, question):
        self.questions.append(question)
        if question.text == READ:
            return answered(question, self.target)
        if "Answer Yes or No." in question.text:
            return answered(question, "Yes" if self.yes else "No")
        entry = self.plan[min(self.turn, len(self.plan) - 1)]
        self.turn += 1
        return answered(question, self._words(entry, question))

    def _words(self, entry, question):
        kind, *rest = entry
        resize = question.resizes[-1]
        if kind == "text":
            return rest[0]
        if kind == "call":
            return f"<tool_call>\n{json.dumps({'name': rest[0], 'arguments': {'text': rest[1]}})}\n</tool_call>"
        if kind in ("click", "at", "double"):
            point = Point(*rest) if kind == "at" else self.place_of(rest[0])
            place = resize.point_to_resized(point)
            name = "double_click" if kind == "double" else "left_click"
            return self._call(action=name, coordinate=[round(place.x), round(place.y)])
        arguments = {
            "type": lambda: {"action": "type", "text": rest[0]},
            "key": lambda: {"action": "key", "keys": rest},
            "scroll": lambda: {"action": "scroll", "pixels": rest[0]},
            "wait": lambda: {"action": "wait", "time": rest[0]},
            "success": lambda: {"action": "terminate", "status": "success"},
            "failure": lambda: {"action": "terminate", "status": "failure"},
        }
        return self._call(**arguments[kind]())

    def place_of(self, name):
        self.target = name
        found = [each for each in self.screen.elements() if each.name.strip() == name]
        controls = [each for each in found if each.role not in ("StaticText", "LabelText")]
        return (controls or found)[0].box.center

    def _call(self, **arguments):
        return call_in_words("computer_use", arguments)


class Blind:
    """A screen without its accessibility tree: only pixels."""

    def __init__(self, screen):
        self.inner = screen
        self.tool, self.facts = screen.tool, screen.facts
        self.observe, self.act, self.close = screen.observe, screen.act, screen.close

    def elements(self):
        return []

    def element_at(self, point):
        del point

    def focused(self):
        return None
