# SPDX-License-Identifier: Apache-2.0
"""From the text of a value to its type: numbers, dates, identifiers, members of a closed set.

What cannot be decided is not decided: a date such as 03/04/2024 stays a text, and both of its readings are told.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import import_module
from typing import Any

from finesight.apps.evidence import Status
from finesight.apps.extract.schema import Node
from finesight.apps.extras import required
from finesight.apps.numbers import amounts, plain
from finesight.errors import ConfigError
from finesight.inputs import shown

__all__ = ["Typed", "check_format", "date_readings", "typed"]

_DAY, _YEAR = r"(?<!\d)(\d{1,2})", r"(\d{4}|\d{2})(?!\d)"
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?!\d)\s*日?")
_DOTTED = re.compile(rf"{_DAY}\s*\.\s*{_DAY}\s*\.\s*{_YEAR}")
_EITHER = re.compile(rf"{_DAY}\s*([-/])\s*{_DAY}\s*\2\s*{_YEAR}")
_TIME = re.compile(r"(?:[T\s,]+|^)(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(Z|[-+]\d{2}:?\d{2})?\s*$")
_HAS_NAME = re.compile(r"[^\W\d]{3}")
_PIVOT = 70
"""Years of two digits below it are of this century."""
_TRUE = frozenset(
    {"true", "yes", "x", "selected", "checked", "☒", "☑", "✓", "✔", "ja", "oui", "sí", "是"}
)
_FALSE = frozenset({"false", "no", "unselected", "unchecked", "☐", "nein", "non", "否"})
_ORDINARY = frozenset(
    (
        *(
            "email",
            "idn-email",
            "hostname",
            "idn-hostname",
            "ipv4",
            "ipv6",
            "uri",
            "uri-reference",
            "uri-template",
        ),
        *(
            "iri",
            "iri-reference",
            "uuid",
            "regex",
            "json-pointer",
            "relative-json-pointer",
            "duration",
            "password",
        ),
        *(
            "byte",
            "binary",
            "base64",
            "base64url",
            "json-string",
            "int32",
            "int64",
            "float",
            "double",
            "decimal",
        ),
        *(
            "path",
            "file-path",
            "directory-path",
            "color",
            "phone",
            "name-email",
            "multi-host-uri",
            "uuid1",
            "uuid3",
        ),
        *(
            "uuid4",
            "uuid5",
            "uuid6",
            "uuid7",
            "uuid8",
            "ipvanyaddress",
            "ipvanynetwork",
            "ipvanyinterface",
        ),
        *("ipv4network", "ipv6network", "ipv4interface", "ipv6interface"),
    )
)
"""Formats of JSON Schema, OpenAPI and pydantic that are texts and are left as they are."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


@dataclass(frozen=True, slots=True)
class Typed:
    """A value of the type that its schema asks for.

    Attributes:
        value: the text itself where the type cannot be had.
        status: "found", or "invalid" if the text is not of the type or the type is not decided.
        problem: why, in words.
    """

    value: Any
    status: Status = "found"
    problem: str = ""


def typed(raw: str, node: Node, *, mark: str = "") -> Typed:
    """The value of a text.

    Args:
        raw: the text as it was read, not empty.
        node: resolved schema of the value.
        mark: decimal mark of the document, if it is known; `x-decimal` of the schema comes first.
    """
    if "enum" in node or "const" in node:
        return _member(raw, list(node.get("enum", [node.get("const")])))
    given = node.get("type", "string")
    types = (given,) if isinstance(given, str) else tuple(given)
    if "integer" in types or "number" in types:
        found = _number(raw, node.get("x-decimal", mark), is_whole="number" not in types)
        return Typed(raw) if found.status == "invalid" and "string" in types else found
    if "boolean" in types:
        word = plain(raw).strip().casefold()
        if word in _TRUE | _FALSE:
            return Typed(word in _TRUE)
        return Typed(raw, "invalid", f"{raw!r} is neither true nor false")
    return _formatted(raw, node)


def check_format(name: str) -> None:
    """Refuse a format that is neither known nor a module of python-stdnum.

    Raises:
        ConfigError: it is not known.
        AppError: python-stdnum is not installed.
    """
    if name in _ORDINARY or name in ("date", "date-time", "time"):
        return
    with required("python-stdnum", f"the format {name}"):
        import stdnum

        del stdnum
    if _IDENTIFIER.fullmatch(name):
        with suppress(ImportError):
            if "is_valid" in vars(import_module(f"stdnum.{name}")):
                return
    raise ConfigError(
        f"the schema has the format {shown(name)}, which is not known",
        hint="formats are date, date-time, time, other formats of JSON Schema such as email, and modules of "
        "python-stdnum such as iban, isbn or eu.vat",
    )


def date_readings(raw: str, order: str = "") -> tuple[date, ...]:
    """Days that a text can mean; none if it is no date, or several dates.

    Args:
        raw: such as "2024-03-04", "4.3.24", "March 4, 2024" or "2024年3月4日".
        order: "DMY" or "MDY" for dates with strokes; empty if it is not known.
    """
    text = plain(raw).strip()
    matches = [match for form in (_YEAR_FIRST, _DOTTED, _EITHER) for match in form.finditer(text)]
    if matches:
        found = {days for match in matches if (days := _meant(match, order))}
        return found.pop() if len(found) == 1 else ()
    return _with_name(raw) if _HAS_NAME.search(text) and re.search(r"\d", text) else ()


def _meant(match: re.Match[str], order: str) -> tuple[date, ...]:
    """Days that one date in digits can mean."""
    if match.re is _YEAR_FIRST:
        return _days((match[1], match[2], match[3]))
    if match.re is _DOTTED:
        return _days((match[3], match[2], match[1]))
    first, _, second, year = match.groups()
    by_order = {"DMY": (year, second, first), "MDY": (year, first, second)}
    return _days(*([by_order[order]] if order in by_order else by_order.values()))


def _days(*parts: tuple[str, str, str]) -> tuple[date, ...]:
    found = []
    for year, month, day in parts:
        number = int(year)
        if len(year) == 2:
            number += 2000 if number < _PIVOT else 1900
        try:
            found.append(date(number, int(month), int(day)))
        except ValueError:
            continue
    return tuple(dict.fromkeys(found))


def _with_name(raw: str) -> tuple[date, ...]:
    """A date whose month is a word, in any language that dateparser knows."""
    with required("dateparser", "a date with the name of a month"):
        import dateparser
    found = dateparser.parse(
        raw,
        settings={
            "REQUIRE_PARTS": ["day", "month", "year"],
            "STRICT_PARSING": True,
            "PARSERS": ["custom-formats", "absolute-time"],  # "in 30 days" is no date of a page
        },
    )
    return (found.date(),) if found else ()


def _formatted(raw: str, node: Node) -> Typed:
    name = str(node.get("format", ""))
    if name in ("date", "date-time"):
        return _date(raw, str(node.get("x-date-order", "")), with_time=name == "date-time")
    if name == "time":
        match = _TIME.search(plain(raw).strip())
        if match is None or int(match[1]) > 23 or int(match[2]) > 59:
            return Typed(raw, "invalid", f"{raw!r} is no time")
        return Typed(f"{int(match[1]):02}:{match[2]}:{match[3] or '00'}{match[4] or ''}")
    if name and name not in _ORDINARY and _IDENTIFIER.fullmatch(name):
        return _identifier(raw, name)
    return Typed(raw)


def _date(raw: str, order: str, *, with_time: bool) -> Typed:
    days = date_readings(raw, order)
    if not days:
        return Typed(raw, "invalid", f"{raw!r} is no date, or several dates")
    if len(days) > 1:
        both = " or ".join(day.isoformat() for day in days)
        problem = f"{raw!r} can be {both}; x-date-order in the schema decides"
        return Typed(raw, "invalid", problem)
    if not with_time:
        return Typed(days[0].isoformat())
    clock = _TIME.search(plain(raw).strip())
    if clock is None:
        return Typed(raw, "invalid", f"{raw!r} has no time of day")
    return Typed(
        f"{days[0].isoformat()}T{int(clock[1]):02}:{clock[2]}:{clock[3] or '00'}{clock[4] or ''}"
    )


def _number(raw: str, mark: str, *, is_whole: bool) -> Typed:
    found = amounts(raw, mark)
    if is_whole:
        found = tuple(one for one in found if one == one.to_integral_value())
    if not found:
        kind = "whole number" if is_whole else "number"
        return Typed(raw, "invalid", f"{raw!r} is not one {kind}")
    problem = ""
    if len(found) > 1:
        both = " or ".join(str(one) for one in found)
        problem = f"{raw!r} can be {both}; the first is taken, x-decimal in the schema decides"
    return Typed(_json_number(found[0]), "found", problem)


def _json_number(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def _member(raw: str, members: list[Any]) -> Typed:
    word = " ".join(raw.split()).casefold()
    for one in members:
        text = one if isinstance(one, str) else json.dumps(one)
        if " ".join(text.split()).casefold() == word:
            return Typed(one)
    return Typed(raw, "invalid", f"{raw!r} is none of {', '.join(map(str, members))[:200]}")


def _identifier(raw: str, name: str) -> Typed:
    """An identifier with check digits, without its spaces; an unknown format is left as a text."""
    with required("python-stdnum", f"the format {name}"):
        import stdnum

        del stdnum
    try:
        module = import_module(f"stdnum.{name}")
    except ImportError:
        return Typed(raw, "found", f"the format {name} is not known and was not checked")
    if not module.is_valid(raw):
        return Typed(raw, "invalid", f"{raw!r} is no valid {name}: its check digits are wrong")
    return Typed(module.compact(raw))
