# SPDX-License-Identifier: Apache-2.0
"""Kinds of pages and documents of a packet, with a scorer that knows the pages."""

from __future__ import annotations

import random

import numpy as np
import pytest

from finesight.apps.classify.classify import ClassifyOptions, classify_packet, fitted_threshold
from finesight.apps.classify.files import read_examples
from finesight.apps.classify.records import OTHER
from finesight.apps.document.read import PageImage
from finesight.conversation import ImagePart, TextPart
from finesight.errors import ConfigError, RemoteError

LABELS = {"invoice": "a bill", "bank statement": "", "contract": "", "delivery note of goods": ""}
OPTIONS = ClassifyOptions(labels=LABELS)


def page_image(code: int, number: int, source="packet.pdf") -> PageImage:
    """A page whose first pixel is its code; code 0 is a page without ink."""
    pixels = np.full((56, 56, 3), 255, np.uint8)
    if code:
        pixels[0, 0] = code
    return PageImage(source, number - 1, number, pixels)


class ScriptedScorer:
    """Knows kind and document of each code; likes the label "invoice" and long answers whatever it sees.

    Args:
        kinds: label of each code; a code without one fits no label.
        documents: document of each code.
    """

    def __init__(self, kinds: dict[int, str], documents: dict[int, int]) -> None:
        self.kinds, self.documents = kinds, documents
        self.num_scored = 0

    def respond(self, conversations, sampling):
        raise AssertionError("a scorer is asked for scores only")

    def score(self, conversations):
        self.num_scored += len(conversations)
        return [self._one(one) for one in conversations]

    def _one(self, conversation):
        user, answer = conversation.messages[-2:]
        text = answer.parts[0].text
        codes = [int(part.source[0, 0, 0]) for part in user.parts if isinstance(part, ImagePart)]
        if len(codes) == 2:
            is_new = self.documents[codes[0]] != self.documents[codes[1]]
            return [-0.1 if (text == "Yes") == is_new else -3.0]
        base = -1.0 if text == "invoice" else -4.0
        if codes and self.kinds.get(codes[0]) == text:
            base += 3.0
        elif codes:
            base -= 1.0
        return [base] * len(text.split())


def packet(seed: int, num_documents: int):
    """Codes of pages in order, their kinds, their documents."""
    rng = random.Random(seed)
    kinds, documents, expected, code = {}, {}, [], 0
    for index in range(num_documents):
        label = rng.choice([*LABELS, None])
        numbers = []
        for _ in range(rng.randint(1, 4)):
            code += 1
            documents[code] = index
            numbers.append(code)
            if label:
                kinds[code] = label
        expected.append((tuple(numbers), label or OTHER))
    return ScriptedScorer(kinds, documents), code, expected


@pytest.mark.parametrize("seed", range(5))
def test_a_packet_of_twelve_documents_is_split(seed):
    scorer, num_pages, expected = packet(seed, 12)
    images = [page_image(number, number) for number in range(1, num_pages + 1)]
    found = classify_packet(images, scorer, OPTIONS)
    assert [(one.pages, one.label) for one in found.documents] == expected
    assert found.coverage.is_full
    others = [one for one in found.documents if one.label == OTHER]
    assert all("below 0.50" in one.problems[0] for one in others)


def test_what_a_model_likes_to_say_does_not_win():
    scorer = ScriptedScorer({1: "contract"}, {1: 0})
    (page,) = classify_packet([page_image(1, 1)], scorer, OPTIONS).pages
    assert page.kind.value == "contract"
    assert page.lifts["invoice"] == pytest.approx(-1.0)
    assert page.kind.score.value > 0.9


def test_files_are_documents_of_their_own_and_the_prior_is_asked_once():
    scorer = ScriptedScorer({1: "contract", 2: "contract"}, {1: 0, 2: 0})
    images = [page_image(1, 1, "a.png"), page_image(2, 2, "b.png")]
    found = classify_packet(images, scorer, OPTIONS)
    assert [one.pages for one in found.documents] == [(1,), (2,)]
    assert scorer.num_scored == 3 * len(LABELS)


def test_blank_pages_and_pages_that_cannot_be_drawn_have_a_status():
    scorer = ScriptedScorer({1: "contract"}, {1: 0, 255: 0})
    broken = (page_image(3, 3), "the file is damaged")
    found = classify_packet([page_image(1, 1), page_image(0, 2), broken], scorer, OPTIONS)
    assert [one.kind.status for one in found.pages] == ["found", "absent", "unread"]
    assert found.documents[0].pages == (1, 2, 3)
    assert found.documents[0].problems == ("page 3: the file is damaged",)
    assert not found.coverage.is_full


def test_a_scorer_that_fails_is_reported_on_the_page():
    class Failing(ScriptedScorer):
        def score(self, conversations):
            raise RemoteError("the endpoint answered 500")

    found = classify_packet([page_image(1, 1)], Failing({}, {}), OPTIONS)
    assert found.pages[0].kind.status == "unread"
    assert found.documents[0].label == OTHER


def test_a_threshold_is_fitted_on_examples():
    rng = random.Random(0)
    examples = []
    for index in range(30):
        is_other = index % 3 == 0
        lift = rng.uniform(0.4, 1.2) if is_other else rng.uniform(2.2, 4.0)
        examples.append(({"a": lift, "b": 0.0}, OTHER if is_other else "a"))
    threshold, num_wrong = fitted_threshold(examples)
    assert 0.76 < threshold < 0.91
    assert num_wrong == 0
    swapped = [*examples, ({"a": 3.0, "b": 0.0}, OTHER)]
    assert fitted_threshold(swapped)[1] == 1
    for few in (examples[:19], [one for one in examples if one[1] == "a"] * 2):
        with pytest.raises(ConfigError):
            fitted_threshold(few)


@pytest.mark.parametrize("labels", [{}, {"a": ""}, {"a": "", "": ""}, {"a": "", "Other": ""}])
def test_wrong_labels_are_refused(labels):
    with pytest.raises(ConfigError, match="label"):
        classify_packet([], ScriptedScorer({}, {}), ClassifyOptions(labels=labels))


def test_the_question_names_the_kinds_and_what_they_are():
    asked = []

    class Listening(ScriptedScorer):
        def score(self, conversations):
            asked.extend(conversations)
            return super().score(conversations)

    classify_packet([page_image(1, 1)], Listening({}, {}), OPTIONS)
    (text,) = [part for part in asked[0].messages[0].parts if isinstance(part, TextPart)]
    assert "- invoice: a bill\n- bank statement\n" in text.text


@pytest.mark.parametrize("row", ["b.png", "b.png,", ",invoice"])
def test_a_row_of_examples_without_a_label_is_named(tmp_path, row):
    path = tmp_path / "examples.csv"
    path.write_text(f"path,label\na.png,invoice\n{row}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"examples\.csv, row 2: it has no path or no label"):
        read_examples(path)
