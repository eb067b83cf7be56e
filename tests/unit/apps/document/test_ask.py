# SPDX-License-Identifier: Apache-2.0
"""Questions about a document: pages found by BM25, quotes with places, counts from the structure."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.apps.document.ask import ask_document, ranked
from finesight.apps.document.count import counted
from finesight.apps.document.job import Job, read_pages
from finesight.apps.document.pages import find_pages
from finesight.apps.document.read import ReadOptions
from finesight.errors import MediaError, RemoteError
from finesight.geometry import iou
from tests.support.app_responders import Oracle
from tests.support.documents import boxes_of, lines_below, oracle_of, write_pdf
from tests.support.read_pages import block, book, page

TOPICS = ["ice", "fees", "lighthouse", "ships", "weather", "crews"]
PAGES = [
    [f"Chapter on {topic}", f"In 19{number}0 the {topic} changed"]
    for number, topic in enumerate(TOPICS)
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ask")
    return write_pdf(folder / "book.pdf", [lines_below(texts) for texts in PAGES])


@pytest.fixture(scope="module")
def addresses(path):
    return find_pages([path])


@pytest.fixture(scope="module")
def document(path, addresses):
    job = Job(addresses, ReadOptions(max_pixels=400_000), "oracle")
    return read_pages(job, Oracle(oracle_of(path)))


def answering(values):
    text = values if isinstance(values, str) else json.dumps(values)
    return Oracle(lambda question: f"```json\n{text}\n```")


def asked(document, addresses, responder, question="What happened to the lighthouse?", **more):
    return ask_document(question, document, addresses, responder, max_pages=2, **more)


def test_pages_are_ranked_by_their_words(document):
    assert ranked("When did the lighthouse change?", document.pages)[0] == 2
    assert ranked("Something else entirely", document.pages) == list(range(6))
    chinese = book(page(1, block("港口因为结冰关闭")), page(2, block("灯塔漆成白色")))
    assert ranked("灯塔是什么颜色？", chinese.pages)[0] == 1


def test_the_answer_has_the_place_of_its_quote(path, document, addresses):
    quote = PAGES[2][1]
    responder = answering({"answer": "it changed", "quotes": [{"page": 3, "quote": quote}]})
    answer = asked(document, addresses, responder)
    assert (answer.found.value, answer.found.status, answer.way) == ("it changed", "found", "pages")
    (place,) = answer.found.evidence
    assert (place.page, place.match, place.quote) == (2, "exact", quote)
    assert iou(place.box, dict(boxes_of(path, 2))[quote]) > 0.8
    assert answer.found.score.value == pytest.approx(0.99, abs=0.01)
    assert not answer.found.problems


def test_pages_come_first_and_are_named(document, addresses):
    responder = answering({"answer": "x", "quotes": []})
    answer = asked(document, addresses, responder)
    (question,) = responder.asked
    parts = question.conversation.messages[0].parts
    texts = [part.text for part in parts if hasattr(part, "text")]
    assert texts[:-1] == [f"Page {index + 1}:" for index in answer.coverage.seen]
    assert len(question.pictures) == 2
    assert texts[-1].startswith("What happened to the lighthouse?")
    assert 2 in answer.coverage.seen
    assert len(answer.coverage.skipped) == 4


def test_a_quote_on_another_page_or_on_none_is_said(document, addresses):
    quotes = [
        {"page": 1, "quote": PAGES[2][1]},
        {"page": 3, "quote": "The tower fell into the sea"},
    ]
    answer = asked(document, addresses, answering({"answer": "x", "quotes": quotes}))
    assert [one.page for one in answer.found.evidence] == [2]
    assert answer.found.problems == (
        f'"{PAGES[2][1]}" is not on page 1 but on page 3',
        '"The tower fell into the sea" is on no page',
    )


def test_an_answer_without_quotes_says_so(document, addresses):
    answer = asked(document, addresses, answering({"answer": "it fell", "quotes": []}))
    assert answer.found.problems == ("no quote of the answer was found on the pages",)
    plain = asked(document, addresses, Oracle(lambda question: "It fell."))
    assert (plain.found.value, plain.found.problems) == ("It fell.", ("the answer has no quote",))


def test_an_answer_that_was_cut_off_says_so(document, addresses):
    quotes = [{"page": 3, "quote": PAGES[2][1]}]
    for text in ("It fell because", json.dumps({"answer": "it fell", "quotes": quotes})):
        answer = asked(document, addresses, Cutting(text))
        assert answer.found.problems[0] == "the answer was cut off (length)"


def test_without_a_page_nothing_is_asked(document, addresses):
    broken = [replace(one, problem=MediaError("it is encrypted")) for one in addresses]
    answer = asked(document, broken, Oracle(lambda question: "It fell."))
    assert (answer.found.status, answer.found.value) == ("unread", None)
    assert answer.found.problems == ("no page could be shown to the model",)


class Cutting:
    """Gives one text, as if there were no room for more."""

    def __init__(self, text):
        self.inner = Oracle(lambda question: text)

    def respond(self, conversations, sampling):
        replies = self.inner.respond(conversations, sampling)
        return [replace(reply, finish_reason="length") for reply in replies]


def test_no_answer_is_absent_with_the_pages_that_were_shown(document, addresses):
    answer = asked(document, addresses, answering({"answer": None, "quotes": []}))
    assert (answer.found.status, answer.found.value) == ("absent", None)
    assert not answer.coverage.is_full


def test_an_error_is_an_unread_answer(document, addresses):
    class Broken:
        def respond(self, conversations, sampling):
            raise RemoteError("the endpoint answered 500")

    answer = asked(document, addresses, Broken())
    assert (answer.found.status, answer.found.problems) == (
        "unread",
        ("the endpoint answered 500",),
    )


# ------------------------------------------------------------------------------------------------------- counting


def counts():
    rows = [["Port", "Ships"], ["A", "1"]]
    first = page(
        1,
        block("Ports", tag="h1"),
        block(top=300, rows=rows),
        block("x", 500, tag="div", attributes={"class": "formula"}),
    )
    second = page(
        2,
        block("Table 2", 90),
        block(top=200, rows=rows),
        block(tag="img", top=500),
        block("a", 900, tag="div", attributes={"class": "chart"}),
    )
    return book(first, second)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How many tables are there?", "2 tables"),
        ("how many figures does this document contain", "2 figures"),
        ("What is the total number of charts in the report?", "1 chart"),
        ("How many pages does the PDF have?", "2 pages"),
        ("Count the equations", "1 formula"),
        ("How many headings are in the whole file?", "1 heading"),
        ("这份文档中一共有多少个表格？", "2 tables"),
        ("这个文件有几页？", "2 pages"),
    ],
)
def test_questions_about_the_structure_are_counted(question, value):
    assert counted(question, counts()).value == value


@pytest.mark.parametrize(
    "question",
    [
        "How many tables does the restaurant have?",
        "How many ships are there?",
        "Which table has the most rows?",
        "How many pages are about tables?",
        "有多少艘船？",
        "",
    ],
)
def test_questions_about_the_content_are_not(question):
    assert counted(question, counts()) is None


def test_counted_parts_have_places_and_a_model_is_not_asked():
    answer = ask_document("How many tables are there?", counts(), (), answering("{}"))
    assert answer.way == "structure"
    assert [(one.page, one.quote) for one in answer.found.evidence] == [
        (0, "Port\tShips"),
        (1, "Port\tShips"),
    ]
    assert answer.found.score.value == 1.0


def test_a_count_of_pages_that_were_not_all_read_has_no_score():
    from dataclasses import replace

    broken = replace(page(2), status="unreadable", problems=("the page is broken",))
    found = counted(
        "How many tables are there?", book(page(1, block(top=300, rows=[["A"]])), broken)
    )
    assert (found.value, found.score.value) == ("1 table", None)
    assert found.problems == ("page 2: the page is broken",)
