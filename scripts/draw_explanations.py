# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of docs/explanation with numbers that the package computes: one PNG a page, in docs/images.

Usage: python scripts/draw_explanations.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import FancyArrowPatch, Rectangle

from finesight.config.sizes import named_config
from finesight.geometry import Box, Clock, Resize, Size
from finesight.kernels.formats import GROUP, TILE_ROWS, pack
from finesight.processor.mrope import VisionSpan, mrope_position_ids, temporal_positions
from finesight.processor.windows import window_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parents[1] / "docs" / "images"
TEXT, VISION, EDGE = "#dbe4ee", "#ffd9a8", "#4a5568"
COLOURS = [mpl.colormaps["tab20"](index) for index in range(20)]


def mrope() -> None:
    """Positions of a short prompt with one video, as a table and as a grid in time."""
    seconds, rows, columns = (0.0, 1.0, 2.0), 2, 3
    span = VisionSpan((len(seconds), rows, columns), position_seconds=seconds)
    positions, _ = mrope_position_ids([3, span, 2], tokens_per_second=2)
    figure, (table, grid) = plt.subplots(2, 1, figsize=(11, 4.4), height_ratios=(1, 1))
    names = ("time", "row", "column")
    for line, values in enumerate(positions.tolist()):
        for place, value in enumerate(values):
            is_vision = 3 <= place < 3 + span.num_tokens
            _cell(table, place, 2 - line, str(value), VISION if is_vision else TEXT)
        table.text(-0.2, 2.5 - line, names[line], ha="right", va="center")
    _plain(table, (-2.2, positions.shape[1]), (-0.6, 3.6))
    for start, said in ((0, "text"), (3, "video of 3 frame pairs"), (3 + span.num_tokens, "text")):
        table.text(start, 3.3, said, va="center", fontsize=9)
    _frame_pairs(grid, positions.numpy(), seconds, (rows, columns))
    _save(figure, "mrope")


def _frame_pairs(
    axes: Axes, positions: np.ndarray, seconds: Sequence[float], grid: tuple[int, int]
) -> None:
    """The frame pairs of a video that starts after three text tokens, each cell with its three positions."""
    rows, columns = grid
    pairs = positions[:, 3 : 3 + len(seconds) * rows * columns].reshape(3, -1, rows, columns)
    for pair, second in enumerate(seconds):
        left = pair * (columns + 2) * 1.4
        for row in range(rows):
            for column in range(columns):
                said = ", ".join(str(int(value)) for value in pairs[:, pair, row, column])
                _cell(axes, left + column * 1.4, rows - 1 - row, f"({said})", VISION, width=1.4)
        middle = left + columns * 0.7
        shown = f"{second:g} s: time 3 + floor({second:g} x 2) = {pairs[0, pair, 0, 0]}"
        axes.text(middle, rows + 0.35, shown, ha="center", va="center", fontsize=9)
    note = "(time, row, column) of each visual token; 2 time positions per second"
    axes.text(0, -0.6, note, fontsize=9)
    _plain(axes, (-0.5, 3 * (columns + 2) * 1.4), (-1, rows + 0.8))


def windows() -> None:
    """Windows of one frame pair, and the order that makes them contiguous."""
    rows, columns = 6, 10
    order, lengths = window_order((1, 2 * rows, 2 * columns), named_config("3b").vision)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.9), width_ratios=(1.25, 1))
    place_of = np.argsort(order.numpy())
    window_of = np.repeat(np.arange(len(lengths)), lengths)
    for token in range(rows * columns):
        row, column = divmod(token, columns)
        colour = COLOURS[2 * window_of[place_of[token]] + 1]
        _cell(left, column, rows - 1 - row, str(place_of[token]), colour)
    _plain(left, (-0.1, columns + 0.1), (-0.1, rows + 0.1))
    left.set_title("6 x 10 visual tokens; number: place in window order", fontsize=10)
    bounds = [0, *accumulate(4 * length for length in lengths.tolist())]
    for index, (start, end) in enumerate(pairwise(bounds)):
        right.add_patch(
            Rectangle((start, start), end - start, end - start, color=COLOURS[2 * index + 1])
        )
    right.set(xlim=(0, bounds[-1]), ylim=(bounds[-1], 0), xticks=bounds, yticks=bounds)
    right.tick_params(labelsize=7, labelrotation=45)
    right.set(aspect="equal", xlabel="key patch", ylabel="query patch")
    right.set_title(f"windowed layers: window.cu_seqlens_q = {bounds}", fontsize=8)
    _save(figure, "windows")


def packing() -> None:
    """Two samples in one row, their cumulative lengths, and the attention that these allow."""
    lengths, visual = (7, 5), range(2, 6)
    bounds = [0, *accumulate(lengths)]
    figure, (row, mask) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(1.7, 1))
    for place in range(bounds[-1]):
        sample = int(place >= bounds[1])
        _cell(row, place, 0, f"{sample}", VISION if place in visual else TEXT)
    for bound in bounds:
        row.plot([bound, bound], [-0.4, 1.3], color=EDGE, linewidth=2)
        row.text(bound, -0.75, str(bound), ha="center")
    row.text(0, 1.6, "one row of tokens; number: sample; orange: visual tokens")
    row.text(0, -1.5, f"cu_seqlens_q = {bounds}, visual_index = {list(visual)}")
    _plain(row, (-0.3, bounds[-1] + 0.3), (-2, 2.2))
    for query in range(bounds[-1]):
        start = max(bound for bound in bounds if bound <= query)
        for key in range(start, query + 1):
            mask.add_patch(Rectangle((key, query), 1, 1, facecolor=TEXT, edgecolor=EDGE))
    mask.set(xlim=(0, bounds[-1]), ylim=(bounds[-1], 0), xticks=bounds, yticks=bounds)
    mask.set(aspect="equal", xlabel="key token", ylabel="query token")
    mask.set_title("block-diagonal, causal inside each sample", fontsize=10)
    _save(figure, "packing")


def coordinates() -> None:
    """A box in the pixels that the model saw, and in those of the user's picture."""
    resize = Resize(original=Size(1000, 600), resized=Size(504, 308))
    said = Box(126, 77, 378, 231)
    back, _ = resize.to_original(said)
    figure, both = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(1000, 504))
    panels = (
        (both[0], resize.original, back, "original picture", "#2b6cb0"),
        (both[1], resize.resized, said, "what the model sees (multiples of 28)", "#c05621"),
    )
    for axes, size, box, title, colour in panels:
        corner, width, height = (box.x1, box.y1), box.x2 - box.x1, box.y2 - box.y1
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=2))
        numbers = ", ".join(f"{value:.1f}".removesuffix(".0") for value in _corners(box))
        axes.text(box.x1, box.y1, f"({numbers})", va="bottom", color=colour, fontsize=9)
        axes.set(xlim=(0, size.width), ylim=(size.height, 0), aspect="equal")
        axes.set_title(f"{title}: {size.width} x {size.height}", fontsize=9)
        axes.set_facecolor("#f7fafc")
    arrow = FancyArrowPatch(
        (0.60, 0.08), (0.45, 0.08), transform=figure.transFigure, arrowstyle="->", mutation_scale=16
    )
    figure.add_artist(arrow)
    scale = f"Resize.to_original: x * {resize.scale_x:.4f}, y * {resize.scale_y:.4f}"
    figure.text(0.525, 0.02, scale, ha="center", fontsize=9)
    figure.subplots_adjust(bottom=0.16)
    _save(figure, "coordinates")


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2


def absolute_time() -> None:
    """The model's clock above the clock of the file, and the position ids that come of it."""
    model = (0.0, 0.5, 1.0, 1.5)
    clock = Clock(model_seconds=model, source_seconds=(60.0, 60.5, 61.1, 61.6))
    ids = temporal_positions(model, 2).tolist()
    figure, axes = plt.subplots(figsize=(10, 2.9))
    for second, source, position in zip(model, clock.source_seconds, ids, strict=True):
        axes.plot([second, source - 60], [1, 0], color=EDGE, linestyle=":")
        axes.plot(second, 1, "o", color="#c05621")
        axes.plot(source - 60, 0, "o", color="#2b6cb0")
        axes.text(second, 1.13, f"{second:g} s\nid {position}", ha="center", fontsize=9)
        axes.text(source - 60, -0.32, f"{source:g} s", ha="center", fontsize=9)
    said = 1.25
    back, _ = clock.to_source(said)
    arrow = FancyArrowPatch(
        (said, 1), (back - 60, 0), arrowstyle="->", mutation_scale=14, color="#2f855a"
    )
    axes.add_patch(arrow)
    answer = f"answer {said:g} s\n= {back:g} s"
    axes.text(said, 0.4, answer, ha="right", color="#2f855a", fontsize=9)
    axes.text(-0.12, 1, "model seconds", ha="right", va="center")
    axes.text(-0.12, 0, "source seconds", ha="right", va="center")
    _plain(axes, (-0.5, 1.75), (-0.45, 1.55))
    axes.set_aspect("auto")
    _save(figure, "absolute-time")


def kernels() -> None:
    """Places in memory of the codes of a few weights of one tile."""
    rows, columns = 5, 12
    codes = torch.zeros(TILE_ROWS, GROUP, dtype=torch.uint8)
    codes[:rows, :columns] = torch.arange(1, rows * columns + 1).view(rows, columns)
    memory = pack(codes, torch.zeros(TILE_ROWS, 1).half(), None, "int8").flatten().tolist()
    figure, axes = plt.subplots(figsize=(11, 4.2))
    for row in range(rows):
        for column in range(columns):
            place = memory.index(int(codes[row, column]))
            colour = COLOURS[2 * (column // 4) + 1]
            _cell(axes, column, rows - 1 - row, str(place), colour)
        axes.text(-0.2, rows - 0.5 - row, f"output {row}", ha="right", va="center", fontsize=9)
    for column in range(columns):
        axes.text(column + 0.5, rows + 0.3, f"input {column}", ha="center", fontsize=7)
    note = "first weights of a tile of 16 outputs; number: byte in memory; one colour: one load of a 64-byte register"
    axes.text(-1.6, -0.6, note, fontsize=9)
    _plain(axes, (-1.8, columns + 0.1), (-0.9, rows + 0.8))
    _save(figure, "kernels")


PICTURES: dict[str, Callable[[], None]] = {
    "mrope": mrope,
    "windows": windows,
    "packing": packing,
    "coordinates": coordinates,
    "absolute-time": absolute_time,
    "kernels": kernels,
}


def _cell(axes: Axes, x: float, y: float, text: str, colour: object, *, width: float = 1) -> None:
    axes.add_patch(Rectangle((x, y), width, 1, facecolor=colour, edgecolor=EDGE))
    axes.text(x + width / 2, y + 0.5, text, ha="center", va="center", fontsize=8)


def _plain(axes: Axes, across: tuple[float, float], up: tuple[float, float]) -> None:
    """Axes without ticks or frame."""
    axes.set(xlim=across, ylim=up, aspect="equal")
    axes.axis("off")


def _save(figure: mpl.figure.Figure, name: str) -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    # Without the date and version that matplotlib writes by default, equal pictures are equal files.
    figure.savefig(
        folder / f"{name}.png", dpi=110, bbox_inches="tight", metadata={"Software": None}
    )
    plt.close(figure)


if __name__ == "__main__":
    for draw in PICTURES.values():
        draw()
