# SPDX-License-Identifier: Apache-2.0
"""An answer that repeats itself goes back to the end of the first copy and continues differently."""

from __future__ import annotations

import pytest
import torch

from finesight.conversation import Sampling
from finesight.engine import loop_guard
from finesight.engine.engine import Engine
from finesight.engine.loop_guard import LoopGuard
from finesight.engine.options import EngineOptions
from finesight.engine.penalties import RETRY_PENALTY, RETRY_TOKENS
from finesight.engine.request import Request
from finesight.engine.sampler import Pick, Sampler
from finesight.engine.transcript import Transcript
from finesight.errors import ConfigError
from finesight.model.weights import load_model
from finesight.processor.processor import Processor

SENTENCE = "Read all the text in the image. "


def first_copy(tokens, *, newline=None):
    guard = LoopGuard(None if newline is None else (lambda token: token == newline))
    assert any(guard.push(token) for token in tokens)
    return guard.first_copy


def test_the_guard_knows_the_first_copy_of_a_cycle():
    #         0  1   2 .. 9 is the first copy
    tokens = [90, 91, *[1, 2, 3, 4, 5, 6, 7, 8] * 40]
    assert first_copy(tokens) == (2, 10)


def test_the_guard_knows_the_first_copy_of_one_token():
    assert first_copy([5, 6, *[7] * 400]) == (2, 3)


def test_the_guard_knows_the_first_copy_of_a_line():
    """Every second line is the same; the others count upwards."""
    same, newline = [1, 2, 3, 4, 5, 6, 7, 0], 0
    tokens = [50, 51, 0]
    for number in range(70):
        tokens += [100 + number, 0, *same]
    start, end = first_copy(tokens, newline=newline)
    assert tokens[start:end] == same
    assert (start, end) == (5, 13)


def test_the_first_copy_of_a_line_is_within_the_window():
    same = [1, 2, 3, 4, 5, 6, 7, 0]
    tokens = []
    for number in range(100):  # 200 lines: the first ones have left the window
        tokens += [100 + number, 0] * 2
    for number in range(70):
        tokens += [300 + number, 0, *same]
    start, end = first_copy(tokens, newline=0)
    assert tokens[start:end] == same
    assert start == 402


def pushed(transcript: Transcript, tokens) -> list[str]:
    return [transcript.push(Pick(token, logprob=-1.0)) for token in tokens]


def test_a_transcript_goes_back_to_the_end_of_the_first_copy(tiny_tokenizer):
    start, loop = tiny_tokenizer.encode("Here:\n"), tiny_tokenizer.encode(SENTENCE)
    transcript = Transcript(tiny_tokenizer, Sampling(loop_retries=1), ())
    shown = ""
    for token in [*start, *loop * 40]:
        piece = transcript.push(Pick(token, logprob=-1.0))
        if transcript.rewound is not None:
            break
        shown += piece
    back = transcript.rewound
    assert back is not None
    assert piece == ""
    assert transcript.finish_reason is None
    assert transcript.token_ids == [*start, *loop]
    assert len(transcript.logprobs) == len(transcript.token_ids)
    assert transcript.text == "Here:\n" + SENTENCE
    assert shown[: len(shown) - back.withdrawn] == transcript.text
    assert back.loop == tuple(loop)
    assert back.retry == 1
    assert [*transcript.token_ids, *back.dropped] == [
        *start,
        *(loop * 40)[: len(loop) + len(back.dropped)],
    ]
    assert "retry 1 of 1" in transcript.notes[0]
    assert f"from token {len(start) + len(loop) + 1} " in transcript.notes[0]
    pushed(transcript, tiny_tokenizer.encode("The end."))
    assert transcript.text == "Here:\n" + SENTENCE + "The end."


def test_the_last_retry_is_followed_by_a_stop(tiny_tokenizer):
    loop = tiny_tokenizer.encode(SENTENCE)
    transcript = Transcript(tiny_tokenizer, Sampling(loop_retries=2, max_new_tokens=5000), ())
    backs = 0
    while transcript.finish_reason is None:
        for token in loop:
            transcript.push(Pick(token))
            backs += transcript.rewound is not None
            if transcript.finish_reason is not None or transcript.rewound is not None:
                break
    assert transcript.finish_reason == "repetition"
    assert backs == 2
    assert len(transcript.notes) == 2


def test_rewind_drops_half_characters_and_held_text(tiny_tokenizer):
    """Three tokens of one character, then the beginning of a stop string."""
    text = "a🙂b EN"
    tokens = tiny_tokenizer.encode(text)
    for kept in range(len(tokens) + 1):
        transcript = Transcript(tiny_tokenizer, Sampling(stop=("END",)), ())
        pushed(transcript, tokens)
        transcript.rewind(kept)
        fresh = Transcript(tiny_tokenizer, Sampling(stop=("END",)), ())
        pushed(fresh, tokens[:kept])
        assert (transcript.text, transcript.token_ids) == (fresh.text, fresh.token_ids)
        pushed(transcript, tokens[kept:])
        assert transcript.text == "a🙂b "


def test_looped_tokens_are_less_likely_for_a_while():
    logits = torch.tensor([4.0, -1.0, 3.5, 0.0])
    sampler = Sampler(Sampling(), torch.zeros(0, dtype=torch.int64))
    assert sampler.pick(logits).token_id == 0
    sampler.rewind([0], loop=[0, 1, 0], retry=1)
    assert sampler.scores(logits).tolist() == pytest.approx(
        [4.0 / RETRY_PENALTY, -RETRY_PENALTY, 3.5, 0.0]
    )
    assert [sampler.pick(logits).token_id for _ in range(RETRY_TOKENS + 1)] == [
        2
    ] * RETRY_TOKENS + [0]
    sampler.rewind([0], loop=[0], retry=2)
    assert sampler.scores(logits)[0] == pytest.approx(4.0 / RETRY_PENALTY**2)


@pytest.mark.parametrize(
    "penalties",
    [{"repetition_penalty": 1.5}, {"presence_penalty": 1.0}, {"frequency_penalty": 0.5}],
    ids=str,
)
def test_penalties_forget_what_was_dropped(penalties):
    logits = torch.tensor([4.0, -1.0, 3.9, 3.8])
    prompt = torch.tensor([1, 3])
    back, fresh = (Sampler(Sampling(**penalties), prompt) for _ in range(2))
    first = back.pick(logits).token_id
    assert fresh.pick(logits).token_id == first
    kept = fresh.scores(logits)
    dropped = [back.pick(logits).token_id for _ in range(3)]
    back.rewind(dropped, loop=[], retry=1)
    assert torch.equal(back.scores(logits), kept)


def looping(tiny_tokenizer, tiny_config, scripted):
    """A model whose best token repeats a sentence and whose second best tokens say something else."""
    loop, other = tiny_tokenizer.encode(SENTENCE), tiny_tokenizer.encode("XYZ!")
    other = [*other, tiny_tokenizer.special_id("<|im_end|>")]

    def script(step):
        row = torch.full((tiny_config.text.vocab_size,), -10.0)
        row[loop[step % len(loop)]] = 10.0
        at = step - len(loop)
        if at >= 0:
            row[other[at % len(other)]] = 9.0
        return row

    return scripted(script)


def test_the_engine_continues_and_says_so(
    tiny_tokenizer, tiny_config, scripted, processor, question
):
    engine = Engine(looping(tiny_tokenizer, tiny_config, scripted), processor)
    stopped = engine.respond([question], Sampling(max_new_tokens=3000))[0]
    assert stopped.finish_reason == "repetition"
    assert stopped.notes == ()
    events = list(engine.stream(question, Sampling(max_new_tokens=3000, loop_retries=3)))
    reply = events[-1].reply
    assert reply.finish_reason == "stop"
    assert reply.text == SENTENCE + "XYZ!"
    assert len(reply.notes) == 1
    assert reply.usage.completion_tokens == len(reply.token_ids)
    text = ""
    for event in events:
        text = text[: len(text) - event.withdrawn] + event.text
    assert text == reply.text
    assert sum(event.withdrawn > 0 for event in events) == 1


def test_cache_and_positions_are_those_of_the_answer_without_the_dropped_tokens(
    tiny_model_folder, question, monkeypatch
):
    """The log-probabilities after going back are those of one pass over prompt and answer."""
    monkeypatch.setattr(loop_guard, "PLAIN_LIMIT", (6, 40))
    model = load_model(tiny_model_folder)
    processor = Processor.from_folder(tiny_model_folder)
    sampling = Sampling(max_new_tokens=300, loop_retries=3, logprobs=0)
    for group, options in (
        (1, EngineOptions()),
        (3, EngineOptions(max_sequences=3)),
        (1, EngineOptions(draft_tokens=3)),
        (2, EngineOptions(max_sequences=2, deterministic=True)),
        (3, EngineOptions(max_sequences=3, prefix_cache=False)),
    ):
        engine = Engine(model, processor, options=options)
        outcomes = dict(engine.run([Request(conversation=question, sampling=sampling)] * group))
        for reply in outcomes.values():
            assert reply.notes, "the random model repeats itself"
            prompt = processor.encode(question).input_ids.tolist()
            whole = engine.score_tokens([*prompt, *reply.token_ids])
            expected = whole[len(prompt) - 1 :]
            found = [entry.logprob for entry in reply.logprobs]
            assert found == pytest.approx(expected, abs=1e-4)


def test_a_constrained_answer_goes_back_within_its_grammar(tiny_tokenizer):
    from tests.support.constrained import answer

    sampling = Sampling(
        json_schema={"type": "array", "items": {"const": "the text in the image"}, "maxItems": 400},
        loop_retries=2,
        max_new_tokens=3000,
    )
    drawn = answer(tiny_tokenizer, sampling, end_bias=-5.0)
    assert drawn.finish_reason in ("stop", "repetition")
    assert drawn.text.startswith('["the text in the image"')


@pytest.mark.parametrize("number", [-1, 11, 1.5, True])
def test_the_number_of_retries_has_limits(number):
    with pytest.raises(ConfigError, match="loop_retries="):
        Sampling(loop_retries=number).check()


def test_retries_need_the_guard():
    with pytest.raises(ConfigError, match="no effect with loop_guard=False"):
        Sampling(loop_retries=1, loop_guard=False).check()
