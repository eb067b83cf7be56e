# SPDX-License-Identifier: Apache-2.0
"""Time intervals of answers about one event.

`EVENT_INTERVAL` is ours: JSON, "a - b", "starts at 4 and ends at 8", `mm:ss.ff`, units. `LMMS_INTERVAL` is the rule
of lmms-eval for Charades-STA, which reads two numbers of seconds in one sentence only with a dash or "to" between them.

Both return `[start, end]` of the first event, in seconds and in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from finesight.evals.core.task import Answered, Extractor
from finesight.parse.events import read_events

LONGEST_READ = 4000
"""Characters of an answer that are read; one event needs a line."""

_NUMBER = r"\d{1,7}+(?:\.\d{1,60}+)?"
_PAIR = re.compile(rf"[\[(]\s{{0,4}}({_NUMBER})\s{{0,4}},\s{{0,4}}({_NUMBER})\s{{0,4}}[\])]")
_CLOCK = r"\b(\d{1,2}:\d{2}(?::\d{2})?)\b"
_SECONDS = r"(?<!\d)(\d{1,9}(?:\.\d{1,60})?)"
_LMMS_CLOCKS = re.compile(rf"{_CLOCK}\s{{0,9}}[–-]\s{{0,9}}{_CLOCK}")
_LMMS_RANGE = re.compile(rf"{_SECONDS}\s{{0,9}}[–-]\s{{0,9}}{_SECONDS}")
_LMMS_UNITS = re.compile(rf"{_SECONDS}\s{{0,9}}s?\s{{0,9}}[–-]\s{{0,9}}{_SECONDS}")
_LMMS_CLOCK = re.compile(_CLOCK)
_LMMS_NUMBER = re.compile(r"\b(\d{1,9}(?:\.\d{1,60})?)\b")
_EXAMPLE = "a specific example is : 20.8 - 30.0 seconds"
_KEYWORDS = ("start", "end", "happen")


def _event(answered: Answered) -> list[float] | None:
    text = answered.text[:LONGEST_READ]
    events = read_events(text, bare_numbers=True).events
    whole = [each for each in events if each.model_start_seconds < each.model_end_seconds]
    if whole:
        return [whole[0].model_start_seconds, whole[0].model_end_seconds]
    if match := _PAIR.search(text):
        return sorted(float(value) for value in match.groups())
    return [events[0].model_start_seconds, events[0].model_end_seconds] if events else None


def _lmms(answered: Answered) -> list[float] | None:
    """The first range in a line, else the first two clock times, else the first numbers of the first two lines.

    Only lines with one of `_KEYWORDS` are read, unless there are none.
    """
    text = answered.text[:LONGEST_READ].lower().replace(_EXAMPLE, "").replace("to", "-")
    lines = re.split(r"[!?\n]", text)
    lines = [line for line in lines if any(word in line for word in _KEYWORDS)] or lines
    found = (
        _first_range(_LMMS_CLOCKS, lines)
        or _first_range(_LMMS_RANGE, lines)
        or _two([time for line in lines for time in _LMMS_CLOCK.findall(line)])
        or _two([match[1] for line in lines if (match := _LMMS_NUMBER.search(line))])
        or _first_range(_LMMS_UNITS, lines)
    )
    return sorted(map(_lmms_seconds, found)) if found else None


def _first_range(pattern: re.Pattern[str], lines: Sequence[str]) -> tuple[str, ...] | None:
    matches = (pattern.search(line) for line in lines)
    return next((match.groups() for match in matches if match), None)


def _two(times: Sequence[str]) -> Sequence[str]:
    return times[:2] if len(times) > 1 else ()


def _lmms_seconds(time: str) -> float:
    """Seconds of hours, minutes and seconds; 75 after a colon is accepted."""
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total


EVENT_INTERVAL = Extractor("event-interval", "3", _event)
"""Ours; None without a time. A single time has equal ends."""
LMMS_INTERVAL = Extractor("lmms-interval", "4", _lmms)
"""As published; None without an interval."""
