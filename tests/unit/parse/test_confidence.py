# SPDX-License-Identifier: Apache-2.0
"""The score of a part of a reply is the geometric mean over the tokens that cover it."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

import pytest

from finesight.conversation import Sampling, TokenLogprob
from finesight.engine.sampler import Pick
from finesight.engine.transcript import Transcript
from finesight.errors import ConfigError
from finesight.parse.confidence import score_of_span
from tests.support.replies import reply


def told(tokenizer, text, probabilities=None, **options):
    """A reply of these tokens, with the probabilities in turn."""
    end = tokenizer.special_id("<|im_end|>")
    tokens = [*tokenizer.encode(text), end]
    transcript = Transcript(tokenizer, Sampling(logprobs=0, **options), (end,))
    for index, token in enumerate(tokens):
        probability = probabilities[index % len(probabilities)] if probabilities else 0.5
        transcript.push(Pick(token, logprob=log(probability)))
        if transcript.finish_reason is not None:
            break
    return replace(reply(transcript.text), logprobs=tuple(transcript.logprobs))


def test_spans_are_those_of_the_text(tiny_tokenizer):
    text = "Locate the small red square."
    made = told(tiny_tokenizer, text)
    assert "".join(text[slice(*entry.span)] for entry in made.logprobs) == text
    for entry in made.logprobs[:-1]:
        assert entry.text == text[slice(*entry.span)]
    assert made.logprobs[-1].span == (len(text), len(text)), "the end token covers nothing"


def test_tokens_of_one_character_all_cover_it(tiny_tokenizer):
    text = "a🙂é日b"
    made = told(tiny_tokenizer, text)
    owners = [[e for e in made.logprobs if e.span[0] <= place < e.span[1]] for place in range(5)]
    assert [len(each) for each in owners] == [1, 4, 2, 3, 1]
    assert all(entry.span[1] - entry.span[0] <= 1 for entry in made.logprobs)


def test_the_score_is_the_geometric_mean(tiny_tokenizer):
    made = told(tiny_tokenizer, "0123", [0.9, 0.5, 0.2, 0.8])
    assert [entry.span for entry in made.logprobs] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 4)]
    assert score_of_span(made, (1, 3)) == pytest.approx((0.5 * 0.2) ** 0.5)
    assert score_of_span(made, (0, 1)) == pytest.approx(0.9)
    assert score_of_span(made, (0, 4)) == pytest.approx((0.9 * 0.5 * 0.2 * 0.8) ** 0.25)


def test_a_token_that_reaches_beyond_the_part_counts_whole():
    made = replace(
        reply("hello there"),
        logprobs=(
            TokenLogprob(1, "hello", -1.0, (), (0, 5)),
            TokenLogprob(2, " there", -3.0, (), (5, 11)),
        ),
    )
    assert score_of_span(made, (0, 5)) == pytest.approx(exp(-1))
    assert score_of_span(made, (4, 6)) == pytest.approx(exp(-2))
    assert score_of_span(made, (6, 11)) == pytest.approx(exp(-3))


def test_an_impossible_token_scores_zero():
    made = replace(reply("x"), logprobs=(TokenLogprob(1, "x", float("-inf"), (), (0, 1)),))
    assert score_of_span(made, (0, 1)) == 0.0


def test_a_text_that_a_stop_string_cut(tiny_tokenizer):
    made = told(tiny_tokenizer, "one END", [0.5], stop=("END",))
    assert made.text == "one "
    assert score_of_span(made, (0, 4)) == pytest.approx(0.5)


@pytest.mark.parametrize("span", [(0, 0), (2, 1), (-1, 1), (0, 99)])
def test_a_part_outside_the_text_is_refused(tiny_tokenizer, span):
    with pytest.raises(ConfigError, match="but the reply has 4 characters"):
        score_of_span(told(tiny_tokenizer, "0123"), span)


def test_without_log_probabilities_there_is_no_score():
    with pytest.raises(ConfigError, match="no log-probabilities") as caught:
        score_of_span(reply("hello"), (0, 2))
    assert "logprobs=0" in caught.value.hint


def test_a_token_that_a_server_rounds_to_above_certain_is_certain():
    entry = TokenLogprob(token_id=-1, text="four", logprob=1e-7, span=(0, 4))
    assert score_of_span(replace(reply("four"), logprobs=(entry,)), (0, 4)) == 1.0
