# SPDX-License-Identifier: Apache-2.0
"""The engine thread: many callers, cancelled and late requests, and a model that raises."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading

import pytest
from PIL import Image

from finesight.conversation import (
    Conversation,
    ImagePart,
    Message,
    Reply,
    Sampling,
    TextPart,
)
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.errors import ConfigError, EngineError, MediaTooLarge, OutOfBlocks, QueueFull

LONG = "one two three four five six seven eight nine ten eleven twelve"


@pytest.fixture
def request_of(question):
    return lambda **options: Request(conversation=question, **options)


def test_many_threads_are_answered(says, processor, request_of):
    engine = Engine(says(LONG), processor, options=EngineOptions(max_sequences=4))
    replies: list[Reply] = []

    def ask() -> None:
        replies.append(engine.submit(request_of()).reply())

    threads = [threading.Thread(target=ask) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.text for reply in replies] == [LONG] * 9
    assert max(len(batch) for batch in engine.model.batches) > 1


def test_a_cancelled_answer_has_the_text_so_far(says, processor, request_of):
    engine = Engine(says(LONG * 50), processor)
    ticket = engine.submit(request_of(sampling=Sampling(loop_guard=False)))
    next(ticket)
    ticket.cancel()
    *_, last = ticket
    assert last.reply.finish_reason == "cancelled"
    assert (LONG * 50).startswith(last.reply.text)
    assert engine.submit(request_of(sampling=Sampling(max_new_tokens=2))).reply().text


def test_a_cancelled_request_that_waits_was_never_computed(says, processor, request_of):
    model = says(LONG * 40)
    engine = Engine(model, processor)
    first = engine.submit(request_of(sampling=Sampling(loop_guard=False)))
    second = engine.submit(request_of())
    second.cancel()
    assert second.reply().finish_reason == "cancelled"
    assert second._sequence.num_cached == 0
    first.cancel()


def test_a_ticket_thrown_away_frees_its_blocks(says, processor, request_of):
    engine = Engine(says(LONG * 50), processor)
    ticket = engine.submit(request_of(sampling=Sampling(loop_guard=False)))
    next(ticket)
    del ticket
    assert engine.submit(request_of(sampling=Sampling(max_new_tokens=1))).reply()
    core, _ = engine._started()
    assert core.pool.num_free == core.pool.num_blocks


def test_an_abandoned_run_cancels_its_requests(says, processor, request_of):
    engine = Engine(says("fine"), processor, options=EngineOptions(max_sequences=3))
    run = engine.run(request_of() for _ in range(1000))
    next(run)
    run.close()
    assert engine.submit(request_of()).reply().text == "fine"
    core, _ = engine._started()
    assert core.scheduler.is_idle


def test_a_late_answer_is_an_error_with_both_numbers(says, processor, request_of):
    engine = Engine(says(LONG * 50), processor)
    options = Sampling(loop_guard=False, max_new_tokens=3000)
    with pytest.raises(EngineError, match=r"not finished within 0\.05 s; it has \d+ tokens"):
        engine.submit(request_of(sampling=options, deadline_seconds=0.05)).reply()
    assert engine.submit(
        request_of(deadline_seconds=60, sampling=Sampling(max_new_tokens=2))
    ).reply()


def test_too_many_waiting_requests_are_refused(says, processor, request_of):
    engine = Engine(says(LONG * 50), processor, options=EngineOptions(max_waiting=2))
    tickets = [engine.submit(request_of(sampling=Sampling(loop_guard=False)))]
    next(tickets[0])  # it runs, the next two wait
    tickets += [engine.submit(request_of()) for _ in range(2)]
    with pytest.raises(QueueFull, match="2 requests wait already; max_waiting is 2"):
        engine.submit(request_of())
    for ticket in tickets:
        ticket.cancel()


def shown(picture) -> Request:
    parts = (ImagePart(source=picture), TextPart("What is this?"))
    return Request(conversation=Conversation((Message("user", parts),)))


def test_media_are_counted_until_the_answer_ends_in_any_way(says, processor, picture, question):
    engine = Engine(says(LONG), processor, options=EngineOptions(max_waiting=1))
    engine.submit(shown(picture)).reply()
    assert engine._media.used == 0
    running = engine.submit(shown(picture))
    assert engine._media.used > 0
    waiting = engine.submit(shown(picture))
    with contextlib.suppress(QueueFull):
        engine.submit(shown(picture)).reply()
    for ticket in (running, waiting):
        ticket.cancel()
        ticket.reply()
    del ticket, running, waiting
    assert engine._media.used == 0
    left = engine.submit(shown(picture))
    engine.close()
    with contextlib.suppress(EngineError):
        left.reply()
    assert engine._media.used == 0


def test_a_picture_over_the_limit_is_refused_with_both_numbers(says, processor, request_of):
    huge = Image.effect_noise((840, 840), 50).convert("RGB")
    engine = Engine(says("fine"), processor, options=EngineOptions(media_memory_mb=2))
    with pytest.raises(
        MediaTooLarge, match=r"take \d+ MB as patches \(900 .*; media_memory_mb is 2"
    ):
        engine.submit(shown(huge))
    assert engine.submit(request_of()).reply().text == "fine"


def test_callers_wait_until_others_leave_room(says, processor, picture):
    """Each picture alone exceeds half of the limit; all are answered."""
    engine = Engine(says("fine"), processor, options=EngineOptions(max_sequences=8))
    size = engine._media.take(processor.encode(shown(picture).conversation))
    engine._media.give_back(size)
    engine._media._limit = size
    most: list[int] = []
    add = engine._started()[1].add
    engine._started()[1].add = lambda *args: (most.append(engine._media.used), add(*args))
    found = dict(engine.run(shown(picture) for _ in range(6)))
    assert [found[index].text for index in range(6)] == ["fine"] * 6
    assert max(most) == size
    assert engine._media.used == 0


def test_what_does_not_fit_the_cache_is_refused_with_both_numbers(says, processor, request_of):
    engine = Engine(says("fine"), processor, options=EngineOptions(kv_cache_gb=5e-5))
    with pytest.raises(OutOfBlocks, match=r"need \d+ tokens of the KV cache, which has 96"):
        engine.submit(request_of(sampling=Sampling(max_new_tokens=90)))
    assert engine.submit(request_of(sampling=Sampling(max_new_tokens=5))).reply()


def test_a_model_that_raises_ends_only_the_request_it_raises_for(says, processor, question):
    """The request is found by computing each one alone."""
    model = says("fine")
    forward = model.forward

    def fragile(batch, **options):
        if 7 in batch.attention.query_lengths or poison in batch.input_ids.tolist():
            raise RuntimeError("a kernel failed")
        return forward(batch, **options)

    model.forward = fragile
    poison = processor.tokenizer.encode("§")[0]
    bad = Conversation((Message("user", (TextPart("§"),)),))
    engine = Engine(model, processor, options=EngineOptions(max_sequences=3))
    outcomes = dict(engine.run([Request(conversation=each) for each in (question, bad, question)]))
    assert [outcomes[index].text for index in (0, 2)] == ["fine", "fine"]
    assert isinstance(outcomes[1], EngineError)
    assert "RuntimeError: a kernel failed" in outcomes[1].message
    assert engine.submit(Request(conversation=question)).reply().text == "fine"


def test_a_fault_of_the_engine_fails_its_requests_and_the_thread_lives(says, processor, request_of):
    engine = Engine(says("fine"), processor)
    core, _ = engine._started()
    schedule, core.scheduler.schedule = core.scheduler.schedule, lambda: 1 / 0
    with pytest.raises(EngineError, match="the engine failed with ZeroDivisionError"):
        engine.submit(request_of()).reply()
    core.scheduler.schedule = schedule
    assert engine.submit(request_of()).reply().text == "fine"


def test_memory_that_runs_out_is_told_with_what_helps(says, processor, request_of):
    model = says("fine")
    model.forward = lambda batch, **options: (_ for _ in ()).throw(MemoryError("no 9 GB"))
    with pytest.raises(EngineError, match="memory did not suffice: no 9 GB") as caught:
        Engine(model, processor).submit(request_of()).reply()
    assert "max_step_tokens" in caught.value.hint


def test_a_closed_engine_says_so(says, processor, request_of):
    engine = Engine(says(LONG * 50), processor)
    ticket = engine.submit(request_of(sampling=Sampling(loop_guard=False)))
    engine.close()
    with pytest.raises(EngineError, match="closed before the answer was finished"):
        ticket.reply()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.submit(request_of())


def test_an_engine_that_is_collected_ends_its_thread(says, processor, request_of):
    engine = Engine(says("fine"), processor)
    engine.submit(request_of()).reply()
    thread = engine._started()[1]._thread
    del engine
    thread.join(10)
    assert not thread.is_alive()


def test_an_event_loop_streams_several_answers(says, processor, request_of):
    engine = Engine(says(LONG), processor, options=EngineOptions(max_sequences=3))

    async def text_of(**options) -> str:
        pieces = [event.text async for event in engine.stream_async(request_of(**options))]
        return "".join(pieces)

    async def all_of_them():
        return await asyncio.gather(*(text_of() for _ in range(5)))

    assert asyncio.run(all_of_them()) == [LONG] * 5


def test_an_iterator_of_an_event_loop_that_is_closed_cancels(says, processor, request_of):
    engine = Engine(says(LONG * 50), processor)

    async def first_piece() -> None:
        request = request_of(sampling=Sampling(loop_guard=False))
        events = engine.stream_async(request)
        await anext(events)
        await events.aclose()

    asyncio.run(first_piece())
    assert engine.submit(request_of(sampling=Sampling(max_new_tokens=1))).reply()
    core, _ = engine._started()
    assert core.scheduler.is_idle


def test_priority_goes_first(says, processor, request_of):
    engine = Engine(says(LONG * 20), processor)
    short = Sampling(max_new_tokens=3)
    first = engine.submit(request_of(sampling=Sampling(max_new_tokens=60, loop_guard=False)))
    next(first)
    low = engine.submit(request_of(sampling=short))
    high = engine.submit(request_of(sampling=short, priority=5))
    low.reply()
    assert high._events.qsize() == 3  # it was finished before
    assert high.reply()


def test_a_forked_process_gets_a_thread_of_its_own(says, processor, request_of):
    engine = Engine(says("fine"), processor)
    engine.submit(request_of()).reply()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends the child if it hangs
        text = engine.submit(request_of()).reply().text
        os._exit(0 if text == "fine" else 3)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert engine.submit(request_of()).reply().text == "fine"


@pytest.mark.parametrize("raised", [SystemExit(2), KeyboardInterrupt()])
def test_what_is_raised_on_the_engine_thread_fails_requests_and_loses_none(
    says, processor, request_of, raised
):
    model = says("fine")
    forward = model.forward

    def broken(batch, **options):
        raise raised

    model.forward = broken
    engine = Engine(model, processor)
    with pytest.raises(EngineError, match=type(raised).__name__):
        engine.submit(request_of()).reply()
    model.forward = forward
    assert engine.submit(request_of()).reply().text == "fine"
    core, _ = engine._started()
    assert core.pool.num_free == core.pool.num_blocks


def test_a_progress_callback_that_raises_ends_no_request(says, processor, question):
    def on_stage(stage, done, total):
        if stage in ("prefill", "decode"):
            raise ValueError("from the callback")

    engine = Engine(says("fine"), processor, on_stage=on_stage)
    with pytest.warns(UserWarning, match="the progress callback raised ValueError"):
        assert engine.respond([question], Sampling())[0].text == "fine"


def test_a_run_waits_while_the_queue_is_full_of_others(says, processor, request_of):
    engine = Engine(says(LONG), processor, options=EngineOptions(max_waiting=1))
    found: list[Reply] = []

    def ask() -> None:
        found.extend(reply for _, reply in engine.run(request_of() for _ in range(3)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.text for reply in found] == [LONG] * 12


def test_the_reply_can_be_read_after_the_events(says, processor, request_of):
    ticket = Engine(says("fine"), processor).submit(request_of())
    assert [event.text for event in ticket][-1] is not None
    assert ticket.reply().text == "fine"


@pytest.mark.parametrize(
    "options",
    [
        {"priority": None},
        {"priority": "a"},
        {"deadline_seconds": "a"},
        {"deadline_seconds": float("nan")},
        {"deadline_seconds": 0},
    ],
)
def test_priorities_and_deadlines_that_are_no_numbers(says, processor, request_of, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Engine(says("fine"), processor).submit(request_of(**options))


def test_a_sequence_that_cannot_be_scheduled_is_an_error_and_no_endless_loop(
    says, processor, request_of
):
    engine = Engine(says(LONG), processor)
    core, _ = engine._started()
    admit, core.scheduler._admit = core.scheduler._admit, lambda sequence: False
    with pytest.raises(EngineError, match="no waiting sequence fits"):
        engine.submit(request_of()).reply()
    core.scheduler._admit = admit
    assert engine.submit(request_of()).reply().text == LONG
