# SPDX-License-Identifier: Apache-2.0
"""Truth of drawn pages: it names what the picture shows, at the place of its ink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finesight.data.builders import rendered
from finesight.data.builders.rendered import Renderer, font_face
from finesight.data.sources.fonts import FontCatalogue
from finesight.geometry import Size
from tests.support.pages import needs_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def renderer():
    renderer = Renderer()
    yield renderer
    renderer.close()


@pytest.fixture(scope="module")
def style(assets) -> str:
    fonts = FontCatalogue.read(assets / "fonts.json")
    face = next(
        face for face in fonts.faces if face.style == "Book" and face.family == "DejaVu Sans"
    )
    return f'<style>{font_face("face", face)} body {{ font: 20px "face"; margin: 10px }}</style>'


def draw(renderer, html, width=280, height=168):
    return renderer.draw(html, Size(width, height))


def test_the_picture_has_the_size_asked_for_each_time(renderer, style):
    for size in ((280, 168), (224, 252), (280, 168)):
        assert draw(renderer, style + "<p>a</p>", *size).image.shape == (size[1], size[0], 3)


def test_rows_are_broken_where_the_picture_breaks_them(renderer, style):
    page = draw(renderer, style + "<p style='width: 90px'>one two\n  three</p>")
    assert [row.text for row in page.rows] == ["one two", "three"]


def test_every_row_box_fits_its_ink(renderer, style):
    page = draw(renderer, style + "<h1>Typography</h1><p>ace on gin: one <b>two</b></p>")
    assert [row.text for row in page.rows] == ["Typography", "ace on gin: one", "two"]
    dark = page.image.min(axis=2) < 140
    for row in page.rows:
        left, right = int(row.edges.min()) - 1, int(row.edges.max()) + 2
        inked = np.flatnonzero(dark[int(row.top) - 3 : int(row.bottom) + 4, left:right].any(axis=1))
        assert abs(inked[0] + int(row.top) - 3 - row.top) <= 1.5
        assert abs(inked[-1] + 1 + int(row.top) - 3 - row.bottom) <= 1.5


def test_every_character_has_ink_between_its_edges(renderer, style):
    row = draw(renderer, style + "<p>Hamburg 1290</p>").rows[0]
    page = draw(renderer, style + "<p>Hamburg 1290</p>")
    assert row.text == "Hamburg 1290"
    columns = (page.image.min(axis=2) < 140).any(axis=0)
    for char, (left, right) in zip(row.text, row.edges, strict=True):
        inked = columns[round(float(left)) : round(float(right))].any()
        assert inked == (char != " ")


def test_marked_elements_have_kind_text_box_data_and_the_part_around_them(renderer):
    html = """<style>* { margin: 0 }</style><div data-part="form" style="padding: 10px">
    <p data-part="field" data-key="total" id="t" style="width: 80px; height: 20px">12 <b>€</b></p>
    <input data-part="box" value="typed"></div>"""
    form, field, box = draw(renderer, html).parts
    assert (form.kind, form.parent, field.parent, box.parent) == ("form", -1, 0, 0)
    assert (field.id, field.tag, field.text, field.data) == ("t", "p", "12 €", {"key": "total"})
    corners = (field.box.x1, field.box.y1, field.box.x2, field.box.y2)
    assert corners == (10, 10, 90, 30)
    assert box.text == "typed"


def test_a_button_has_its_text_and_a_clipped_part_says_so(renderer):
    html = """<style>* { margin: 0 }</style><button data-part="a" style="width: 90px">Save</button>
    <div style="width: 50px; overflow: hidden"><p data-part="b" style="width: 90px">long</p></div>"""
    button, clipped = draw(renderer, html).parts
    assert (button.text, button.is_whole) == ("Save", True)
    assert (clipped.text, clipped.is_whole) == ("long", False)
    assert clipped.box.x2 == 50


def test_a_page_of_files_opens_in_the_size_asked_for(renderer, tmp_path):
    (tmp_path / "own.css").write_text("body { background: rgb(0, 200, 0) }")
    page = tmp_path / "index.html"
    page.write_text('<link rel="stylesheet" href="own.css"><p>a</p>')
    picture = renderer.open(page, Size(196, 140)).screenshot()
    assert picture.size == (196, 140)
    assert picture.getpixel((190, 130)) == (0, 200, 0)


def test_what_is_not_seen_is_not_in_the_truth(renderer):
    html = """<style>* { margin: 0 }</style>
    <p data-part="a" style="visibility: hidden">hidden</p><p data-part="b" style="display: none">none</p>
    <p data-part="c" style="opacity: 0">clear</p>
    <div style="height: 0; overflow: hidden"><p data-part="d">clipped</p></div>
    <p data-part="e" style="position: absolute; top: 500px">below</p>
    <p data-part="f" style="position: absolute; top: 100px">covered</p>
    <div style="position: absolute; top: 90px; width: 200px; height: 50px; background: red"></div>
    <p data-part="g" style="position: absolute; top: 60px">seen</p>"""
    page = draw(renderer, html)
    assert [part.kind for part in page.parts] == ["g"]
    assert [row.text for row in page.rows] == ["seen"]


def test_a_clipped_row_keeps_the_characters_that_show(renderer, style):
    html = "<p style='width: 60px; overflow: hidden; white-space: nowrap'>abcdefghijklmnop</p>"
    (row,) = draw(renderer, style + html).rows
    assert "abcdefghijklmnop".startswith(row.text)
    assert row.edges.min() >= 9.5
    assert row.edges.max() <= 80
    assert 3 < len(row.text) < 10


def test_text_in_upper_case_by_style_is_upper_case(renderer, style):
    (row,) = draw(renderer, style + "<p style='text-transform: uppercase'>Größe</p>").rows
    assert row.text == "GRÖSSE"
    assert len(row.edges) == 6


def test_the_font_of_the_page_is_the_face(renderer, assets):
    faces = FontCatalogue.read(assets / "fonts.json").faces
    pictures = [
        draw(
            renderer, f'<style>{font_face("f", face)} p {{ font: 20px "f" }}</style><p>agree</p>'
        ).image
        for face in faces[:2]
    ]
    assert not np.array_equal(*pictures)


def test_the_same_page_is_drawn_the_same_in_another_browser(style):
    html, pages = style + "<p>again and again</p>", []
    for _ in range(2):
        renderer = Renderer()
        pages.append(draw(renderer, html))
        renderer.close()
    assert np.array_equal(pages[0].image, pages[1].image)
    assert [row.text for row in pages[0].rows] == [row.text for row in pages[1].rows]


def test_the_shared_browser_ends_with_its_process():
    program = (
        "from finesight.data.builders.rendered import shared_renderer\n"
        "from finesight.geometry import Size\n"
        "renderer = shared_renderer()\n"
        "assert renderer is shared_renderer()\n"
        "renderer.draw('<p>a</p>', Size(56, 56))\n"
        "print(renderer._browser._running.process_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert not is_running(int(done.stdout))


def is_running(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_browser_is_replaced_after_some_pages(monkeypatch):
    monkeypatch.setattr(rendered, "PAGES_PER_BROWSER", 2)
    other, seen = Renderer(), []
    for _ in range(4):
        other.draw("<p>a</p>", Size(56, 56))
        seen.append(other._browser)
    other.close()
    assert seen[0] is seen[1] is not seen[2]
    assert seen[2] is seen[3]
    assert not seen[0].is_open
    assert not seen[3].is_open
