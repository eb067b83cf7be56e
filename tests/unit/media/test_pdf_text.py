# SPDX-License-Identifier: Apache-2.0
"""Lines of the text layer: places, turned pages, columns, what cannot be seen."""

from __future__ import annotations

import numpy as np
import pytest

from finesight.media.pdf import load_page
from finesight.media.pdf_text import page_lines
from tests.support.documents import Line, lines_below, pixels_of, write_pdf


def ink_of(pixels, box) -> float:
    """Share of the dark pixels of a page that a box has."""
    dark = pixels.mean(2) < 128
    inside = dark[int(box.y1) : int(box.y2) + 1, int(box.x1) : int(box.x2) + 1]
    return inside.sum() / dark.sum()


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_box_has_the_ink_of_its_line(tmp_path, turned):
    path = write_pdf(tmp_path / "a.pdf", [[Line("Harbour office", x=60, y=100)]], turned=turned)
    pixels = pixels_of(path)
    lines = page_lines(path, 0, pixels=pixels)
    if turned != 180:  # PDFium breaks a line that stands on its head into pieces
        assert [line.text for line in lines] == ["Harbour office"]
    letters = sorted("".join(line.text for line in lines).replace(" ", ""))
    assert letters == sorted("Harbouroffice")
    assert all(line.is_visible for line in lines)
    assert sum(ink_of(pixels, line.box) for line in lines) >= 0.99
    assert sum(line.box.area for line in lines) < 0.05 * pixels.shape[0] * pixels.shape[1]


def test_boxes_are_those_of_any_resolution(tmp_path):
    path = write_pdf(tmp_path / "a.pdf", [[Line("Harbour office", x=60, y=100)]])
    small, large = (np.asarray(load_page(path, 0, dpi=dpi)) for dpi in (72, 288))
    (first,), (second,) = (page_lines(path, 0, pixels=pixels) for pixels in (small, large))
    assert second.box.x1 == pytest.approx(4 * first.box.x1, abs=1)
    assert ink_of(large, second.box) == 1.0


def test_lines_of_two_columns_are_apart(tmp_path):
    lines = lines_below(["left one", "left two"]) + lines_below(["right one", "right two"], x=240)
    path = write_pdf(tmp_path / "a.pdf", [lines])
    found = page_lines(path, 0, pixels=pixels_of(path))
    assert sorted(line.text for line in found) == ["left one", "left two", "right one", "right two"]


def test_white_on_white_is_not_visible(tmp_path):
    lines = [Line("seen", y=50), Line("not seen", y=150, colour="white")]
    path = write_pdf(tmp_path / "a.pdf", [lines])
    found = {line.text: line.is_visible for line in page_lines(path, 0, pixels=pixels_of(path))}
    assert found == {"seen": True, "not seen": False}


def test_a_page_without_text_has_no_lines(tmp_path):
    path = write_pdf(tmp_path / "a.pdf", [[], [Line("second")]])
    assert page_lines(path, 0, pixels=pixels_of(path)) == ()
    assert [line.text for line in page_lines(path, 1, pixels=pixels_of(path, 1))] == ["second"]
