# SPDX-License-Identifier: Apache-2.0
"""Pages with controls whose true accessibility tree is known, and an oracle that lists them as a model would."""

from __future__ import annotations

import html
import json
import random

import numpy as np

from finesight.apps.accessibility.describe import ELEMENTS_PROMPT
from finesight.apps.accessibility.records import CONTROLS
from finesight.geometry import Size
from tests.support.app_responders import Oracle

SCREEN = Size(640, 480)
SHOWN = CONTROLS | {"StaticText", "heading", "image"}
"""Roles that a model is asked for; others hold them together."""
WORDS = (
    *(
        "Save",
        "Name",
        "Straße",
        "Suche",
        "Löschen",
        "保存",
        "设置",
        "Поиск",
        "Envoyer",
        "Total: 12,50 €",
    ),
    *(
        'Say "hi"',
        "A & B",
        "Back\\slash",
        "Terms",
        "Open file",
        "New message",
        "Help",
        "2026",
        "{draft}",
    ),
)
STYLE = """<style>
* { box-sizing: border-box; font: 14px "Liberation Sans", sans-serif; }
body { margin: 0; padding: 10px; background: white; }
h1 { font-size: 20px; height: 26px; margin: 4px 0 10px; }
.row { display: flex; align-items: center; gap: 14px; height: 36px; margin-bottom: 8px; }
button, input[type=text], select { height: 32px; padding: 0 8px; }
button.icon { width: 36px; font-size: 18px; padding: 0; }
</style>"""
ICONS = {"search": "⌕", "close": "×", "menu": "≡", "add": "+", "next": "›"}


def page(seed: int) -> str:
    """One of four kinds of pages: a form, a list of links, settings, a toolbar."""
    draw = random.Random(seed)
    words = draw.sample(WORDS, len(WORDS))
    kind = (_form, _links, _settings, _toolbar)[seed % 4]
    return f"<!doctype html><title>page</title>{STYLE}<h1>{html.escape(words[0])}</h1>{kind(draw, words[1:])}"


def _form(draw, words):
    rows = []
    for index, word in enumerate(words[:6]):
        text = html.escape(word)
        value = html.escape(words[-1 - index]) if draw.random() < 0.5 else ""
        rows.append(
            f'<div class="row"><label for="f{index}">{text}</label>'
            f'<input type="text" id="f{index}" value="{value}"></div>'
        )
    off = "disabled" if draw.random() < 0.5 else ""
    return (
        "".join(rows) + f'<div class="row"><button {off}>OK</button><button>Cancel</button></div>'
    )


def _links(draw, words):
    rows = [
        f'<div class="row"><a href="#{index}">{html.escape(word)}</a><span>{draw.randrange(1000)}</span></div>'
        for index, word in enumerate(words[:8])
    ]
    return "".join(rows)


def _settings(draw, words):
    rows = []
    for word in words[:8]:
        on = draw.random() < 0.5
        kind = draw.choice(("checkbox", "switch"))
        if kind == "checkbox":
            control = f'<input type="checkbox" aria-label="{html.escape(word)}" {"checked" if on else ""}>'
        else:
            state = f'role="switch" aria-checked="{str(on).lower()}"'
            control = f'<button {state} aria-label="{html.escape(word)}">I</button>'
        rows.append(f'<div class="row">{control}<span>{draw.randrange(1000)}</span></div>')
    return "".join(rows)


def _toolbar(draw, words):
    rows = []
    for start in range(0, 9, 3):
        buttons = [
            f'<button class="icon" {_label(draw, name)}><span aria-hidden="true">{icon}</span></button>'
            if draw.random() < 0.5
            else f"<button>{html.escape(words[start])}</button>"
            for name, icon in draw.sample([*ICONS.items()], 3)
        ]
        rows.append(f'<div class="row">{"".join(buttons)}</div>')
    return "".join(rows)


def _label(draw, name):
    return f'aria-label="{name}"' if draw.random() < 0.5 else ""


def truth(browser) -> list:
    """Controls and texts that a person sees, in tree order: the text of a control is not listed again."""
    elements = [one for one in browser.elements(nested=True) if one.role in SHOWN]
    controls = [one for one in elements if one.role != "StaticText"]
    return [
        one
        for one in elements
        if one.role != "StaticText"
        or not any(each.box.contains(one.box.center) for each in controls)
    ]


def listing(question, elements, top=0.0):
    """The elements in the form of the prompt, in pixels that the model sees; `top` is where the crop begins."""
    rows = []
    resize = question.resizes[0]
    for one in elements:
        moved = type(one.box)(one.box.x1, one.box.y1 - top, one.box.x2, one.box.y2 - top)
        seen = resize.to_resized(moved)
        rows.append(
            {
                "bbox_2d": [round(edge) for edge in (seen.x1, seen.y1, seen.x2, seen.y2)],
                "role": one.role,
                "label": one.name,
                "value": one.value,
                "states": list(one.states),
            }
        )
    inner = ",\n".join("\t" + json.dumps(row, ensure_ascii=False) for row in rows)
    return f"```json\n[\n{inner}\n]\n```"


def oracle(elements, picture, *, shuffled=None, name="Search"):
    """Knows the elements of a screen; names every control without a text `name`."""
    whole = np.asarray(picture)

    def answer(question):
        if question.text != ELEMENTS_PROMPT:
            return name
        shown = question.pictures[0]
        top = _top(whole, shown)
        inside = [
            one
            for one in elements
            if top <= one.box.center.y < top + len(shown) and one.box.area > 0
        ]
        if shuffled is not None:
            random.Random(shuffled).shuffle(inside)
        return listing(question, inside, top)

    return Oracle(answer)


def _top(whole, part):
    """The row at which a part of full width begins."""
    starts = range(len(whole) - len(part) + 1)
    return next(row for row in starts if np.array_equal(whole[row : row + len(part)], part))
