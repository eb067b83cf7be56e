# SPDX-License-Identifier: Apache-2.0
"""Plain English on the report card, with scripted log-probabilities and answers."""

from __future__ import annotations

from math import exp

import pytest

from finesight.errors import EvalError
from finesight.evals.responders.model import FromModel
from finesight.evals.suites import english
from finesight.evals.suites.card_rows import Card
from finesight.evals.suites.english import (
    NUM_FACTS,
    WINDOW,
    BareDecoder,
    digest_of,
    is_known,
    perplexity,
    read_facts,
    read_prose,
)
from tests.support.replies import reply

TOKENS = tuple(range(2 * WINDOW + 5))


class Speaker:
    """Gives each token the same log-probability, and the first `num_right` questions a right answer."""

    def __init__(self, logprob: float = -2.0, num_right: int = 10**6) -> None:
        self.logprob, self.num_right = logprob, num_right
        self.windows, self.limits = [], set()

    def score_tokens(self, token_ids):
        self.windows.append(len(token_ids))
        return [self.logprob] * (len(token_ids) - 1)

    def respond(self, conversations, sampling):
        self.limits.add((sampling.max_new_tokens, sampling.temperature))
        facts = list(read_facts())
        question = conversations[0].messages[0].parts[0].text
        is_right = facts.index(question) < self.num_right
        return [reply(f"It is {read_facts()[question][0]}." if is_right else "I do not know.")]


def test_perplexity_is_over_all_windows():
    model = Speaker(-1.5)
    assert perplexity(model, TOKENS) == pytest.approx(exp(1.5))
    assert model.windows == [WINDOW, WINDOW, 5]


def test_accepted_answers_are_whole_words():
    assert is_known("The capital is PARIS.", ["Paris"])
    assert is_known("Water is H2O", ["H2O"])
    assert is_known("The answer is 1,000 m.", ["1,000"])
    assert not is_known("A Parisian", ["Paris"])
    assert not is_known("It is 14.", ["4"])
    assert is_known("four", ["4", "four"])


def test_a_decoder_is_measured_stored_and_compared(tmp_path, monkeypatch):
    bare = BareDecoder.measured("bare", Speaker(-2.0), TOKENS)
    assert (bare.num_tokens, bare.perplexity) == (len(TOKENS), round(exp(2.0), 4))
    assert bare.facts == tuple(read_facts())[:NUM_FACTS]
    for name in ("prose.txt", "facts.txt"):
        (tmp_path / name).write_bytes((english.ASSETS / name).read_bytes())
    monkeypatch.setattr(english, "ASSETS", tmp_path)
    assert bare.store() == tmp_path / "bare.json"
    assert BareDecoder.stored() == bare
    row = bare.row(Speaker(-2.5), TOKENS)
    assert row.score == pytest.approx(exp(0.5), rel=1e-4)
    assert (row.row, row.measure, row.blank, row.num_items) == (
        "english",
        "perplexity_ratio",
        None,
        3,
    )


def test_a_decoder_that_knows_too_little_is_refused():
    with pytest.raises(EvalError, match=r"bare answers 99 of \d+ questions right, 100 are needed"):
        BareDecoder.measured("bare", Speaker(num_right=NUM_FACTS - 1), TOKENS)


def test_facts_that_are_still_known(tmp_path):
    bare = BareDecoder.measured("bare", Speaker(), TOKENS)
    model = Speaker(num_right=90)
    card = Card(model=FromModel(model, "me"), out=tmp_path, most_examples=1)
    row = card.row(bare.facts_task(), tmp_path)
    assert (row.row, row.measure, row.score, row.blank) == ("facts", "accuracy", 0.9, None)
    assert (row.num_items, row.num_failed) == (NUM_FACTS, 0)
    assert model.limits == {(32, 0.0)}
    assert not (tmp_path / "facts" / "blank").exists()  # there is no picture to leave out
    assert [(each.said, each.blind) for each in row.examples] == [
        ("It is Paris.", ""),
        ("I do not know.", ""),
    ]


def test_another_tokenizer_has_no_data():
    bare = BareDecoder.measured("bare", Speaker(), TOKENS)
    assert bare.missing(TOKENS) == []
    missing = bare.missing(TOKENS[1:])
    assert [each.row for each in missing] == ["english", "facts"]
    assert "the tokenizer of bare" in missing[0].needs
    assert digest_of(TOKENS)[:12] in missing[0].needs
    assert "scripts/measure_bare_decoder.py" in missing[0].how


def test_the_texts_of_the_package():
    assert 15_000 <= len(read_prose()) <= 30_000
    assert read_prose().isascii()
    facts = read_facts()
    assert len(facts) >= 300
    for question, golds in facts.items():
        assert question.endswith("?")
        assert golds
        assert all(golds)
        assert not is_known(question, golds), question  # repeating the question is no answer
    bare = BareDecoder.stored()
    assert len(set(bare.facts)) == NUM_FACTS
    assert set(bare.facts) <= facts.keys()
    assert 1 < bare.perplexity < 100
