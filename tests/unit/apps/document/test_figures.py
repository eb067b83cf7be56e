# SPDX-License-Identifier: Apache-2.0
"""Figures are cut out as files, and linked in Markdown and HTML; addresses of a model are not written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.apps.document import figures as module
from finesight.apps.document.figures import cut_figures
from finesight.apps.document.html import document_html
from finesight.apps.document.markdown import document_markdown
from finesight.apps.document.pages import find_pages
from finesight.apps.document.records import ReadBlock
from finesight.apps.document.stitch import items_of
from finesight.geometry import Box, Size
from finesight.parse.document import Block, Run
from finesight.parse.document_html import read_document
from tests.support.read_pages import block, book, page

SIZE = Size(200, 300)


@pytest.fixture
def addresses(tmp_path):
    pixels = np.full((SIZE.height, SIZE.width, 3), 255, np.uint8)
    pixels[100:150, 20:120] = (200, 30, 30)
    path = tmp_path / "page.png"
    Image.fromarray(pixels).save(path)
    return find_pages([path])


def figure(**attributes):
    return block(tag="img", top=100, left=20, right=120, height=50, attributes=attributes)


def cut(document, addresses, folder):
    problems = []
    found = cut_figures(items_of(document), addresses, folder, on_problem=problems.append)
    return found, problems


def test_a_figure_is_a_file_beside_the_document(tmp_path, addresses):
    document = book(page(1, block("Text", 20), figure(alt="A [red] box"), size=SIZE))
    figures, problems = cut(document, addresses, tmp_path / "out")
    assert (figures, problems) == ({1: "figures/00001-1.png"}, [])
    pixels = np.asarray(Image.open(tmp_path / "out" / "figures" / "00001-1.png"))
    assert pixels.shape == (50, 100, 3)
    assert (pixels == (200, 30, 30)).all()
    assert r"![A \[red\] box](figures/00001-1.png)" in document_markdown(document, figures)
    assert 'src="figures/00001-1.png"' in document_html(document, figures)


@pytest.mark.parametrize("name", ["image", "chart", "music sheet", "chemical formula"])
def test_figures_with_text_keep_it(tmp_path, addresses, name):
    one = block("C C O", 100, tag="div", left=20, right=120, height=50, attributes={"class": name})
    document = book(page(1, one, size=SIZE))
    figures, _ = cut(document, addresses, tmp_path)
    for written in (document_markdown(document, figures), document_html(document, figures)):
        assert "figures/00001-1.png" in written
        assert "C C O" in written


def test_a_group_with_a_picture_and_a_caption_is_linked_once(tmp_path, addresses):
    inner = Block(tag="img", box=Box(20, 100, 120, 150))
    caption = Block(tag="p", runs=(Run("Figure 1"),))
    group = replace(figure(**{"class": "image"}).block, tag="div", children=(inner, caption))
    document = book(page(1, replace(figure(), block=group), size=SIZE))
    figures, _ = cut(document, addresses, tmp_path)
    text = document_markdown(document, figures)
    assert text.count("figures/") == 1
    assert "Figure 1" in text


def test_addresses_and_scripts_of_a_model_are_not_written():
    attributes = {
        "src": "https://evil.example/x.png",
        "onerror": "alert(1)",
        "style": "background:url(x)",
    }
    document = book(page(1, figure(**attributes), size=SIZE))
    for text in (document_markdown(document), document_html(document)):
        assert "evil" not in text
        assert "alert" not in text
        assert "url(" not in text


def test_a_style_sheet_cannot_end_before_its_end():
    inner = 'p{} </style x><meta http-equiv="refresh" content="0;url=http://evil.example">'
    read = read_document(f"<html><body><style>{inner}</style><p>Text</p></body></html>")
    kept = read_document("<html><body><style>p{color:red}</style><p>Text</p></body></html>")
    assert inner in read.blocks[0].style
    document = book(page(1, *(ReadBlock(block=each.blocks[0]) for each in (read, kept))))
    written = document_html(document)
    assert "evil" not in written
    assert "<style>p{color:red}</style>" in written


def test_a_page_is_drawn_once_for_all_of_its_figures(tmp_path, addresses, monkeypatch):
    drawn = []
    real = module.load
    monkeypatch.setattr(module, "load", lambda *a, **k: drawn.append(a) or real(*a, **k))
    document = book(page(1, figure(), figure(), size=SIZE))
    figures, _ = cut(document, addresses, tmp_path)
    assert (len(figures), len(drawn)) == (2, 1)


def test_a_figure_outside_of_its_page_is_reported(tmp_path, addresses):
    one = block(tag="img", top=900, left=20, right=120)
    document = book(page(1, one, size=SIZE))
    figures, problems = cut(document, addresses, tmp_path)
    assert figures == {}
    assert problems[0].startswith("page 1: figure 1 was not cut out: the part (20, 900")
