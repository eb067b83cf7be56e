# SPDX-License-Identifier: Apache-2.0
"""Timeline of a video's events: an SVG for pages, and the layout of bars for contact sheets.

Events that overlap in time are in different lanes. Text uses `currentColor`, so that one SVG fits
light and dark pages. Times are seconds of the source.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from finesight.present.marks import TimeSpan, clock_text, hex_of, shortened
from finesight.present.svg import drawing, element

_LANE = 30
_MARGIN = 12
_SIDE = 34  # half the width of a tick label
_AXIS = 26
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_SHORTEST_BAR = 3.0  # keeps an event without duration visible


def timeline_svg(
    spans: Sequence[TimeSpan], start_seconds: float, end_seconds: float, *, width: int = 960
) -> Markup:
    """Draw events as an SVG that scales with the page.

    Args:
        spans: the events.
        start_seconds: left end of the axis; events outside extend the axis.
        end_seconds: right end of the axis.
        width: in SVG units.
    """
    first, last = axis_ends(spans, start_seconds, end_seconds)
    scale = (width - 2 * _SIDE) / (last - first)
    lanes = lanes_of(spans, shortest_seconds=110 / scale)
    bottom = _MARGIN + _LANE * (max(lanes, default=-1) + 1)
    parts = []
    for tick in ticks(first, last):
        x = _SIDE + (tick - first) * scale
        text = clock_text(tick).removesuffix(".00")
        line = f"M{x:.1f} {_MARGIN - 4} V{bottom + 4}"
        ink = {"fill": "currentColor", "text-anchor": "middle"}
        parts += [
            element("path", {"d": line, "stroke": "currentColor", "opacity": "0.2"}),
            element("text", {"x": x, "y": bottom + 18, **ink}, text),
        ]
    parts += [
        _bar(span, lane, _SIDE + (span.start_seconds - first) * scale, scale, width)
        for span, lane in zip(spans, lanes, strict=True)
    ]
    label = f"{len(spans)} events from {clock_text(first)} to {clock_text(last)}"
    font = {"font-family": "system-ui, sans-serif", "font-size": "12"}
    return drawing((width, bottom + _AXIS), label, parts, font)


def lanes_of(spans: Sequence[TimeSpan], *, shortest_seconds: float = 0.0) -> list[int]:
    """The lowest free lane for each event; an event occupies at least `shortest_seconds`."""
    lanes = [0] * len(spans)
    free_from: list[float] = []
    for index in sorted(range(len(spans)), key=lambda each: spans[each].start_seconds):
        span = spans[index]
        lane = next(
            (lane for lane, free in enumerate(free_from) if free <= span.start_seconds),
            len(free_from),
        )
        if lane == len(free_from):
            free_from.append(0.0)
        free_from[lane] = max(span.end_seconds, span.start_seconds + shortest_seconds)
        lanes[index] = lane
    return lanes


def axis_ends(spans: Sequence[TimeSpan], start: float, end: float) -> tuple[float, float]:
    """Start and end of the axis, which contains the clip and every event; never empty."""
    first = min([start, *(span.start_seconds for span in spans)])
    last = max([end, *(span.end_seconds for span in spans)])
    return first, max(last, first + 0.1)


def ticks(first: float, last: float, *, most: int = 9) -> list[float]:
    """Times of the tick labels: multiples of a round step."""
    step = next((step for step in _STEPS if (last - first) / step <= most), (last - first) / most)
    index = -int(-first // step)  # the first multiple of the step on the axis
    found = []
    while index * step <= last + 1e-9:
        found.append(index * step)
        index += 1
    return found


def _bar(span: TimeSpan, lane: int, x: float, scale: float, width: int) -> Markup:
    y = _MARGIN + lane * _LANE
    length = max((span.end_seconds - span.start_seconds) * scale, _SHORTEST_BAR)
    stretch = f"{clock_text(span.start_seconds)} – {clock_text(span.end_seconds)}"
    label = f"{span.number} {span.label}".strip()
    room = max(int((width - x - 4) / 7), 2)
    bar = {"x": x, "y": y + 16, "width": length, "height": 8, "rx": 2, "fill": hex_of(span.colour)}
    return element(
        "g",
        {},
        element("title", {}, f"{label} ({stretch})"),
        element("rect", bar),
        element("text", {"x": x, "y": y + 12, "fill": "currentColor"}, shortened(label, room)),
    )
