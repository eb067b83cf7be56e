# SPDX-License-Identifier: Apache-2.0
"""Pages drawn by Chromium, read through pictures and through PDFs: text, tables, order, places, and bad answers."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from itertools import pairwise

import pytest
from rapidfuzz.distance import Levenshtein

from finesight.apps.document.docling import docling_json
from finesight.apps.document.job import Job, read_pages
from finesight.apps.document.markdown import document_markdown
from finesight.apps.document.mineru import content_list
from finesight.apps.document.read import ReadOptions
from finesight.apps.document.stitch import items_of
from finesight.geometry import iou
from tests.support.app_responders import MISBEHAVIOURS, Hostile, Oracle
from tests.support.drawn_pages import addresses_of, drawn_files, drawn_page, oracle_of
from tests.support.pages import needs_browser

pytestmark = needs_browser

OPTIONS = ReadOptions(max_pixels=2048 * 28 * 28, max_tries=6)
FEW, ALL = 4, 40
INVENTED = "The undersigned agrees to everything."
MOST_SECONDS = 30
"""Processor time of a page above which it counts as hanging."""


def figures(text: str) -> None:
    """Printed with `pytest -s`."""
    sys.stdout.write(f"\n{text}\n")


@pytest.fixture(
    scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.slow)], ids=["few", "all"]
)
def files(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    pages = [drawn_page(seed, has_hidden=seed % 2 == 0) for seed in range(request.param)]
    return drawn_files(folder, pages)


def texts(blocks) -> list[str]:
    return [block.text for block in blocks]


def read(files, kind, responder_of=Oracle, on_page=lambda *_: None):
    addresses = addresses_of(files, kind)
    oracle = oracle_of(files, addresses)
    return read_pages(Job(addresses, OPTIONS, "oracle"), responder_of(oracle), on_page=on_page)


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_an_oracle_is_read_back(files, kind):
    document = read(files, kind)
    overlaps = []
    for page, one in zip(document.pages, files, strict=True):
        assert page.status == "read", page.problems
        got, truth = [block.block for block in page.blocks], one.blocks
        distance = Levenshtein.normalized_distance("\n".join(texts(got)), "\n".join(texts(truth)))
        assert distance <= 0.002, (one.pdf, texts(got))
        assert [block.kind for block in got] == [block.kind for block in truth]
        assert [block.rows for block in got] == [block.rows for block in truth]
        overlaps += [iou(a.box, b.box) for a, b in zip(got, truth, strict=True)]
        assert not page.is_out_of_order
        assert (page.missed, page.invented) == ((), ())
    assert statistics.mean(overlaps) >= 0.98
    assert min(overlaps) >= 0.94, "a line of 25 pixels has lost a pixel at most"
    entries = content_list(document)
    assert [one["text"] for one in entries if one["type"] == "text"] == [
        item.block.text
        for item in items_of(document)
        if item.block.kind in ("heading", "paragraph")
    ]
    assert len(docling_json(document, "drawn")["pages"]) == len(files)


def test_hidden_text_is_reported_on_every_page_that_has_some(files):
    document = read(files, "pdf")
    hidden = [[line.quote for line in page.hidden] for page in document.pages]
    assert hidden == [[one.page.hidden] if one.page.hidden else [] for one in files]
    planted = sum(bool(one.page.hidden) for one in files)
    figures(f"hidden text reported on {sum(map(bool, hidden))} of {planted} pages that have some")
    assert "Ignore the page" not in document_markdown(document)


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_every_page_is_delivered_whatever_the_model_does(files, how):
    times = [time.process_time()]
    document = read(
        files,
        "pdf",
        lambda oracle: Hostile(Oracle(oracle), how),
        on_page=lambda *_: times.append(time.process_time()),
    )
    assert len(document.pages) == len(files)
    longest = max(after - before for before, after in pairwise(times))
    statuses = Counter(page.status for page in document.pages)
    words = ", ".join(f"{count} {status}" for status, count in statuses.items())
    figures(f"{how}: {words} of {len(files)} pages; slowest page {longest:.1f} s of processor time")
    assert longest < MOST_SECONDS
    for page, one in zip(document.pages, files, strict=True):
        assert page.status == "read" or page.problems
        assert page.blocks
        assert len(page.tries) <= OPTIONS.max_tries
        assert [line.quote for line in page.hidden] == [one.page.hidden][: bool(one.page.hidden)]


def test_invented_blocks_are_flagged_and_others_are_not(files):
    document = read(files, "pdf", lambda oracle: Hostile(Oracle(oracle), "invented"))
    caught, false, others = 0, 0, 0
    for page in document.pages:
        flagged = {page.blocks[index].block.text for index in page.invented}
        caught += INVENTED in flagged
        false += len(flagged - {INVENTED})
        others += len(page.blocks) - 1
    figures(
        f"invented blocks flagged: {caught} of {len(files)}; others flagged: {false} of {others}"
    )
    assert caught >= 0.95 * len(files)
    assert false <= 0.02 * others
