# SPDX-License-Identifier: Apache-2.0
"""Records of evidence, and scores from token probabilities."""

from __future__ import annotations

import json
from dataclasses import replace
from math import exp

import pytest

from finesight.apps.evidence import Coverage, Evidence, Found, Score, Skipped, hull
from finesight.apps.scores import score_of
from finesight.conversation import Conversation, TokenLogprob
from finesight.errors import ConfigError
from finesight.geometry import Box
from tests.support.app_responders import Question, answered
from tests.support.replies import reply


def test_a_value_is_written_as_json():
    found = Found(
        value={"amount": 3},
        raw="3.00",
        score=Score(0.87654, "logprob", {"mean": 0.9}),
        evidence=(Evidence(page=1, box=Box(1, 2.04, 3, 4), quote="3.00", match="exact", source="pdf_text"),),
    )  # fmt: skip
    assert json.loads(json.dumps(found.to_dict())) == {
        "value": {"amount": 3},
        "raw": "3.00",
        "status": "found",
        "score": {"value": 0.8765, "kind": "logprob", "parts": {"mean": 0.9}},
        "evidence": [
            {"media": 0, "page": 1, "box": [1, 2.0, 3, 4], "quote": "3.00", "match": "exact", "source": "pdf_text"}
        ],
        "problems": [],
    }  # fmt: skip


@pytest.mark.parametrize("status", ["absent", "unread"])
def test_what_is_not_there_has_no_value(status):
    with pytest.raises(ValueError, match=status):
        Found(value="something", status=status)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_score_is_a_share(value):
    with pytest.raises(ValueError, match="not from 0 to 1"):
        Score(value, "rule")


def test_coverage_is_full_only_if_every_unit_was_read():
    assert Coverage(unit="pages", total=2, seen=(0, 1, 1)).is_full
    part = Coverage(unit="pages", total=3, seen=(0, 1), skipped=(Skipped("page 3", "encrypted"),))
    assert not part.is_full
    assert part.to_dict()["skipped"] == [{"what": "page 3", "reason": "encrypted"}]


def test_hull():
    assert hull([]) is None
    assert hull([Box(5, 5, 6, 9), Box(1, 7, 2, 8)]) == Box(1, 5, 6, 9)


def token(text, start, logprob):
    return TokenLogprob(token_id=0, text=text, logprob=logprob, span=(start, start + len(text)))


def test_a_wrong_digit_does_not_hide_in_a_good_mean():
    text = "EUR 129"
    tokens = [token("EUR", 0, -0.01), token(" ", 3, -0.01), token("1", 4, -0.01),
              token("2", 5, -2.0), token("9", 6, -0.01)]  # fmt: skip
    given = replace(reply(text), logprobs=tuple(tokens))
    whole = score_of(given, (0, 7))
    assert whole.parts["mean"] == pytest.approx(exp(-2.04 / 5))
    assert whole.value == whole.parts["least_digit"] == pytest.approx(exp(-2.0))
    words = score_of(given, (0, 3))
    assert words.value == words.parts["mean"]
    assert "least_digit" not in words.parts


def test_digits_outside_the_part_do_not_count():
    """One token covers the last letter of the part and a digit after it."""
    given = replace(reply("ab7"), logprobs=(token("a", 0, -0.1), token("b7", 1, -3.0)))
    assert "least_digit" not in score_of(given, (0, 2)).parts


def test_without_log_probabilities_there_is_no_score():
    assert score_of(reply("text"), (0, 4)).value is None


def test_a_part_outside_the_text_is_refused():
    given = answered(Question("", (), (), Conversation(())), "text")
    with pytest.raises(ConfigError, match="0 to 9"):
        score_of(given, (0, 9))
