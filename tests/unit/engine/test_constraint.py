# SPDX-License-Identifier: Apache-2.0
"""What a constraint allows, and what is refused before the first token."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress

import pytest
import torch

from finesight.conversation import Sampling
from finesight.engine.constraint import constraint_of
from finesight.engine.sampler import Sampler
from finesight.errors import ConfigError, EngineError
from finesight.text.special_tokens import SPECIAL_TOKENS
from tests.support.constrained import NO_PROMPT, answer


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer):
    return tiny_tokenizer


def refused(tokenizer, **options) -> ConfigError:
    def compile_it():
        sampling = Sampling(**options)
        sampling.check()
        constraint_of(sampling, tokenizer)

    with pytest.raises(ConfigError) as caught:
        compile_it()
    return caught.value


def allowed(constraint, size: int) -> set[int]:
    logits = torch.zeros(size)
    constraint.mask_(logits)
    return set(torch.isfinite(logits).nonzero().squeeze(1).tolist())


def test_a_free_answer_has_no_constraint(tokenizer):
    assert constraint_of(Sampling(), tokenizer) is None


def test_only_tokens_that_continue_the_answer_are_allowed(tokenizer):
    constraint = constraint_of(Sampling(choice=("image", "in")), tokenizer)
    size = tokenizer.vocab_size + 5
    texts = {tokenizer.token_bytes(token).decode() for token in allowed(constraint, size)}
    assert {"i"} <= texts
    assert all("image".startswith(text) or "in".startswith(text) for text in texts)


def test_the_end_is_allowed_only_where_the_grammar_ends(tokenizer):
    end, other = tokenizer.special_id("<|im_end|>"), tokenizer.special_id("<|endoftext|>")
    constraint = constraint_of(Sampling(choice=("in", "inside")), tokenizer, (end, other))
    size = tokenizer.vocab_size
    for token in tokenizer.encode("in"):
        assert not {end, other} & allowed(constraint, size)
        assert not constraint.is_complete
        constraint.accept(token)
    assert {end, other} < allowed(constraint, size), "the longer choice is open too"
    assert constraint.is_complete
    for token in tokenizer.encode("side"):
        constraint.accept(token)
    assert allowed(constraint, size) == {end, other}


def test_control_tokens_are_never_allowed(tokenizer):
    """A grammar of any text, which also spells some of their names."""
    end = tokenizer.special_id("<|im_end|>")
    constraint = constraint_of(Sampling(regex=r"(.|\n)*"), tokenizer, (end,))
    found = allowed(constraint, tokenizer.vocab_size + 40)
    assert found & set(tokenizer.special_ids.values()) == {end}
    assert max(found) < tokenizer.vocab_size


@pytest.mark.parametrize("name", SPECIAL_TOKENS[:4])
def test_a_spelled_control_token_is_text(tokenizer, name):
    drawn = answer(tokenizer, Sampling(choice=(name,)))
    assert drawn.text == name
    assert tokenizer.special_ids[name] not in drawn.token_ids[:-1]


def test_a_taken_back_token_is_open_again(tokenizer):
    constraint = constraint_of(Sampling(choice=("in", "at")), tokenizer)
    before = allowed(constraint, tokenizer.vocab_size)
    constraint.accept(tokenizer.encode("at")[0])
    assert allowed(constraint, tokenizer.vocab_size) != before
    constraint.rewind(1)
    assert allowed(constraint, tokenizer.vocab_size) == before


def test_answers_with_one_grammar_do_not_share_their_state(tokenizer):
    sampling = Sampling(choice=("in", "at"))
    first, second = (constraint_of(sampling, tokenizer) for _ in range(2))
    before = allowed(second, tokenizer.vocab_size)
    first.accept(tokenizer.encode("at")[0])
    assert allowed(second, tokenizer.vocab_size) == before


def test_the_mask_comes_before_the_penalties(tokenizer):
    """A penalty cannot lift an excluded token, and greedy decoding takes the best of the allowed ones."""
    sampling = Sampling(choice=("no", "yes"), repetition_penalty=100.0, frequency_penalty=-2.0)
    sampler = Sampler(sampling, NO_PROMPT, constraint_of(sampling, tokenizer))
    logits = torch.full((tokenizer.vocab_size,), -50.0)
    logits[tokenizer.encode("q")[0]] = 90.0
    logits[tokenizer.encode("y")[0]] = 1.0
    pick = sampler.pick(logits)
    assert tokenizer.token_text(pick.token_id) in ("y", "ye", "yes")


def test_log_probabilities_are_those_without_the_constraint(tokenizer):
    sampling = Sampling(choice=("no",), logprobs=1)
    sampler = Sampler(sampling, NO_PROMPT, constraint_of(sampling, tokenizer))
    logits = torch.randn(tokenizer.vocab_size, generator=torch.Generator().manual_seed(2))
    best = int(logits.argmax())
    pick = sampler.pick(logits)
    assert pick.token_id != best
    assert pick.logprob == pytest.approx(float(logits.log_softmax(0)[pick.token_id]))
    assert pick.top[0][0] == best


def test_mixed_rows_keep_to_their_own_grammar(tokenizer):
    from finesight.engine.sampler import pick_rows

    samplings = [Sampling(choice=("in",)), Sampling(), Sampling(regex="[0-9]", temperature=1.0)]
    samplers = [Sampler(each, NO_PROMPT, constraint_of(each, tokenizer)) for each in samplings]
    logits = torch.randn(3, tokenizer.vocab_size, generator=torch.Generator().manual_seed(7))
    kept = logits.clone()
    first, free, digit = pick_rows(logits, samplers)
    assert "in".startswith(tokenizer.token_text(first.token_id))
    assert free.token_id == int(kept[1].argmax())
    assert tokenizer.token_text(digit.token_id) in set("0123456789")
    assert torch.equal(logits, kept)


UNUSABLE = [
    ({"json_schema": '{"type": '}, "json_schema is not JSON"),
    ({"json_schema": "[1]"}, "json_schema is"),
    ({"json_schema": "  "}, "must be a JSON Schema, as text or as a mapping, and not empty"),
    ({"json_schema": 7}, "must be a JSON Schema, as text or as a mapping"),
    ({"json_schema": {"type": "colour"}}, "Invalid type: colour"),
    ({"json_schema": {"type": "array", "uniqueItems": True}}, "uniqueItems"),
    ({"json_schema": {"type": "integer", "minimum": 5, "maximum": 3}}, "Unsatisfiable"),
    ({"json_schema": "false"}, "cannot be applied"),
    ({"json_schema": {"$ref": "#"}}, "no answer fits it"),
    ({"json_schema": {"$ref": "#/$defs/none"}}, "does not exist"),
    ({"json_schema": {"$ref": "https://example.org/schema.json"}}, "cannot be applied"),
    ({"json_schema": {"type": "number", "minimum": float("nan")}}, "cannot be written as JSON"),
    ({"json_schema": {"type": {1, 2}}}, "cannot be written as JSON"),
    ({"regex": "("}, "unclosed group"),
    ({"regex": "(?=a)b"}, "look-around"),
    ({"regex": r"(a)\1"}, "backreferences"),
    ({"regex": r"[^\s\S]"}, "no answer fits it"),
    ({"regex": ""}, "must be a text, and not empty"),
    ({"regex": "a\ud800"}, "not UTF-8 at character 2"),
    ({"choice": ()}, "choice is an empty list"),
    ({"choice": ("",)}, "strings that are not empty"),
    ({"choice": tuple(map(str, range(20_000)))}, "choice has 20,000 texts; at most 10,000"),
    ({"choice": (1,)}, "strings that are not empty"),
    ({"choice": ("a", "\udc80")}, "not UTF-8"),
    ({"grammar": "start: nothing"}, "cannot be applied"),
    ({"grammar": "begin: /a/"}, "cannot be applied"),
    ({"grammar": "boxes"}, "the conversation shows none"),
    ({"grammar": "tool_calls"}, "the conversation offers none"),
    ({"regex": "a", "choice": ("b",)}, "regex and choice are given"),
    ({"regex": "ab", "stop": ("b",)}, "could cut an answer that regex constrains"),
]


@pytest.mark.parametrize(("options", "message"), UNUSABLE, ids=lambda each: str(each)[:40])
def test_what_cannot_be_applied_is_refused(tokenizer, options, message):
    error = refused(tokenizer, **options)
    assert message in error.message
    assert "<state>" not in error.message


LARGE = {
    "enum of 10 MB": {"enum": [f"x{i}" for i in range(900_000)]},
    "enum of 1 MB": {"enum": [f"x{i}" for i in range(100_000)]},
    "200,000 properties": {"type": "object", "properties": {f"p{i}": {} for i in range(150_000)}},
    "nested 5,000 deep": '{"items": ' * 5_000 + "{}" + "}" * 5_000,
    "nested 300,000 deep": '{"items": ' * 300_000 + "{}" + "}" * 300_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_huge_schema_is_refused_in_a_few_seconds(tokenizer, name):
    start = time.process_time()
    assert refused(tokenizer, json_schema=LARGE[name]).message
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    "pattern",
    [
        "((a{1,1000}){1,1000}){1,1000}",
        "(.*a){12}b",
        "(a|aa)+b",
        "(([a-z]+)+)+!",
        ".*a.{200}",
        "(a?){5000}a{5000}",
    ],
)
def test_a_regex_that_explodes_ends_in_an_answer_or_an_error(tokenizer, pattern):
    start = time.process_time()
    sampling = Sampling(regex=pattern, temperature=1.0, seed=1, max_new_tokens=60)
    with suppress(ConfigError, EngineError):
        drawn = answer(tokenizer, sampling, seed=1)
        assert drawn.finish_reason in ("stop", "length", "repetition")
    assert time.process_time() - start < 20


def test_a_state_that_grows_too_large_is_an_error_in_one_line(tokenizer):
    """The answer is determined and has no end, so the library looks ahead without end."""
    with pytest.raises(EngineError, match=r"cannot be followed further: .*limit") as caught:
        answer(tokenizer, Sampling(grammar='start: "ab" start', max_new_tokens=8))
    assert "<state>" not in caught.value.message


def test_a_recursive_schema_ends(tokenizer):
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
        "required": ["next"],
        "additionalProperties": False,
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    drawn = answer(
        tokenizer, Sampling(json_schema=schema, temperature=1.0, max_new_tokens=600), seed=4
    )
    value = json.loads(drawn.text)
    while value["next"] is not None:
        value = value["next"]


@pytest.mark.parametrize("seed", range(4))
def test_choices_that_share_a_beginning_can_all_be_given(tokenizer, seed):
    texts = ("in", "in the", "in the image", "in the image.", "int")
    found = {
        answer(tokenizer, Sampling(choice=texts, temperature=5.0, seed=each), seed=each).text
        for each in range(seed * 40, seed * 40 + 40)
    }
    assert found <= set(texts)
    assert len(found) >= 3


def test_text_of_every_script_can_be_spelled(tokenizer):
    for text in ("日本語", "🙂", "ẞ", "\u200d", "é\u0301", "\x00", "\x7f", "\u2028", "\r\n\t"):
        assert answer(tokenizer, Sampling(choice=(text,))).text == text


def test_numbers_longer_than_the_limit_end_with_length(tokenizer):
    schema = {"type": "integer", "minimum": 10**17}
    drawn = answer(tokenizer, Sampling(json_schema=schema, max_new_tokens=5))
    assert drawn.finish_reason == "length"


def test_a_recursion_without_an_end_ends_with_length(tokenizer):
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    drawn = answer(tokenizer, Sampling(json_schema=schema, max_new_tokens=30, loop_guard=False))
    assert drawn.finish_reason == "length"
    assert drawn.text.startswith('{"a":')


def test_json_is_on_one_line(tokenizer):
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 3}
    rng = random.Random(0)
    for _ in range(10):
        seed = rng.randrange(10**6)
        text = answer(
            tokenizer, Sampling(json_schema=schema, temperature=2.0, seed=seed), seed=seed
        ).text
        assert text.replace(", ", ",") == json.dumps(json.loads(text), separators=(",", ":"))


def test_a_schema_may_choose_its_own_layout(tokenizer):
    layout = {"x-guidance": {"whitespace_flexible": False, "item_separator": "\n,"}}
    schema = {"const": [1, 2], **layout}
    assert answer(tokenizer, Sampling(json_schema=schema)).text == "[1\n,2]"


def test_true_is_a_schema_of_any_json(tokenizer):
    drawn = answer(tokenizer, Sampling(json_schema="true", temperature=1.0), seed=2, end_bias=9.0)
    json.loads(drawn.text)
