# SPDX-License-Identifier: Apache-2.0
"""Draw a chart with matplotlib, with the place of each character and the box of each bar.

A figure has 72 dots per inch, so that a point is a pixel. Only objects of the figure are used, never pyplot, which
keeps global state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from finesight.data.builders.chart_data import ChartData
from finesight.data.builders.chart_style import ChartStyle
from finesight.data.builders.paper import Colour
from finesight.data.record import Glyph, SceneObject
from finesight.data.sources.fonts import Face, load_font

__all__ = ["DrawnChart", "draw_chart"]


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A drawn chart.

    Attributes:
        picture: `uint8[H, W, 3]`.
        glyphs: every character in reading order.
        bars: box of every bar, in the order of the values, series by series; empty for other charts.
        pixels_per_unit: length of one unit of the value axis, in pixels; 0 for a pie.
    """

    picture: npt.NDArray[np.uint8]
    glyphs: tuple[Glyph, ...]
    bars: tuple[SceneObject, ...]
    pixels_per_unit: float


def draw_chart(data: ChartData, style: ChartStyle) -> DrawnChart | None:
    """Draw a chart; None if its texts overlap or leave the picture."""
    with rc_context({"text.hinting": "none"}):  # the default takes half of the time
        return _drawn(data, style)


def _drawn(data: ChartData, style: ChartStyle) -> DrawnChart | None:
    width, height = style.size
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor=style.paper)
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    axes = figure.add_subplot(facecolor=style.paper)
    marks = _DRAW[data.kind](axes, data, style)
    title = axes.set_title(data.title, loc=style.title_place)
    if data.kind != "pie":
        _dress(axes, data, style)
    texts = _styled_texts(figure, style)
    title.set_fontsize(round(style.pixels * style.title_scale))
    figure.tight_layout(pad=0.6)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    area = axes.get_window_extent()
    is_good = _are_legible(boxes, width, height) and not _is_covered(axes, data, marks)
    if not is_good or min(area.width, area.height) < 60:
        return None
    picture = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    names = [
        f"{series} {category}" if len(data.series) > 1 else category
        for series in data.series
        for category in data.categories
    ]
    bars = tuple(
        SceneObject(_whole(mark.get_window_extent(), height), name)
        for mark, name in zip(marks, names, strict=False)
    )
    length = area.width if data.kind == "barh" else area.height
    scale = 0.0 if data.kind == "pie" else length / _limit(data)
    return DrawnChart(picture, _glyphs(texts, boxes, style.face, height), bars, scale)


def _limit(data: ChartData) -> float:
    """End of the value axis, with room for a label at the highest mark."""
    return data.y.top + (0.6 * data.y.step if data.is_labelled else 0.15 * data.y.step)


def _bars(axes: Axes, data: ChartData, style: ChartStyle) -> list[Any]:
    marks: list[Any] = []
    places = np.arange(len(data.categories))
    width = style.thickness / len(data.series)
    for index, (name, row) in enumerate(zip(data.series, data.values, strict=True)):
        at = places + (index - (len(data.series) - 1) / 2) * width
        draw = axes.barh if data.kind == "barh" else axes.bar
        bars = draw(at, row, width, color=_unit(style.rgb[index]), label=name)
        if data.is_labelled:
            axes.bar_label(bars, labels=[data.number(value) for value in row], padding=1)
        marks += bars.patches
    return marks


def _lines(axes: Axes, data: ChartData, style: ChartStyle) -> list[Any]:
    for name, row, rgb in zip(data.series, data.values, style.rgb, strict=True):
        axes.plot(
            row,
            color=_unit(rgb),
            label=name,
            marker=style.marker or None,
            linewidth=4 * style.thickness,
            markersize=6,
        )
        if data.is_labelled:
            for place, value in enumerate(row):
                axes.annotate(
                    data.number(value),
                    (place, value),
                    (0, 4),
                    textcoords="offset points",
                    ha="center",
                )
    return []


def _slices(axes: Axes, data: ChartData, style: ChartStyle) -> list[Any]:
    axes.pie(
        data.values[0],
        colors=[_unit(rgb) for rgb in style.rgb],
        labels=data.categories if style.has_slice_names else None,
        autopct=(lambda share: data.number(round(share))) if data.is_labelled else None,
        startangle=90,
        counterclock=False,
    )
    if not style.has_slice_names:
        handles = axes.patches[: len(data.categories)]
        axes.legend(handles, data.categories, loc="center left", bbox_to_anchor=(0.95, 0.5))
    return []


def _points(axes: Axes, data: ChartData, style: ChartStyle) -> list[Any]:
    rows = zip(data.series, data.places, data.values, style.rgb, strict=True)
    for name, places, values, rgb in rows:
        axes.scatter(places, values, s=30, color=_unit(rgb), label=name)
    return []


_LEGENDS: dict[str, dict[str, Any]] = {
    "best": {"loc": "best"},
    "right": {"loc": "upper left", "bbox_to_anchor": (1.01, 1)},
    "below": {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncol": 3},
}
_DRAW = {
    "bar": _bars,
    "barh": _bars,
    "grouped": _bars,
    "line": _lines,
    "pie": _slices,
    "scatter": _points,
}


def _dress(axes: Axes, data: ChartData, style: ChartStyle) -> None:
    """Axes, grid and legend."""
    is_flat = data.kind == "barh"
    values, others = (axes.xaxis, axes.yaxis) if is_flat else (axes.yaxis, axes.xaxis)
    ticks = data.y.ticks()
    values.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    values.set_label_text(data.y.label)
    others.set_label_text(data.x.label)
    (axes.set_xlim if is_flat else axes.set_ylim)(0, _limit(data))
    if data.kind == "scatter":
        ticks = data.x.ticks()
        axes.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
        axes.set_xlim(0, data.x.top + 0.3 * data.x.step)
    else:
        others.set_ticks(range(len(data.categories)), labels=data.categories)
    if is_flat:
        axes.invert_yaxis()
    if style.turn:
        axes.tick_params(axis="x", rotation=style.turn)
    axes.set_axisbelow(True)
    if style.grid:
        axes.grid(axis="both" if style.grid == "both" else "x" if is_flat else "y", alpha=0.4)
    axes.tick_params(colors=style.ink)
    for side, spine in axes.spines.items():
        spine.set_color(style.ink)
        spine.set_visible(not (style.is_open and side in ("top", "right")))
    if len(data.series) > 1 or data.kind == "scatter":
        axes.legend(**_LEGENDS[style.legend])


def _styled_texts(figure: Figure, style: ChartStyle) -> list[Text]:
    """Every text that is drawn, in the font of the style."""
    font = FontProperties(fname=style.face.path, size=style.pixels)
    texts = [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_visible() and text.get_text().strip()
    ]
    for legend in (axes.get_legend() for axes in figure.axes):
        if legend:
            legend.get_frame().set_facecolor(style.paper)
    for text in texts:
        text.set_fontproperties(font)
        text.set_color(style.ink)
        text.set_parse_math(False)
    return texts


def _are_legible(boxes: list[Bbox], width: int, height: int) -> bool:
    """Whether every text is inside the picture and apart from the others."""
    inside = all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes
    )
    return inside and not any(
        Bbox.intersection(one, other) for index, one in enumerate(boxes) for other in boxes[:index]
    )


def _is_covered(axes: Axes, data: ChartData, bars: list[Any]) -> bool:
    """Whether the legend covers a bar or a point of a line or scatter plot."""
    legend = axes.get_legend()
    if legend is None or data.kind == "pie":
        return False
    box = legend.get_window_extent()
    if any(Bbox.intersection(box, bar.get_window_extent()) for bar in bars):
        return True
    rows = data.places or [range(len(data.categories))] * len(data.series)
    points = [
        point
        for xs, ys in zip(rows, data.values, strict=True)
        for point in axes.transData.transform(list(zip(xs, ys, strict=True)))
    ]
    return any(box.padded(4).contains(*point) for point in points)


def _glyphs(texts: list[Text], boxes: list[Bbox], face: Face, height: int) -> tuple[Glyph, ...]:
    """Centres of all characters; texts are sorted by their row of 6 pixels, then from left to right."""
    rows = sorted(
        zip(texts, boxes, strict=True),
        key=lambda row: (round((height - row[1].y1) / 6), row[1].x0),
    )
    glyphs: list[Glyph] = []
    order = 0
    for text, box in rows:
        string = text.get_text()
        font = load_font(face.path, face.index, round(float(text.get_fontsize())))
        edges = [font.getlength(string[:end]) for end in range(len(string) + 1)]
        angle = math.radians(text.get_rotation())
        for index, char in enumerate(string):
            if char.strip():
                along = (edges[index] + edges[index + 1] - edges[-1]) / 2
                x = (box.x0 + box.x1) / 2 + along * math.cos(angle)
                y = height - (box.y0 + box.y1) / 2 - along * math.sin(angle)
                glyphs.append(Glyph(char, x, y, order + index))
        order += len(string) + 1
    return tuple(glyphs)


def _whole(box: Bbox, height: int) -> tuple[int, int, int, int]:
    """A box in whole pixels from the top left corner."""
    left, right = round(box.x0), round(box.x1)
    top, bottom = round(height - box.y1), round(height - box.y0)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _unit(rgb: Colour) -> tuple[float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255
