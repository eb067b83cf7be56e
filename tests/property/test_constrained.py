# SPDX-License-Identifier: Apache-2.0
"""Whatever the logits, an answer that ends is one that the constraint accepts."""

from __future__ import annotations

import json
import random
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.drawn_schemas import drawn_schema
from finesight.conversation import Sampling
from finesight.text.tokenizer import Tokenizer
from tests.conftest import build_tokenizer
from tests.support.constrained import answer

TOKENIZER = Tokenizer(build_tokenizer())


@given(
    seed=st.integers(0, 10**6),
    temperature=st.sampled_from([0.0, 0.5, 3.0]),
    top_p=st.sampled_from([1.0, 0.5]),
    repetition_penalty=st.sampled_from([1.0, 2.0]),
    end_bias=st.sampled_from([0.0, 8.0]),
)
def test_an_answer_under_a_drawn_schema_is_valid(
    seed, temperature, top_p, repetition_penalty, end_bias
):
    schema = drawn_schema(random.Random(seed))
    sampling = Sampling(
        json_schema=schema,
        temperature=temperature,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        max_new_tokens=200,
        loop_guard=False,
    )
    drawn = answer(TOKENIZER, sampling, seed=seed, end_bias=end_bias)
    if drawn.finish_reason == "length":
        return
    assert drawn.finish_reason == "stop"
    jsonschema.Draft202012Validator(schema).validate(json.loads(drawn.text))


@pytest.mark.slow
def test_500_schemas():
    ended = 0
    for seed in range(500):
        schema = drawn_schema(random.Random(seed))
        sampling = Sampling(
            json_schema=schema, temperature=1.0, seed=seed, max_new_tokens=400, loop_guard=False
        )
        drawn = answer(TOKENIZER, sampling, seed=seed, end_bias=6.0)
        if drawn.finish_reason == "stop":
            ended += 1
            jsonschema.Draft202012Validator(schema).validate(json.loads(drawn.text))
    assert ended > 400


PATTERNS = (
    r"[0-9]{2}:[0-9]{2}",
    r"(yes|no|perhaps)",
    r"[a-zäöüß ]{3,40}\.",
    r"[0-9]{1,3}(,[0-9]{3})*(\.[0-9]{2})? ?€",
    r"(Größe|価格): [0-9]+",  # not \d: two libraries know digits of different versions of Unicode
    r"\n?",
)


@given(st.sampled_from(PATTERNS), st.integers(0, 999), st.sampled_from([0.0, 1.0]))
def test_an_answer_under_a_regex_matches_it(pattern, seed, temperature):
    sampling = Sampling(regex=pattern, temperature=temperature, seed=seed, max_new_tokens=300)
    drawn = answer(TOKENIZER, sampling, seed=seed, end_bias=4.0)
    assert drawn.finish_reason == "stop"
    assert re.fullmatch(pattern, drawn.text), drawn.text


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 999),
)
def test_an_answer_under_a_choice_is_one_of_the_texts(texts, seed):
    drawn = answer(TOKENIZER, Sampling(choice=tuple(texts), temperature=1.0, seed=seed), seed=seed)
    assert drawn.finish_reason == "stop"
    assert drawn.text in texts
