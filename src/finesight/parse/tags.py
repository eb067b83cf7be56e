# SPDX-License-Identifier: Apache-2.0
"""Tokenises the XML and HTML that models write into tags and text.

It is not an XML parser: tags need not nest or close, unknown names are returned too,
and a tag that the end of the text cuts off is reported by `cut_tag`. A tag ends before the next "<" at the
latest, so time is linear.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from finesight.parse.records import Span

_TAG = re.compile(
    r"""<(?P<close>/?)(?P<name>[A-Za-z][\w:-]*+)
        (?P<attributes>(?:[^<>"']++|"[^"<]*"|'[^'<]*')*+|[^<>]*+)>""",
    re.VERBOSE,
)
_CUT_TAG = re.compile(r"</?[A-Za-z][^<>]*\Z|<\Z|</\Z")
_DECLARATION = re.compile(r"<![A-Za-z][^<>]*+>")
_ATTRIBUTE = re.compile(
    r"""(?<![\w:.-])(?P<name>[A-Za-z_][\w:.-]*+)\s*+
        (?:=\s*+(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s"'>]++)))?""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[-+]?(?:\d{1,12}(?:\.\d*+)?|\.\d++)")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag.

    Attributes:
        name: in lower case.
        start: offset of its "<".
        end: offset past its ">".
        is_closing: written as `</name>`.
        is_empty: written as `<name/>`.
        attributes: names in lower case; a name without a value has "".
    """

    name: str
    start: int
    end: int
    is_closing: bool = False
    is_empty: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


def find_tags(text: str, start: int = 0, end: int | None = None) -> Iterator[Tag]:
    """All tags of a part of a text, in order."""
    for match in _TAG.finditer(text, start, len(text) if end is None else end):
        body = match["attributes"]
        yield Tag(
            name=match["name"].lower(),
            start=match.start(),
            end=match.end(),
            is_closing=bool(match["close"]),
            is_empty=body.rstrip().endswith("/"),
            attributes=_attributes(body) if "=" in body or not match["close"] else {},
        )


def cut_tag(text: str, start: int = 0, end: int | None = None) -> int | None:
    """Offset of a tag that the end of the part cuts off; None if there is none."""
    stop = len(text) if end is None else end
    last = text.rfind("<", start, stop)
    if last < 0:
        return None
    return last if _CUT_TAG.match(text[last:stop]) else None


def find_comments(text: str, start: int, end: int) -> tuple[list[Span], bool]:
    """Spans of comments and `<!doctype>`, and whether the last comment is not closed."""
    spans = [match.span() for match in _DECLARATION.finditer(text, start, end)]
    at = text.find("<!--", start, end)
    while at >= 0:
        close = text.find("-->", at, end)
        if close < 0:
            return [*spans, (at, end)], True
        spans.append((at, close + 3))
        at = text.find("<!--", close + 3, end)
    return spans, False


def unescape(text: str) -> str:
    """Decode character references; one with thousands of digits stays as written."""
    try:
        return html.unescape(text)
    except ValueError:  # Python refuses to convert so many digits to an int
        return text


def read_numbers(text: str) -> list[float] | None:
    """Numbers separated by spaces, commas and brackets; None if the text contains anything else."""
    words = text.translate(_SEPARATORS).split()
    return [float(word) for word in words] if all(map(_NUMBER.fullmatch, words)) else None


_SEPARATORS = str.maketrans(dict.fromkeys(",;()[]", " "))


def _attributes(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(body):
        value = match["double"] or match["single"] or match["bare"] or ""
        if match["bare"]:
            value = value.rstrip("/") if match.end() == len(body) else value
        found.setdefault(match["name"].lower(), unescape(value))
    return found
