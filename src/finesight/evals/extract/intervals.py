# SPDX-License-Identifier: Apache-2.0
"""Stretches of time in answers about one event.

`EVENT_INTERVAL` is ours: JSON, "a - b", "starts at 4 and ends at 8", `mm:ss.ff`, units. `LMMS_INTERVAL` is the rule
of lmms-eval for Charades-STA, which takes no sentence with both ends in it unless a dash or "to" joins them.

Both give `[start, end]` in seconds, the ends in order, of the first event said.
"""

from __future__ import annotations

import re

from finesight.errors import ParseError
from finesight.evals.task import Answered, Extractor
from finesight.parse.events import read_events
from finesight.parse.times import parse_time

LONGEST_READ = 4000
"""Characters of an answer that are looked at; one event needs a line."""

_NUMBER = r"\d{1,7}(?:\.\d{1,6})?"
_PAIR = re.compile(rf"[\[(]\s{{0,4}}({_NUMBER})\s{{0,4}},\s{{0,4}}({_NUMBER})\s{{0,4}}[\])]")
_TIME = rf"(?<![\d.:])(\d{{1,2}}(?::\d{{2}}){{1,2}}(?:\.\d{{1,6}})?|{_NUMBER})(?![\d:])"
_RANGE = re.compile(rf"{_TIME}\s{{0,4}}(?:s|seconds)?\s{{0,4}}(?:-|to)\s{{0,4}}{_TIME}")
_FIRST = re.compile(_TIME)
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
    """A range anywhere, else the first time of each of two lines that speak of a start or an end."""
    text = answered.text[:LONGEST_READ].lower().replace(_EXAMPLE, "")
    if match := _RANGE.search(text):
        found = [match[1], match[2]]
    else:
        lines = [line for line in re.split(r"[!?\n]", text) if any(k in line for k in _KEYWORDS)]
        found = [match[1] for line in lines if (match := _FIRST.search(line))][:2]
    if len(found) < 2:
        return None
    try:
        return sorted(parse_time(time) for time in found)
    except ParseError:  # 75 seconds after a colon
        return None


EVENT_INTERVAL = Extractor("event-interval", "1", _event)
"""Ours; None where no time is said. A moment has two equal ends."""
LMMS_INTERVAL = Extractor("lmms-interval", "1", _lmms)
"""As published; None where it would give nothing."""
