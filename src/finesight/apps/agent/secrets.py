# SPDX-License-Identifier: Apache-2.0
"""Secrets by name: a model writes `{{secret:NAME}}`, and the value is put in just before it is typed.

A secret belongs to one origin and is typed only into private fields there. Its value is in no prompt and in no stored
text or picture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

from PIL import Image, ImageDraw

from finesight.apps.agent.records import Step
from finesight.browser.reach import origin_of
from finesight.elements import ScreenElement
from finesight.errors import ActionRefused, ConfigError

__all__ = ["Secret", "Secrets", "split_at_secrets", "variable_of"]

_NAMED = re.compile(r"\{\{\s*secret:\s*([\w.-]+)\s*\}\}")
_TEXTS = ("place", "replies", "act", "call", "words", "element", "gate", "problem")
"""Fields of a step that may hold what a screen or a model has written; its warnings and remarks are hidden before."""
_PRIVATE = ("password", "one-time-code")
_LEAST_LETTERS = 4
"""A shorter secret would be found in ordinary words, and hiding those would show what it is."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is typed but never shown.

    Attributes:
        name: what a model writes for it.
        value: what is typed.
        origin: such as "https://shop.example"; on other screens than web pages, the name with which
            `Observation.place` begins, such as that of an app.
    """

    name: str
    value: str
    origin: str

    def __post_init__(self) -> None:
        if len(self.value) < _LEAST_LETTERS:
            raise ConfigError(
                f"secret {self.name!r} has {len(self.value)} letters, fewer than {_LEAST_LETTERS}",
                hint="is its environment variable set?",
            )

    def __repr__(self) -> str:
        return f"Secret(name={self.name!r}, origin={self.origin!r})"


class Secrets:
    """All secrets of a run."""

    def __init__(self, secrets: Sequence[Secret] = ()) -> None:
        self._by_name = {each.name: each for each in secrets}
        self._spelled = {
            form: f"{{{{secret:{each.name}}}}}"
            for each in secrets
            for form in (each.value, quote(each.value, safe=""), quote_plus(each.value), escape(each.value))
        }  # fmt: skip
        # The longest first: the value of one secret may begin with that of another.
        longest = sorted(self._spelled, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest)) or "(?!)")

    def names(self, place: str) -> list[str]:
        """Names of the secrets that may be typed at a place."""
        return [each.name for each in self._by_name.values() if _belongs(each, place)]

    def used_in(self, text: str) -> list[str]:
        """Names that a text asks for."""
        return _NAMED.findall(text)

    def typed(self, text: str, place: str, element: ScreenElement | None) -> str:
        """The text with the values put in.

        Args:
            text: what is to be typed.
            place: where it would go, see `Observation.place`.
            element: the field that has the focus.

        Raises:
            ActionRefused: a secret is unknown or belongs to another origin, or the field is not private.
        """
        used = self.used_in(text)
        for name in used:
            secret = self._by_name.get(name)
            where = "" if element is None else element.traits.get("document", "")
            if secret is None or not _belongs(secret, where or place):
                raise ActionRefused(f"there is no secret {name!r} for {_origin(where or place)}")
            if element is not None and not is_private(element):
                raise ActionRefused(
                    f"secret {name!r} is typed only into private fields; {element.name[:60]!r} is not"
                )
        return _NAMED.sub(lambda found: self._by_name[found[1]].value, text)

    def hidden(self, text: str) -> str:
        """The text with names instead of values, also of values as they are written in addresses and HTML."""
        return self._values.sub(lambda found: self._spelled[found[0]], text)

    def hidden_in(self, value: Any) -> Any:
        """A text, or a list or object of JSON, with `hidden` applied to every text in it."""
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, Mapping):
            return {key: self.hidden_in(each) for key, each in value.items()}
        return type(value)(map(self.hidden_in, value)) if isinstance(value, list | tuple) else value

    def hidden_step(self, step: Step) -> Step:
        """A step without secrets, as it is stored."""
        texts = {name: self.hidden_in(getattr(step, name)) for name in _TEXTS}
        return replace(step, **texts)

    def masked(self, picture: Image.Image, elements: Sequence[ScreenElement]) -> Image.Image:
        """A copy of a screenshot without the contents of private fields and without any secret's value."""
        hidden = [each for each in elements if is_private(each) or self._shows(each)]
        if not hidden:
            return picture
        copy = picture.copy()
        draw = ImageDraw.Draw(copy)
        for each in hidden:
            grow = (
                -2 if is_private(each) else 3
            )  # the frame of a field stays, letters reach beyond the box of a text
            box = each.box
            edges = (box.x1 - grow, box.y1 - grow, box.x2 + grow - 1, box.y2 + grow - 1)
            if edges[0] <= edges[2] and edges[1] <= edges[3]:
                draw.rectangle(edges, fill=(128, 128, 128))
        for each in elements:
            if is_private(each) and each.value:
                middle = each.box.center
                draw.text((each.box.x1 + 6, middle.y - 6), "* * * *", fill=(255, 255, 255))
        return copy

    def _shows(self, element: ScreenElement) -> bool:
        shown = f"{element.name} {element.value}"
        return self.hidden(shown) != shown


def variable_of(name: str) -> str:
    """The environment variable that has the value of a secret."""
    return "FINESIGHT_SECRET_" + re.sub(r"\W", "_", name, flags=re.ASCII).upper()


def split_at_secrets(text: str) -> list[tuple[str, bool]]:
    """The parts of a text in order, without empty ones: plain text, and names of secrets, which are marked."""
    parts = [(part, bool(index % 2)) for index, part in enumerate(_NAMED.split(text))]
    return [(part, is_secret) for part, is_secret in parts if part]


def is_private(element: ScreenElement) -> bool:
    """Whether a field is for passwords, codes or cards."""
    traits = element.traits
    return (
        traits.get("type") in _PRIVATE
        or traits.get("autocomplete", "").startswith(("cc-", "one-time-code"))
        or (element.role.lower() in ("password text", "passwordtext"))
    )


def _belongs(secret: Secret, place: str) -> bool:
    if origin := origin_of(place):
        return origin_of(secret.origin) == origin
    if not secret.origin or not place.startswith(secret.origin):
        return False
    # "org.bank" is not the app "org.bank.copy".
    return re.match(r"\w[\w.-]", secret.origin[-1] + place[len(secret.origin) :]) is None


def _origin(place: str) -> str:
    return origin_of(place) or place or "this screen"
