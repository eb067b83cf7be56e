# SPDX-License-Identifier: Apache-2.0
"""Generation with a model that says what it is told."""

from __future__ import annotations

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.errors import ConfigError, EngineError, PromptTooLong

LINE = "the man walks to the left and sees a tree and then\n"


def ask(engine: Engine, conversation: Conversation, **options):
    return engine.respond([conversation], Sampling(**options))[0]


@pytest.fixture
def answer(says, processor, question):
    """`answer(script, **sampling)`: the reply of a model with this script."""
    return lambda script, **options: ask(Engine(says(script), processor), question, **options)


def test_end_token_stops(answer, tiny_tokenizer):
    reply = answer("A red square.")
    assert reply.text == "A red square."
    assert reply.finish_reason == "stop"
    assert reply.token_ids[-1] == tiny_tokenizer.special_id("<|im_end|>")
    assert reply.usage.completion_tokens == len(reply.token_ids)


@pytest.mark.parametrize("eos", [(), (3,)])
def test_the_end_of_a_turn_ends_an_answer_whatever_the_files_say(says, processor, question, eos):
    model = says("A red square.")
    tokens = model.config.special_tokens.model_copy(update={"eos": eos})
    model.config = model.config.model_copy(update={"special_tokens": tokens})
    reply = ask(Engine(model, processor), question)
    assert (reply.text, reply.finish_reason) == ("A red square.", "stop")


def test_length_stops(answer):
    reply = answer("A red square.", max_new_tokens=3)
    assert reply.finish_reason == "length"
    assert len(reply.token_ids) == 3
    assert "A red square.".startswith(reply.text)


def test_end_token_at_the_last_place_is_a_stop(answer, tiny_tokenizer):
    count = len(tiny_tokenizer.encode("A red square.")) + 1
    assert answer("A red square.", max_new_tokens=count).finish_reason == "stop"
    assert answer("A red square.", max_new_tokens=count - 1).finish_reason == "length"


def test_stop_string_across_tokens(answer, tiny_tokenizer):
    text = "one two END three"
    assert len(tiny_tokenizer.encode("END")) > 1
    reply = answer(text, stop=("END",))
    assert reply.text == "one two "
    assert reply.finish_reason == "stop"


def test_stop_string_that_never_comes_whole_is_text(answer):
    assert answer("one two EN", stop=("END",)).text == "one two EN"


def test_stop_string_completed_by_the_last_token_wins_over_length(answer, tiny_tokenizer):
    count = len(tiny_tokenizer.encode("one END"))
    reply = answer("one END", stop=("END",), max_new_tokens=count)
    assert (reply.text, reply.finish_reason) == ("one ", "stop")


def test_loop_stops_with_repetition(answer):
    reply = answer(LINE * 100, max_new_tokens=4000)
    assert reply.finish_reason == "repetition"
    assert reply.text.count(LINE.strip()) >= 4


def test_loop_goes_on_without_the_guard(answer):
    reply = answer(LINE * 60, max_new_tokens=1000, loop_guard=False)
    assert reply.finish_reason == "length"


def test_table_with_thirty_equal_cells_passes(answer):
    table = "<tr>" + "<td>0</td>" * 30 + "</tr>"
    reply = answer(table, max_new_tokens=3000)
    assert (reply.text, reply.finish_reason) == (table, "stop")


def test_stream_joins_to_the_reply(says, processor, question):
    text = "héllo 世界 👩‍🚀 end"
    events = list(Engine(says(text), processor).stream(question, Sampling()))
    assert "".join(event.text for event in events) == text
    assert all("�" not in event.text for event in events)
    assert [event.reply for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].reply is not None
    assert events[-1].reply.text == text


def test_stream_never_shows_part_of_a_stop_string(says, processor, question):
    events = list(
        Engine(says("abc E EN END x"), processor).stream(question, Sampling(stop=("END",)))
    )
    assert "".join(event.text for event in events) == "abc E EN "


def test_broken_character_at_the_end(says, processor, question, tiny_tokenizer):
    first_byte = tiny_tokenizer.encode("世")[0]
    end = tiny_tokenizer.special_id("<|im_end|>")
    reply = ask(Engine(says([first_byte, end]), processor), question)
    assert reply.text == "�"


def test_hidden_control_tokens_do_not_show(answer, tiny_tokenizer):
    start, end = (tiny_tokenizer.special_id(n) for n in ("<|box_start|>", "<|im_end|>"))
    reply = answer([start, *tiny_tokenizer.encode("x"), end])
    assert reply.text == "x"


CALL = '<tool_call>\n{"name": "click", "arguments": {"x": 1}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "click", "parameters": {}}}


def call_tokens(tokenizer):
    body = tokenizer.encode('\n{"name": "click", "arguments": {"x": 1}}\n')
    names = ("<tool_call>", "</tool_call>", "<|im_end|>")
    opening, closing, end = (tokenizer.special_id(name) for name in names)
    return [opening, *body, closing, end]


def test_tool_call_is_reported_when_there_are_tools(says, processor, question, tiny_tokenizer):
    engine = Engine(says(call_tokens(tiny_tokenizer)), processor)
    reply = ask(engine, Conversation(question.messages, tools=(TOOL,)))
    assert (reply.text, reply.finish_reason) == (CALL, "tool_calls")


def test_tool_call_without_tools_is_text(answer, tiny_tokenizer):
    assert answer(call_tokens(tiny_tokenizer)).finish_reason == "stop"


def test_logprobs_follow_the_tokens(answer, tiny_tokenizer):
    reply = answer("red", logprobs=2)
    assert [entry.token_id for entry in reply.logprobs] == list(reply.token_ids)
    assert all(entry.logprob == pytest.approx(0, abs=1e-4) for entry in reply.logprobs)
    assert [len(entry.top) for entry in reply.logprobs] == [2] * len(reply.token_ids)
    assert reply.logprobs[0].text == tiny_tokenizer.token_text(reply.token_ids[0])
    assert answer("red").logprobs == ()


@pytest.fixture
def random_engine(scripted, processor, tiny_config):
    """A model with fixed random logits that never ends."""
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(64, tiny_config.text.vocab_size, generator=generator)
    rows[:, list(tiny_config.special_tokens.eos)] = -50
    return Engine(scripted(lambda step: rows[step % 64]), processor)


def test_same_seed_same_answer_whatever_else_is_asked(random_engine, question):
    other = Conversation((Message("user", (TextPart("And what is that over there?"),)),))
    sampling = Sampling(temperature=1.0, seed=7, max_new_tokens=12)
    alone = random_engine.respond([question], sampling)[0].token_ids
    first, _ = random_engine.respond([question, other], sampling)
    _, second = random_engine.respond([other, question], sampling)
    assert alone == first.token_ids == second.token_ids


def test_other_seed_other_answer(random_engine, question):
    answers = {
        ask(random_engine, question, temperature=1.0, seed=seed, max_new_tokens=12).token_ids
        for seed in range(4)
    }
    assert len(answers) == 4


def test_each_picture_is_encoded_once(says, processor, picture):
    model = says("ok then, here we go")
    other = ImagePart(source=picture.rotate(180))
    parts = (ImagePart(source=picture), other, ImagePart(source=picture), TextPart("Compare."))
    engine = Engine(model, processor)
    reply = ask(engine, Conversation((Message("user", parts),)))
    assert model.vision_calls == 2  # of two equal pictures, the second is known
    assert len(reply.media) == 3
    again = (other, TextPart("And this one?"))
    ask(engine, Conversation((Message("user", again),)))
    assert model.vision_calls == 2
    assert reply.media[0].resize.original.width == picture.width
    assert reply.usage.visual_tokens == sum(record.visual_tokens for record in reply.media)


def test_positions_go_on_after_a_picture(says, processor, picture):
    model = says("abc")
    conversation = Conversation((Message("user", (ImagePart(source=picture), TextPart("?"))),))
    sample = processor.encode(conversation)
    ask(Engine(model, processor), conversation)
    last = int(sample.position_ids.max())
    assert sample.rope_delta < 0
    assert model.positions[:3] == [[last] * 3, [last + 1] * 3, [last + 2] * 3]


def test_prompt_too_long_names_both_numbers(says, processor, question):
    with pytest.raises(PromptTooLong, match=r"prompt has \d+ tokens .* 4090.* context is 4096"):
        ask(Engine(says("x"), processor), question, max_new_tokens=4090)


def test_wrong_sampling_is_refused_before_any_work(says, processor, question):
    model = says("x")
    with pytest.raises(ConfigError, match="temperature"):
        Engine(model, processor).stream(question, Sampling(temperature=-1))
    assert model.positions == []


def test_nonfinite_scores_are_an_error(scripted, processor, question, tiny_config):
    broken = torch.full((tiny_config.text.vocab_size,), float("nan"))
    with pytest.raises(EngineError, match=r"token 1 of the answer .* is lm_head"):
        ask(Engine(scripted(lambda step: broken), processor), question)


def test_stages_are_told(says, processor, picture):
    stages = []
    engine = Engine(says("ab"), processor, on_stage=lambda *stage: stages.append(stage))
    ask(engine, Conversation((Message("user", (ImagePart(source=picture),)),)))
    names = list(dict.fromkeys(name for name, _, _ in stages))
    assert names == ["media", "vision", "prefill", "decode"]
    assert stages[1] == ("media", 1, 1)
    assert all(done <= total for _, done, total in stages)
