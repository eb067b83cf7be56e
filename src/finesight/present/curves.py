# SPDX-License-Identifier: Apache-2.0
"""Line chart of several series, such as losses over steps, as an SVG for pages.

Text and axes use `currentColor`, so that one SVG fits light and dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

from markupsafe import Markup

from finesight.present.marks import PALETTE, hex_of
from finesight.present.svg import drawing, element

Series = Sequence[tuple[float, float]]
"""Points `(x, y)`, by rising x."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 26, 38
_MOST_TICKS = 6
_LEGEND_STEP = 180
_DOT_BELOW = 20
"""A series with fewer points than this has a dot at each."""


def curves_svg(
    series: Mapping[str, Series], *, x_label: str, mark_x: float | None = None, mark_label: str = ""
) -> Markup:
    """Draw the series over common axes; the y axis begins at 0.

    Args:
        series: by name; at least one with a point.
        x_label: name of the x axis.
        mark_x: where a dashed vertical line is drawn; None draws none.
        mark_label: text at that line.
    """
    width, height = 720.0, 300.0
    points = [point for one in series.values() for point in one]
    x_ticks = ticks(0.0, max(x for x, _ in points))
    y_ticks = ticks(0.0, max(y for _, y in points))
    x_scale = (width - _LEFT - _RIGHT) / x_ticks[-1]
    y_scale = (height - _TOP - _BOTTOM) / y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x * x_scale, height - _BOTTOM - y * y_scale

    parts = []
    for value in y_ticks:
        _, y = place(0, value)
        parts += [
            _line(f"M{_LEFT} {y:.1f} H{width - _RIGHT}"),
            _text(_LEFT - 6, y + 4, f"{value:g}", "end"),
        ]
    for value in x_ticks:
        parts.append(_text(place(value, 0)[0], height - _BOTTOM + 16, f"{value:g}", "middle"))
    parts.append(_text((_LEFT + width - _RIGHT) / 2, height - 6, x_label, "middle"))
    if mark_x is not None:
        x, _ = place(mark_x, 0)
        parts += [
            _line(f"M{x:.1f} {_TOP} V{height - _BOTTOM}", dashed=True),
            _text(x - 4, _TOP + 10, mark_label, "end" if mark_x > x_ticks[-1] / 2 else "start"),
        ]
    for number, (name, one) in enumerate(series.items()):
        parts += _curve([place(x, y) for x, y in one], name, number)
    font = {"font-family": "system-ui, sans-serif", "font-size": "12"}
    return drawing((width, height), f"{', '.join(series)} over {x_label}", parts, font)


def ticks(low: float, high: float) -> list[float]:
    """Round values from `low` to at least `high`, evenly spaced; at least two.

    Worked example: 0 to 4.7 gives 0, 1, 2, 3, 4, 5.
    """
    span = max(high - low, 1e-9)
    size = 10.0 ** floor(log10(span / _MOST_TICKS))
    step = next(
        size * factor for factor in (1, 2, 5, 10, 20) if span / (size * factor) <= _MOST_TICKS
    )
    number = max(ceil(span / step - 1e-9), 1)
    return [round(low + step * place, 10) for place in range(number + 1)]


def _curve(places: Sequence[tuple[float, float]], name: str, number: int) -> list[Markup]:
    colour = hex_of(PALETTE[(number + 1) % len(PALETTE)])
    path = " ".join(
        f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(places)
    )
    line = {"d": path, "fill": "none", "stroke": colour, "stroke-width": 2}
    x = _LEFT + 4 + number * _LEGEND_STEP
    parts = [
        element("path", line),
        element("path", {"d": f"M{x} 12 h18", "stroke": colour, "stroke-width": 2}),
        _text(x + 24, 16, name, "start"),
    ]
    if len(places) < _DOT_BELOW:
        parts += [element("circle", {"cx": x, "cy": y, "r": 3, "fill": colour}) for x, y in places]
    return parts


def _line(path: str, *, dashed: bool = False) -> Markup:
    dashes = {"stroke-dasharray": "4 3", "opacity": "0.7"} if dashed else {"opacity": "0.15"}
    return element("path", {"d": path, "stroke": "currentColor", **dashes})


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return element("text", {"x": x, "y": y, "fill": "currentColor", "text-anchor": anchor}, text)
