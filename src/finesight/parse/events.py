# SPDX-License-Identifier: Apache-2.0
"""Events of a video in a reply: JSON objects with start and end, and sentences with times.

Sentences are read only if no JSON object gives a time, because a reply that lists its events often also
describes them in words.
Source: Qwen2.5-VL cookbook on video understanding ("happens in 64.0 - 72.0 seconds",
`start_time`/`end_time`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from finesight.errors import ParseError
from finesight.parse.coordinates import (
    LABEL_KEYS,
    equal_keys,
    has_place,
    label_of,
    named_place,
    plain_key,
)
from finesight.parse.json_block import JsonBlock, ObjectVisit, blank, find_blocks, walk
from finesight.parse.placement import name_in_object
from finesight.parse.records import AnswerEvent, Findings, JsonValue, Problem, Span
from finesight.parse.times import parse_time, read_spans, scan_spans

START_KEYS = ("starttime", "start", "startseconds", "begin", "starttimestamp")
END_KEYS = ("endtime", "end", "endseconds", "stop", "endtimestamp")
RANGE_KEYS = ("timestamp", "timestamps", "time", "timerange", "interval", "segment")
"""Keys in lower case, without punctuation."""
LIST_KEYS = (
    "relevantwindows",
    "windows",
    "timeranges",
    "intervals",
    "segments",
    "moments",
    "spans",
)
"""Keys in lower case, without punctuation. They are ordinary words too and count only with a list of time spans."""
_DESCRIPTION_KEYS = ("description", "event", "activity", "sentence", "caption", *LABEL_KEYS)
_LEADING = re.compile(r"\W*+(?:(?:from|between|at|during|in)\b)?\W*+$", re.IGNORECASE)
_LABEL_EDGES = " \t\n,;:.-–—[]()*"


def read_events(
    text: str,
    *,
    is_cut: bool = False,
    bare_numbers: bool = False,
    blocks: Sequence[JsonBlock] | None = None,
) -> Findings:
    """Read all events of a text.

    Args:
        text: the reply, or a part of it with the rest replaced by spaces.
        is_cut: whether the model was stopped before it ended its answer; a time at the very end is then
            left out.
        bare_numbers: also read "5 - 15" in a sentence, without a unit, as a time span.
        blocks: the JSON blocks of the text, if already found.

    Returns:
        Events in reading order, in seconds on the clock the model saw.
    """
    found_blocks = find_blocks(text) if blocks is None else blocks
    events: list[AnswerEvent] = []
    problems: list[Problem] = []
    for block in found_blocks:
        for visit in walk(block):
            try:
                events.extend(_from_object(visit, block.span))
            except ParseError as error:
                problems.append(Problem(block.span, error.message))
    if not events:
        rest = blank(text, [block.span for block in found_blocks if block.num_keys])
        in_sentences = _from_sentences(rest, is_cut=is_cut, bare_numbers=bare_numbers)
        events.extend(in_sentences.events)
        problems.extend(in_sentences.problems)
    return Findings(
        events=tuple(events),
        problems=tuple(problems),
        is_cut=any(block.state == "cut" for block in found_blocks),
    )


def _from_object(visit: ObjectVisit, span: Span) -> list[AnswerEvent]:
    """The events of one object; none if it has no time, or if it has a place too."""
    members = visit.members
    if has_place(members) or named_place(members, 4) is not None:
        return []
    start_key, end_key = _first(members, START_KEYS), _first(members, END_KEYS)
    range_key = _first(members, RANGE_KEYS) or _list_key(members)
    if not (start_key or end_key or range_key):
        return []
    if not visit.is_complete:
        raise ParseError("the object of an event is not closed")
    for first, second in equal_keys(members, (*START_KEYS, *END_KEYS, *RANGE_KEYS)):
        raise ParseError(f"an event has both {first!r} and {second!r}, which are the same key")
    if start_key and end_key:
        ranges = [(_seconds(members[start_key]), _seconds(members[end_key]))]
        used = {start_key, end_key}
    elif range_key and not (start_key or end_key):
        ranges = _ranges(members[range_key])
        used = {range_key}
    else:
        raise ParseError(f"an event has {start_key or end_key} without the other end")
    return [
        AnswerEvent.from_times(
            start,
            end,
            label=label_of(members, _DESCRIPTION_KEYS),
            attributes={key: value for key, value in members.items() if key not in used},
            media_name=name_in_object(visit),
            span=span,
        )
        for start, end in ranges
    ]


def _first(members: Mapping[str, JsonValue], keys: Sequence[str]) -> str | None:
    given = {plain_key(key): key for key in members}
    return next((given[key] for key in keys if key in given), None)


def _seconds(value: JsonValue) -> float:
    """A number is in seconds; a string is any time format."""
    if isinstance(value, str):
        return parse_time(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ParseError(f"{str(value)[:60]} is not a time")
    return float(value)


def _list_key(members: Mapping[str, JsonValue]) -> str | None:
    """The key of a list of time spans."""
    for key, value in members.items():
        if plain_key(key) in LIST_KEYS and isinstance(value, list) and _are_ranges(value):
            return key
    return None


def _are_ranges(value: Sequence[JsonValue]) -> bool:
    return bool(value) and all(isinstance(item, list) or _range_in_text(item) for item in value)


def _ranges(value: JsonValue) -> list[tuple[float, float]]:
    """One time span, or each of a list; objects in a list are skipped: they are visited themselves."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return []
    if isinstance(value, list) and _are_ranges(value):
        return [_range(item) for item in value]
    return [_range(value)]


def _range(value: JsonValue) -> tuple[float, float]:
    """Start and end of "a - b", of [a, b], or of a moment."""
    if isinstance(value, list):
        if len(value) != 2:
            raise ParseError(f"a time span has {len(value)} ends, not two")
        return _seconds(value[0]), _seconds(value[1])
    if (in_text := _range_in_text(value)) is not None:
        return in_text
    moment = _seconds(value)
    return moment, moment


def _range_in_text(value: JsonValue) -> tuple[float, float] | None:
    """Start and end of the string "a - b"."""
    spans = read_spans(value, bare_numbers=True) if isinstance(value, str) else ()
    return (spans[0].start_seconds, spans[0].end_seconds) if len(spans) == 1 else None


def _from_sentences(text: str, *, is_cut: bool, bare_numbers: bool) -> Findings:
    """Events line by line, with the text after the time as label, or else the whole line."""
    spans, problems = scan_spans(text, bare_numbers=bare_numbers)
    end_of_text = len(text.rstrip())
    events: list[AnswerEvent] = []
    dropped: list[Problem] = []
    for span, label in zip(spans, _labels(text, [each.span for each in spans]), strict=True):
        if is_cut and span.span[1] >= end_of_text:
            dropped.append(Problem(span.span, "the last time was cut before its end"))
            continue
        events.append(
            AnswerEvent.from_times(
                span.start_seconds, span.end_seconds, label=label, span=span.span
            )
        )
    return Findings(events=tuple(events), problems=(*problems, *dropped))


def _labels(text: str, spans: Sequence[Span]) -> list[str]:
    """Per time: the text after it if its line begins with a time, otherwise the line around it."""
    labels: list[str] = []
    is_leading = False
    for index, (start, end) in enumerate(spans):
        from_here = spans[index - 1][1] if index else 0
        line_break = text.rfind("\n", from_here, start)
        if index == 0 or line_break >= 0:
            from_here = line_break + 1
            is_leading = _LEADING.match(text[from_here:start]) is not None
        next_start = spans[index + 1][0] if index + 1 < len(spans) else len(text)
        line_end = text.find("\n", end, next_start)
        stop = next_start if line_end < 0 else line_end
        labels.append(text[end if is_leading else from_here : stop].strip(_LABEL_EDGES))
    return labels
