# SPDX-License-Identifier: Apache-2.0
"""Parses times as models write them: seconds, `mm:ss.ff`, hours-minutes-seconds, in sentences.

Legend: `ff` after a point is a decimal fraction of a second ("00:21.80" is 21.8 s). A fourth field
after a colon counts frames ("1:02:03:04"); it is refused, since the frame rate is not known. All values are
seconds on the clock of the text.
Source: Qwen2.5-VL cookbooks and the maintainers' advice on formats (seconds, or hmsf such as
01:23.45).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from finesight.errors import ParseError
from finesight.parse.records import Problem, Span

_NUMBER = r"(?>\d{1,7}(?:\.\d{1,40})?)"
_COLONS = r"(?>\d{1,4}:\d{1,2}(?::\d{1,2}){0,2}(?:[.,]\d{1,40})?)"
_CLOCK = r"(?>\d{1,4}(?::\d{2}){1,3}(?:[.,]\d{1,40})?)"
"""A single time needs two digits per field: 16:9 is a ratio."""
_HOURS = r"\d{1,4}\s?(?:hours?|hrs?|h|小时)"
_MINUTES = r"\d{1,6}\s?(?:minutes?|mins?|m|分钟|分)"
_GLUE = r"\s{0,2}(?:and\s{1,2})?"
_UNITS = (
    rf"(?:{_HOURS}{_GLUE})?(?:{_MINUTES}{_GLUE})?{_NUMBER}\s?(?:seconds?|secs?|s|秒)|"
    rf"{_HOURS}(?:{_GLUE}{_MINUTES})?|\d{{1,6}}\s?(?:minutes?|mins?|min|分钟)"
)
_TIMED = rf"(?:{_COLONS}(?![:.]?\d)(?:\s?s)?(?![A-Za-z0-9])|(?:{_UNITS})(?![A-Za-z0-9]))"
_TIMED_CLOCK = rf"(?:{_CLOCK}(?![:.]?\d)(?:\s?s)?(?![A-Za-z0-9])|(?:{_UNITS})(?![A-Za-z0-9]))"
_ANY = rf"(?:{_TIMED}|{_NUMBER}(?![A-Za-z0-9:]))"
_EDGE = r"(?<![A-Za-z0-9_.:,])"
_TO = r"\s{0,3}(?:-|–|—|~|to|until|till|through|至|到)\s{0,3}"
_SPAN = re.compile(rf"{_EDGE}({_ANY}){_TO}({_TIMED})", re.IGNORECASE)
_BARE_SPAN = re.compile(rf"{_EDGE}({_ANY}){_TO}({_ANY})", re.IGNORECASE)
_BETWEEN = re.compile(rf"\bbetween\s{{1,3}}({_ANY})\s{{1,3}}and\s{{1,3}}({_TIMED})", re.IGNORECASE)
_AT = rf"(?:ing|s)?(?:\s{{1,2}}times?)?(?:\s{{1,2}}is|\s?:)?\s{{1,3}}(?:at\s{{1,3}})?({_ANY})"
_START_END = re.compile(rf"\b(?:start|begin){_AT}\D{{0,40}}?\b(?:end|stop){_AT}", re.IGNORECASE)
_MOMENT = re.compile(
    rf"\b(?:at|around|about|in|after|@)\s{{1,3}}({_TIMED_CLOCK})(?!\s?[ap]\.?m)|{_EDGE}({_CLOCK})(?=[\])])",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"(?:(?P<h>\d{1,4}):)?(?P<m>\d{1,4}):(?P<s>\d{1,2}(?:[.,]\d{1,40})?)\s?s?"
    r"|\d{1,4}:\d{1,2}:\d{1,2}:(?P<frames>\d{1,3})",
    re.IGNORECASE,
)
_PART = re.compile(
    rf"({_NUMBER})\s?(hours?|hrs?|h|小时|minutes?|mins?|m|分钟|分|seconds?|secs?|s|秒)\s*(?:and\s+)?",
    re.IGNORECASE,
)
_SCALES = {"h": 3600.0, "小": 3600.0, "m": 60.0, "分": 60.0, "s": 1.0, "秒": 1.0}


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A time span found in a text; a moment has equal start and end.

    Attributes:
        start_seconds: as written; may be after `end_seconds`.
        end_seconds: as written.
        span: where it is in the text.
    """

    start_seconds: float
    end_seconds: float
    span: Span


def parse_time(text: str) -> float:
    """Parse one time: "64.0", "64.0s", "00:21.80", "1:02:03.04", "1m 5s".

    Args:
        text: the time and nothing else.

    Returns:
        Seconds.

    Raises:
        ParseError: the text is not a time, a field after a colon is 60 or more, or a fourth field counts frames.
    """
    trimmed = text.strip()[:64]
    match = _WHOLE.fullmatch(trimmed)
    if match and match["frames"] is None:
        return _from_colons(trimmed, match["h"], match["m"], match["s"].replace(",", "."))
    if match:
        raise ParseError(
            f"time {trimmed!r} counts frames and no frame rate is known",
            hint="ask for 'mm:ss.ff' or for seconds",
        )
    if re.fullmatch(_NUMBER, trimmed):
        return float(trimmed)
    return _from_units(trimmed)


def read_spans(text: str, *, bare_numbers: bool = False) -> tuple[TimeSpan, ...]:
    """All time spans of a text, in order; moments ("at 3.2 s") only if there is no span.

    Args:
        text: sentences such as "happens in 64.0 - 72.0 seconds", "from 3.2s to 5s", "starts at 4
            and ends at 8".
        bare_numbers: also read "5 - 15", where neither number has a unit.
    """
    return scan_spans(text, bare_numbers=bare_numbers)[0]


def scan_spans(
    text: str, *, bare_numbers: bool = False
) -> tuple[tuple[TimeSpan, ...], tuple[Problem, ...]]:
    """`read_spans`, and problems for invalid times, such as 75 seconds after a colon."""
    patterns = (_BARE_SPAN if bare_numbers else _SPAN, _BETWEEN, _START_END)
    matches = [match for pattern in patterns for match in pattern.finditer(text)]
    found: list[TimeSpan] = []
    problems: list[Problem] = []
    for match in sorted(matches or _MOMENT.finditer(text), key=lambda each: each.start()):
        if found and match.start() < found[-1].span[1]:
            continue
        groups = [group for group in match.groups() if group]
        try:
            start, end = _pair(groups[0], groups[-1])
        except ParseError as error:
            problems.append(Problem(match.span(), error.message))
        else:
            found.append(TimeSpan(start, end, match.span()))
    return tuple(found), tuple(problems)


def _pair(first: str, second: str) -> tuple[float, float]:
    """Start and end; a first number without unit has the unit of the second ("1 - 2 minutes")."""
    unit = re.search(r"[^\W\d_]+$", second.strip())
    is_bare = re.fullmatch(_NUMBER, first) is not None
    if is_bare and unit and ":" not in second and len(_PART.findall(second)) == 1:
        first += unit.group()
    return parse_time(first), parse_time(second)


def _from_colons(text: str, hours: str | None, minutes: str, seconds: str) -> float:
    """Sum the fields; minutes may exceed 59 only if there are no hours."""
    if float(seconds) >= 60 or (hours is not None and int(minutes) >= 60):
        raise ParseError(f"time {text!r} has a field of 60 or more after a colon")
    return int(hours or 0) * 3600.0 + int(minutes) * 60.0 + float(seconds)


def _from_units(text: str) -> float:
    """Sum "1h 2m 3.5s"; each number has a unit and nothing else is between them."""
    total, at = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != at:
            break
        total += float(part.group(1)) * _SCALES[part.group(2)[0].lower()]
        at = part.end()
    if at == 0 or at != len(text):
        raise ParseError(
            f"{text!r} is not a time", hint="known: seconds, mm:ss.ff, h:mm:ss.ff, '1m 5s'"
        )
    return total
