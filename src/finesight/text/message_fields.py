# SPDX-License-Identifier: Apache-2.0
"""Reads a dictionary key by key and refuses unknown keys.

Every key that is read becomes a known name. `finish` refuses all keys that were not read and
suggests the nearest known names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from finesight.errors import ConfigError
from finesight.inputs import plain, plain_list, shown

_LONGEST_NAME = 100
"""Characters of a wrong name that are compared with the valid ones."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the messages, for error messages; both counts start at 0."""

    message: int
    index: int | None = None
    tool_call: int | None = None

    def part(self, index: int) -> Place:
        """The place of one part of this message."""
        return replace(self, index=index)

    def call(self, index: int) -> Place:
        """The place of one tool call of this message."""
        return replace(self, tool_call=index)

    def error(self, what: str, *, hint: str = "") -> ConfigError:
        """An error with this position."""
        where = f"message {self.message}"
        if self.tool_call is not None:
            where += f", tool call {self.tool_call}"
        if self.index is not None:
            where += f", part {self.index}"
        return ConfigError(f"{where}: {what}", hint=hint)


class Fields:
    """The keys of one dictionary, each read once.

    Args:
        mapping: the dictionary, or a pydantic model of a client.
        place: its position, for errors.

    Raises:
        ConfigError: it is neither.
    """

    def __init__(self, mapping: Any, place: Place) -> None:
        self._left: dict[str, Any] = dict(as_mapping(mapping, place))
        self._known: set[str] = set()
        self._place = place

    def has(self, key: str) -> bool:
        """Whether the key exists, was not read yet, and is not None."""
        self._known.add(key)
        return self._left.get(key) is not None

    def take(self, key: str) -> Any:
        """The value of a key; None if missing."""
        self._known.add(key)
        return self._left.pop(key, None)

    def merge(self, mapping: Mapping[str, Any], *, inside: str, less: Iterable[str] = ()) -> None:
        """Add the keys of a dictionary found inside this one, less some."""
        for key, value in mapping.items():
            if key in less:
                continue
            if self._left.get(key) is not None:
                raise self.error(f"{key} is given both in the part and inside {inside}")
            self._left[key] = value

    def text(self, key: str) -> str | None:
        """A string, or None if the key is missing."""
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            raise self.error(f"{key} is a {type(value).__name__}", hint="it is a string")
        return value

    def integer(self, key: str) -> int | None:
        """An integer, or None if the key is missing."""
        value = self.number(key)
        if value is None or value == int(value):
            return None if value is None else int(value)
        raise self.error(f"{key}={value} is no whole number")

    def number(self, key: str) -> float | None:
        """A finite, non-negative number, or None if the key is missing."""
        return self.as_number(key, self.take(key))

    def numbers(self, key: str) -> tuple[float, ...] | None:
        """A list or array of finite, non-negative numbers, or None if the key is missing."""
        value = plain_list(self.take(key))
        if value is None:
            return None
        if not isinstance(value, tuple):
            raise self.error(f"{key} is a {type(value).__name__}, not a list of numbers")
        numbers = [self.as_number(f"{key}[{place}]", item) for place, item in enumerate(value)]
        if None in numbers:
            raise self.error(f"{key}[{numbers.index(None)}] is None, not a number")
        return tuple(number for number in numbers if number is not None)

    def error(self, what: str, *, hint: str = "") -> ConfigError:
        """An error with the position of this dictionary."""
        return self._place.error(what, hint=hint)

    def as_number(self, key: str, value: Any) -> float | None:
        """Check that a value is a finite, non-negative number, possibly written as text.

        Scalars of numpy are numbers too; None stays None.
        """
        value = plain(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.error(f"{key}={value!r:.80} is a {type(value).__name__}, not a number")
        try:
            number = float(value)
        except (ValueError, OverflowError) as error:
            raise self.error(f"{key}={value!r:.80} is not a number") from error
        if not math.isfinite(number):
            raise self.error(f"{key}={value!s:.80} is not a finite number")
        if number < 0:
            raise self.error(f"{key}={value!s:.80} is negative", hint="it is 0 or above")
        return number

    def choice(self, key: str, options: Mapping[str, str]) -> str:
        """The value for one of several names."""
        value = self.take(key)
        if isinstance(value, str) and value in options:
            return options[value]
        raise self.error(
            f"{key} is {shown(value)}",
            hint=known_names(str(value), options),
        )

    def finish(self, *, without_effect: Iterable[str] = (), not_shown: Iterable[str] = ()) -> None:
        """Refuse every key that was not read, except those with the value None.

        Args:
            without_effect: keys that may have any value.
            not_shown: keys that must be empty.
        """
        for key, value in self._left.items():
            if value is None or key in without_effect:
                continue
            if key not in not_shown:
                raise self.error(
                    f"unknown key {shown(key)}", hint=known_names(str(key), self._known)
                )
            if not holds_nothing(value):
                raise self.error(
                    f"{key} is {value!s:.80}, which the model cannot be shown",
                    hint="write it into content, or leave the key out",
                )


def as_mapping(value: Any, place: Place) -> Mapping[str, Any]:
    """A dictionary unchanged, or the fields of a pydantic model.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(value, BaseModel):
        return value.model_dump()
    if not isinstance(value, Mapping):
        raise place.error(f"a {type(value).__name__} is given instead of a dictionary")
    return value


def holds_nothing(value: Any) -> bool:
    """Whether a value is null, false or empty, or contains only such values."""
    if isinstance(value, Mapping):
        return all(holds_nothing(inner) for inner in value.values())
    return value is None or value is False or (isinstance(value, (str, list, tuple)) and not value)


def known_names(name: str, options: Iterable[str]) -> str:
    """A hint with up to four valid names that are close to a wrong one; with all of them if none is close."""
    ordered = sorted(options)
    near = get_close_matches(name[:_LONGEST_NAME], ordered, n=4, cutoff=0.5)
    return f"nearest: {', '.join(near)}" if near else f"known: {', '.join(ordered)}"
