# SPDX-License-Identifier: Apache-2.0
"""A tolerant single-pass JSON parser for model output.

Accepted beyond JSON: trailing, missing and doubled commas, single and curly quotes, bare keys,
comments, Python's `None`, `True`, `False` and tuples, quotes inside quotes that were not escaped,
single backslashes of LaTeX, line breaks inside strings, a missing closing bracket.
`NaN` and infinities become null.

The scanner never goes back: each character is read a bounded number of times, so any text
takes linear time. A structure that ends early keeps its complete entries; `open_levels` counts the
containers along the path of last entries that were never closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from finesight.parse.records import JsonValue, Span

MAX_DEPTH = 64
"""Maximum nesting of containers."""

_CLOSERS = {"[": "]", "{": "}", "(": ")"}
_QUOTES = {'"': '"', "'": "'", "“": "”"}
_STRING_STOPS = {quote: re.compile(rf"[{close}\\\n]") for quote, close in _QUOTES.items()}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_RARE_ESCAPES = "bf"  # before a letter they begin LaTeX such as \beta and \frac
_WORDS: dict[str, JsonValue] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_UNSET_WORDS = ("undefined", "NaN", "nan", "Infinity", "inf")
_GAP = re.compile(r"[\s\ufeff,，]*+")
_BLANK = re.compile(r"\s*+")
_NUMBER = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?(?![\w.])")
_WORD = re.compile(r"[-+]?([A-Za-z_$][\w$]*+)")
_UNICODE = re.compile(r"u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?")
_LONGEST_INT = 308  # digits; integers up to here convert to finite floats


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBlock:
    """One list or object found in a text.

    Attributes:
        value: the parsed value; containers that were not closed contain only complete entries.
        span: where it is in the text.
        state: "closed", "cut" (the text or its fence ended first) or "broken" (not JSON from
            `span[1]` on).
        open_levels: number of containers along the path of last entries that were never closed.
        num_keys: number of keys, in all objects together.
        num_unset: values that became null because they were missing or are not a finite number.
        is_fenced: whether it is in a fence.
        repeated: keys that occur more than once in one object; the last counts.
        num_comments: comments between its values.
    """

    value: list[JsonValue] | dict[str, JsonValue]
    span: Span
    state: Literal["closed", "cut", "broken"]
    open_levels: int
    num_keys: int
    num_unset: int = 0
    is_fenced: bool = False
    repeated: tuple[str, ...] = ()
    num_comments: int = 0


class _Frame:
    """A container that is being read."""

    __slots__ = ("closer", "items", "key", "members", "repeated")

    def __init__(self, opener: str, repeated: dict[str, None]) -> None:
        self.repeated = repeated
        self.closer = _CLOSERS[opener]
        self.members: dict[str, JsonValue] = {}
        self.items: list[JsonValue] = []
        self.key: str | None = None

    @property
    def value(self) -> list[JsonValue] | dict[str, JsonValue]:
        return self.members if self.closer == "}" else self.items

    def add(self, value: JsonValue) -> None:
        if self.closer != "}":
            self.items.append(value)
        elif self.key is not None:
            if self.key in self.members:
                self.repeated[self.key] = None
            self.members.pop(self.key, None)  # the last of two equal keys counts, and comes last
            self.members[self.key] = value
            self.key = None


class Scanner:
    """Reads the blocks of one region of a text.

    Args:
        text: the whole text.
        start: offset at which the region begins.
        end: offset at which it ends.
        is_fenced: whether the region is a fence; copied into the blocks.
    """

    def __init__(self, text: str, start: int, end: int, *, is_fenced: bool) -> None:
        self._text = text
        self._end = end
        self._is_fenced = is_fenced
        self._last_comment_end = text.rfind("*/", start, end)

    def read(self, start: int) -> JsonBlock:
        """Read the list or object whose opening bracket is at `start`."""
        self._repeated: dict[str, None] = {}
        root = _Frame(self._text[start], self._repeated)
        self._stack = [root]
        self._num_keys = self._num_unset = self._num_comments = 0
        at: int | None = start + 1
        reached = start + 1
        while self._stack and at is not None:
            reached = self._skip(at)
            if reached >= self._end:
                break
            at = self._step(reached)
            reached = reached if at is None else at
        is_cut = self._stack and reached >= self._end
        return JsonBlock(
            value=root.value,
            span=(start, min(reached, self._end)),
            state="cut" if is_cut else "broken" if self._stack else "closed",
            open_levels=len(self._stack),
            num_keys=self._num_keys,
            num_unset=self._num_unset,
            is_fenced=self._is_fenced,
            repeated=tuple(self._repeated),
            num_comments=self._num_comments,
        )

    def _skip(self, at: int) -> int:
        """The offset after white space, commas and comments."""
        text, end = self._text, self._end
        while True:
            gap = _GAP.match(text, at, end)
            at = gap.end() if gap else at
            if text.startswith(("//", "#"), at) and at < end:
                self._num_comments += 1
                line_end = text.find("\n", at, end)
                at = end if line_end < 0 else line_end
            elif text.startswith("/*", at) and at + 2 <= self._last_comment_end:
                self._num_comments += 1
                at = text.find("*/", at + 2, end) + 2
            else:
                return at

    def _step(self, at: int) -> int | None:
        """Read one bracket, key or value; None if the text is not JSON."""
        top, char = self._stack[-1], self._text[at]
        if char in "]})":
            return self._close(at, char)
        if top.closer == "}" and top.key is None:
            return self._key(at, top)
        if char in _CLOSERS:
            if len(self._stack) >= MAX_DEPTH:
                return None
            frame = _Frame(char, self._repeated)
            top.add(frame.value)
            self._stack.append(frame)
            return at + 1
        if char in _QUOTES:
            string, after = self._string(at, top)
            if string is None:
                return after if after >= self._end else None
            top.add(string)
            return after
        return self._scalar(at, top)

    def _close(self, at: int, char: str) -> int | None:
        """Close the innermost container that this bracket matches, and all within it."""
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index].closer == char:
                for frame in self._stack[index:]:
                    if frame.key is not None:  # a key without a value
                        frame.add(None)
                        self._num_unset += 1
                del self._stack[index:]
                return at + 1
        return None

    def _key(self, at: int, top: _Frame) -> int | None:
        """Read `key :`."""
        key: str | None
        if self._text[at] in _QUOTES:
            key, after = self._string(at, top)
        else:
            match = _WORD.match(self._text, at, self._end) or _NUMBER.match(
                self._text, at, self._end
            )
            key, after = (match.group(), match.end()) if match else (None, at)
        if key is None:
            return after if after >= self._end else None
        colon = self._skip(after)
        if colon >= self._end:
            return self._end
        if self._text[colon] not in ":：":
            return None
        self._num_keys += 1
        top.key = key
        return colon + 1

    def _scalar(self, at: int, top: _Frame) -> int | None:
        """Read a number or a word; one at the very end is left out, since it may be cut off."""
        number = _NUMBER.match(self._text, at, self._end)
        word = None if number else _WORD.match(self._text, at, self._end)
        match = number or word
        if match is None:
            return None
        if match.end() >= self._end:
            return self._end
        if word:
            if word.group(1) not in _WORDS and word.group(1) not in _UNSET_WORDS:
                return None
            self._num_unset += word.group(1) in _UNSET_WORDS
            top.add(_WORDS.get(word.group(1)))
        else:
            value = _number(match.group())
            self._num_unset += value is None
            top.add(value)
        return match.end()

    def _string(self, at: int, top: _Frame) -> tuple[str | None, int]:
        """Read a string, or None if it is not closed, and the offset at which reading stopped."""
        text, end, quote = self._text, self._end, self._text[at]
        stops = _STRING_STOPS[quote]
        parts: list[str] = []
        at += 1
        while stop := stops.search(text, at, end):
            parts.append(text[at : stop.start()])
            at = stop.end()
            if stop.group() == "\\":
                piece, at = _escape(text, at, end)
            elif stop.group() == "\n":
                blank = _BLANK.match(text, at, end)
                at = blank.end() if blank else at
                if text[at : at + 1] in ("{", "}", "]"):
                    return None, stop.start()  # the closing quote of this line is missing
                piece = text[stop.start() : at]
            elif self._ends_string(at, top):
                return "".join(parts), at
            else:
                piece = stop.group()
            parts.append(piece)
        return None, end

    def _ends_string(self, at: int, top: _Frame) -> bool:
        """Whether the quote before `at` closes its string, judged by the next characters."""
        blank = _BLANK.match(self._text, at, self._end)
        after = blank.end() if blank else at
        if after >= self._end:
            return True
        char = self._text[after]
        if char in ",:]}，：#" or char == top.closer or self._text.startswith(("//", "/*"), after):
            return True
        return char in _QUOTES and "\n" in self._text[at:after]  # only the comma is missing


def _number(text: str) -> JsonValue:
    """An exact int or a float; null if not finite."""
    digits = text.lstrip("+-")
    if len(digits) <= _LONGEST_INT and digits.isdigit():
        return int(text)
    value = float(text)
    return value if abs(value) != float("inf") else None


def _escape(text: str, at: int, end: int) -> tuple[str, int]:
    """Decode the escape after a backslash at `at - 1`; unknown escapes and LaTeX stay as written."""
    char, after = text[at : min(at + 1, end)], text[at + 1 : min(at + 2, end)]
    if char in _ESCAPES and not (char in _RARE_ESCAPES and after.isalpha()):
        return _ESCAPES[char], at + 1
    if char == "u" and (match := _UNICODE.match(text, at, end)):
        high, low = int(match.group(1), 16), match.group(2)
        if 0xD800 <= high < 0xDC00 and low:
            return chr(0x10000 + ((high - 0xD800) << 10) + int(low, 16) - 0xDC00), match.end()
        lone = 0xD800 <= high < 0xE000
        return "\ufffd" if lone else chr(high), at + 5
    if char and char in "\"'\\/":
        return char, at + 1
    return "\\", at
