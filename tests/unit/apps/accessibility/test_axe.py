# SPDX-License-Identifier: Apache-2.0
"""Controls without a name, as axe-core finds them, and our own reports under its rules."""

from __future__ import annotations

import numpy as np
import pytest

from finesight.apps.accessibility.describe import describe
from finesight.apps.accessibility.page import write_descriptions
from finesight.browser.browser import Browser
from finesight.errors import AppError
from finesight.geometry import Box, iou
from finesight.present.page import (
    Facts,
    Figure,
    Gallery,
    Notes,
    Page,
    Section,
    Table,
    TableRow,
    Text,
    write_page,
)
from tests.support.axe import needs_axe, serious, violations
from tests.support.interfaces import SCREEN, oracle, page, truth
from tests.support.pages import needs_browser

pytestmark = [needs_browser, needs_axe]

RULES = ["button-name", "link-name", "label", "select-name", "input-button-name", "image-alt"]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
MIXED = f"""<!doctype html><html lang="en"><title>page</title><style>
* {{ font: 14px sans-serif; }} body {{ margin: 10px; background: white; }}
p {{ margin: 6px 0; }} img, .icon {{ width: 40px; height: 30px; display: inline-block; background: #ccc; }}
</style><h1>Mixed</h1>
<p><button>Save</button> <button class="icon"></button> <button class="icon" aria-label="Close"></button>
<button class="icon"><img src="{PIXEL}" alt="Open"></button> <button class="icon" title="Print"></button></p>
<p><a href="#a">Terms</a> <a href="#b" class="icon"></a> <a href="#c"><img src="{PIXEL}" alt="Home"></a></p>
<p><label>Name <input></label> <input> <input aria-label="City"> <input type="checkbox"> <input type="radio"></p>
<p><select aria-label="Size"><option>S</option></select> <select><option>M</option></select></p>
<p><img src="{PIXEL}"> <img src="{PIXEL}" alt="A ship"> <img src="{PIXEL}" alt=""></p></html>"""
"""Ten controls and pictures with a name, one that needs none, and seven without."""


@pytest.fixture(scope="module")
def browser():
    with Browser(SCREEN) as found:
        yield found


def paired(ours: list[Box], theirs: list[Box]) -> bool:
    """Whether these are the same places."""
    matched = all(any(iou(one, other) > 0.8 for other in theirs) for one in ours)
    return len(ours) == len(theirs) and matched


def compared(browser, text):
    """Places without a name: as described, and as axe-core finds them."""
    browser.show(text, SCREEN)
    elements = truth(browser)
    picture = browser.screenshot()
    described = describe(np.asarray(picture), oracle(elements, picture))
    ours = [one.box for one in described.elements if one.is_unlabeled]
    ours += [one.box for one in described.elements if one.role == "image" and not one.name]
    found = violations(browser.evaluate, RULES)
    return ours, [Box(*node["box"]) for rule in found for node in rule["nodes"]]


def test_a_page_with_every_kind_of_control(browser):
    ours, theirs = compared(browser, MIXED)
    assert len(theirs) == 7
    assert paired(ours, theirs), (ours, theirs)


def test_drawn_pages(browser):
    total = 0
    for seed in range(20):
        ours, theirs = compared(browser, page(seed))
        assert paired(ours, theirs), (seed, ours, theirs)
        total += len(theirs)
    assert total > 3, "toolbars have buttons without a name"


def test_the_report_has_no_serious_violation(browser, tmp_path):
    """All reports have the same template: with a picture, facts, notes, a table, texts and a gallery."""
    browser.show(MIXED, SCREEN)
    elements, picture = truth(browser), browser.screenshot()
    described = describe(np.asarray(picture), oracle(elements, picture))
    write_descriptions(tmp_path / "report.html", [(described, picture, [])])
    long = "\n".join(["much text"] * 99)
    figure = Figure(picture=PIXEL, alt="a dot", caption="dot", texts=(("answer", long),))
    row = TableRow((long, "1"), None, is_strong=True)
    parts = (
        Facts(("fact",), ("warning",)),
        Notes(("note",), "Notes", is_warning=True),
        Text("Text", long),
        Text("Folded text", long, is_folded=True),
        Table("Wide " + "x" * 400, ("name", "number"), (row,), ("number",)),
        Gallery("Gallery", (figure,)),
    )
    sections = [Section("Everything", parts, source="here")]
    write_page(
        tmp_path / "all.html", Page(title="All", sections=sections, footer="end"), error=AppError
    )
    for name in ("report.html", "all.html"):
        browser.open(tmp_path / name)
        assert serious(browser.evaluate) == []
