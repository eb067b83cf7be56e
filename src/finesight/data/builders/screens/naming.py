# SPDX-License-Identifier: Apache-2.0
"""Phrases for elements of a screen that are shown, and for others that are not."""

from __future__ import annotations

import random

from finesight.data.builders.screens.content import ACTIONS, MENU, OPTIONS
from finesight.data.builders.screens.elements import ROLES, Reference, Screen, alike_icon
from finesight.data.sources.interface import ICONS

__all__ = ["absent", "bare", "draw_name", "with_article"]

LABELS = (*ACTIONS, *MENU, *OPTIONS)
WEIGHTS = {"text": 0.5, "role": 0.2, "icon": 0.25, "colour": 0.05}
"""Ways to name an element, with their weights where a screen allows them."""


def draw_name(
    rng: random.Random, screen: Screen, is_absent: bool
) -> tuple[list[int], Reference] | None:
    """An element and a phrase for it alone; None if no element has such a phrase.

    Args:
        rng: random generator.
        screen: the screen.
        is_absent: whether to name something that the screen does not show; the list of elements is then empty.
    """
    if is_absent:
        return [], absent(rng, screen)
    by: dict[str, list[tuple[int, Reference]]] = {}
    for index in screen.asked():
        for reference in screen.references(screen.elements[index]):
            by.setdefault(reference.by, []).append((index, reference))
    if not by:
        return None
    ways = sorted(by)
    index, reference = rng.choice(by[rng.choices(ways, [WEIGHTS[way] for way in ways])[0]])
    return [index], reference


def absent(rng: random.Random, screen: Screen) -> Reference:
    """A phrase for something that this screen does not show."""
    roll = rng.random()
    if screen.icons is not None and roll < 0.45:
        shown = {element.role for element in screen.elements}
        roles = [
            ROLES[role]
            for role in ("searchbox", "checkbox", "switch", "slider")
            if role not in shown
        ]
        icons = [f"{name} icon" for name in ICONS if not screen.icons[alike_icon(name)]]
        if nouns := roles if roll < 0.1 else icons:
            return Reference("absent", f"the {rng.choice(nouns)}")
    label = rng.choice([label for label in LABELS if label.lower() not in screen.words])
    return Reference("absent", f'the "{label}" button' if roll < 0.8 else f'"{label}"')


def bare(phrase: str) -> str:
    """The phrase without an article and without quotes, for prompts that put it between quotes."""
    return phrase.removeprefix("the ").replace('"', "")


def with_article(phrase: str) -> str:
    """The phrase with an indefinite article."""
    if not phrase.startswith("the "):
        return f"the text {phrase}"
    noun = phrase.removeprefix("the ")
    return f"{'an' if noun.strip(chr(34))[:1].lower() in 'aeiou' else 'a'} {noun}"
