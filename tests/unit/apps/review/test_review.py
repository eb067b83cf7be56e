# SPDX-License-Identifier: Apache-2.0
"""Rules applied to drawn contracts: verdicts, quotes on their pages, highlights, coverage."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pikepdf
import pytest
from PIL import Image

from finesight.apps.document.pages import find_pages, load
from finesight.apps.document.records import ReadBlock, ReadPage
from finesight.apps.document.turned import turned_page
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.page_images import page_loader
from finesight.apps.quotes import find_quote
from finesight.apps.review.annotate import write_annotated_pdf
from finesight.apps.review.report import write_review_report
from finesight.apps.review.review import definitions_of, review
from finesight.apps.review.rules import Playbook, Rule
from finesight.errors import AppError
from finesight.geometry import Box, Size, iou
from finesight.media.pdf import DEFAULT_DPI
from finesight.parse.document import Block, Run
from tests.support.app_responders import MISBEHAVIOURS, Hostile, Oracle
from tests.support.contracts import Contract, draw_contract, playbook
from tests.support.documents import boxes_of

OPTIONS = ExtractOptions(check_below=0)


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    return draw_contract(tmp_path_factory.mktemp("contracts"), 3)


def reviewed(contract: Contract, responder=None, *, left_out: int | None = None, rules=None):
    pages, images = contract.pages, contract.images()
    if left_out is not None:
        pages = [page for at, page in enumerate(pages) if at != left_out]
        images = [pair for at, pair in enumerate(images) if at != left_out]
    own = rules or playbook()
    return review(pages, images, own, responder or contract.responder(), OPTIONS, total=3)


def check_contract(contract: Contract, folder) -> None:
    """All verdicts, quotes and highlights of a contract, and that a page left out leaves no "missing"."""
    found = reviewed(contract)
    assert {one.rule.id: one.verdict for one in found.results} == contract.verdicts
    assert found.coverage.is_full
    path = folder / "annotated.pdf"
    write_annotated_pdf(path, found, contract.pages, contract.addresses)
    marked = highlights(path)
    for one in found.results:
        if one.rule.id not in contract.clauses:
            assert one.evidence == ()
            continue
        page, sentence, _ = contract.clauses[one.rule.id]
        (place,) = one.evidence
        assert (place.page, place.quote) == (page, sentence)
        texts = [text for text, _ in boxes_of(contract.path, page)]
        assert any(place.quote in text for text in texts)
        truth = next(box for text, box in boxes_of(contract.path, page) if sentence in text)
        assert iou(marked[one.rule.id][1], truth) >= 0.5
        assert marked[one.rule.id][0] == page
    if "missing" in contract.verdicts.values():
        partly = {one.rule.id: one.verdict for one in reviewed(contract, left_out=1).results}
        for name, verdict in contract.verdicts.items():
            if verdict == "missing":
                assert partly[name] == "unclear"


def highlights(path) -> dict[str, tuple[int, Box]]:
    """Page and box, in pixels, of each highlight."""
    scale, found = DEFAULT_DPI / 72, {}
    with pikepdf.open(path) as pdf:
        for at, page in enumerate(pdf.pages):
            height = float(page.mediabox[3])
            for note in page.obj.get("/Annots", []):
                assert note.Subtype == "/Highlight"
                x1, y1, x2, y2 = map(float, note.Rect)
                box = Box(x1 * scale, (height - y2) * scale, x2 * scale, (height - y1) * scale)
                found[str(note.NM)] = (at, box)
    return found


def test_verdicts_quotes_and_highlights(contract, tmp_path):
    assert {"pass", "fail", "missing"} == set(contract.verdicts.values())
    check_contract(contract, tmp_path)


@pytest.mark.slow
def test_thirty_contracts(tmp_path):
    for seed in range(100, 130):
        check_contract(draw_contract(tmp_path, seed), tmp_path)


def test_pictures_and_turned_pages_become_pages_of_the_annotated_pdf(contract, tmp_path):
    text, box = boxes_of(contract.path, 0)[0]
    image = load(contract.addresses[0])
    block = ReadBlock(block=Block(tag="p", runs=(Run(text),), box=box))
    size = Size(image.pixels.shape[1], image.pixels.shape[0])
    page = ReadPage(source="a.png", index=0, number=1, size=size, status="read", blocks=(block,))
    rule = Rule(id="first", clause="first", kind="required", question="?")
    quoting = Oracle(lambda question: json.dumps({"first": [{"quote": text, "value": ""}]}))
    own = Playbook("one", (rule,))
    for turn in (0, 1):
        path = tmp_path / f"page{turn}.png"
        Image.fromarray(np.rot90(image.pixels, -turn)).save(path)
        came = replace(turned_page(page, -turn), source=path.name, turn=turn)
        addresses = find_pages([path])
        pairs = [(came, load(addresses[0]))]
        found = review([came], pairs, own, quoting, OPTIONS, total=1)
        assert found.results[0].verdict == "pass"
        out = tmp_path / f"marked{turn}.pdf"
        write_annotated_pdf(out, found, [came], addresses)
        at, marked = highlights(out)["first"]
        assert at == 0
        assert iou(marked, box) > 0.7


def test_an_encrypted_pdf_is_an_error_with_a_hint(contract, tmp_path):
    path = tmp_path / "locked.pdf"
    with pikepdf.open(contract.path) as pdf:
        pdf.save(path, encryption=pikepdf.Encryption(owner="a", user="b"))
    locked = [replace(one, path=path) for one in contract.addresses]
    with pytest.raises(AppError, match="cannot be made"):
        write_annotated_pdf(tmp_path / "out.pdf", reviewed(contract), contract.pages, locked)
    assert not (tmp_path / "out.pdf").exists()


def test_reasons_are_sentences_with_the_value(contract):
    found = {one.rule.id: one for one in reviewed(contract).results}
    for name, one in found.items():
        if one.rule.kind == "limit" and one.verdict == "fail":
            assert one.value == contract.clauses[name][2]
            assert one.value in one.reason
            assert one.rule.limit in one.reason
        if one.verdict == "missing":
            assert "all 3 pages" in one.reason.lower()


def test_quotes_are_on_the_file_that_has_them(contract):
    pages = [replace(page, source=f"{at}.png", index=0) for at, page in enumerate(contract.pages)]
    images = [(page, image) for page, (_, image) in zip(pages, contract.images(), strict=True)]
    found = review(pages, images, playbook(), contract.responder(), OPTIONS, total=3)
    places = [place for one in found.results for place in one.evidence]
    assert len({place.media for place in places}) > 1
    for place in places:
        assert find_quote(place.quote, [pages[place.media]]), place


def test_a_quote_that_the_page_does_not_have_is_no_evidence(contract):
    lie = {"quote": "The seller owes nothing to anybody, ever.", "value": ""}
    answer = json.dumps({rule.id: [lie] for rule in playbook().rules})
    found = reviewed(contract, Oracle(lambda question: answer))
    assert {one.verdict for one in found.results} == {"unclear"}
    assert all(one.evidence == () and one.problems for one in found.results)
    assert not found.holds


def test_a_warning_does_not_break_a_review(contract):
    rule = Rule(id="renewal", clause="renewal", kind="required", question="?", severity="warning")
    nothing = Oracle(lambda question: '{"renewal": []}')
    found = reviewed(contract, nothing, rules=Playbook("one", (rule,)))
    assert found.results[0].verdict == "missing"
    assert found.holds
    strict = Playbook("one", (rule.model_copy(update={"severity": "error"}),))
    assert not reviewed(contract, nothing, rules=strict).holds


@pytest.mark.parametrize(
    ("wanted", "quote", "value", "verdict"),
    [
        ({"limit": "<= 30 days"}, "Pay within ninety (90) days.", "ninety (90) days", "fail"),
        ({"limit": "<= 30 days"}, "There is a 90-day period.", "90-day period", "fail"),
        ({"limit": "<= 30 days"}, "Pay by the end of the month, in 20 days.", "", "pass"),
        ({"expected": ("Northern Ireland",)}, "The law of Ireland applies.", "Ireland", "fail"),
        ({"expected": ("State of Maine",)}, "The State of Maine decides.", "Maine", "pass"),
    ],
)
def test_the_value_of_a_clause_decides(contract, wanted, quote, value, verdict):
    page = contract.pages[0]
    block = replace(page.blocks[0].block, runs=(Run(quote),))
    own = replace(page, layer=(), blocks=(replace(page.blocks[0], block=block),))
    kind = "limit" if "limit" in wanted else "compare"
    rule = Rule(id="one", clause="one", kind=kind, question="?", **wanted)
    said = Oracle(lambda question: json.dumps({"one": [{"quote": quote, "value": value}]}))
    images = [(own, contract.images()[0][1])]
    found = review([own], images, Playbook("p", (rule,)), said, OPTIONS, total=1)
    assert found.results[0].verdict == verdict, found.results[0].reason


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_misbehaviour_never_proves_that_a_clause_is_missing(contract, how):
    found = reviewed(contract, Hostile(contract.responder(), how))
    if how in ("loop", "cut", "empty", "refusal", "other_language"):
        assert "missing" not in {one.verdict for one in found.results}
        assert not found.coverage.is_full
    assert len(found.results) == 15


def test_an_unread_page_makes_missing_unclear(contract):
    pages = [
        replace(contract.pages[0], status="unreadable", problems=("damaged",)),
        *contract.pages[1:],
    ]
    broken = zip(pages, [None, *(image for _, image in contract.images()[1:])], strict=True)
    found = review(pages, list(broken), playbook(), contract.responder(), OPTIONS, total=3)
    verdicts = {one.rule.id: one.verdict for one in found.results}
    for name, verdict in contract.verdicts.items():
        if verdict == "missing":
            assert verdicts[name] == "unclear"
    assert "damaged" in found.coverage.skipped[0].reason


def test_definitions_and_references(contract):
    page = contract.pages[0]
    block = page.blocks[0]
    text = '"Services" means the repair of boats; see Section 2 for prices.'
    run = replace(block.block.runs[0], text=text)
    own = replace(page, layer=(), blocks=(replace(block, block=replace(block.block, runs=(run,))),))
    assert definitions_of([own]) == {"Services": "the repair of boats"}
    rule = Rule(
        id="services", clause="services", kind="required", question="Which Services are due?"
    )
    asked = []

    def answer(question):
        asked.append(question.text)
        return json.dumps({"services": [{"quote": text, "value": ""}]})

    images = [(own, contract.images()[0][1]), *contract.images()[1:]]
    pages = [own, *contract.pages[1:]]
    found = review(pages, images, Playbook("p", (rule,)), Oracle(answer), OPTIONS, total=3)
    assert '"Services" means the repair of boats.' in asked[0]
    (reference,) = found.results[0].references
    assert reference.quote.startswith("2. ")
    assert find_quote(reference.quote, pages)[0].box == reference.box


def test_the_report_says_that_it_is_no_advice(contract, tmp_path):
    path = tmp_path / "review.html"
    found = reviewed(contract)
    write_review_report(
        path, "contract.pdf", found, contract.pages, page_loader(contract.addresses)
    )
    text = path.read_text()
    assert "not legal advice" in text
    assert "data:image/" in text
    for one in found.results:
        assert one.rule.id in text
    assert found.to_dict()["note"].startswith("This is not legal advice")
