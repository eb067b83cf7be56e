# SPDX-License-Identifier: Apache-2.0
"""The scheduler under random arrivals, lengths, cancels and cache sizes, with a model that checks what it is given.

The fake model remembers which sequence's tokens each slot of the cache holds, so a block that is shared wrongly,
written to while others read it, or freed too early is found at the next step.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.batch import EncodedSample
from finesight.conversation import Sampling
from finesight.engine.block_pool import BlockPool
from finesight.engine.scheduler import Scheduler
from finesight.engine.sequence import Sequence

BLOCK = 4


class Answer:
    """A transcript without text: it ends after a number of tokens."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.token_ids: list[int] = []
        self.finish_reason = None
        self.rewound = None

    def push(self, pick) -> str:
        self.token_ids.append(pick.token_id)
        if len(self.token_ids) >= self.length:
            self.finish_reason = "length"
        return ""


def sequence(prompt: list[int], length: int, priority: int = 0) -> Sequence:
    ids = torch.tensor(prompt)
    sample = EncodedSample(
        input_ids=ids,
        labels=torch.full_like(ids, -100),
        position_ids=torch.arange(len(ids)).expand(3, -1),
        rope_delta=0,
        visual_index=ids[:0],
    )
    sampler = SimpleNamespace(sampling=Sampling(max_new_tokens=length))
    return Sequence(sample, sampler, Answer(length), block_size=BLOCK, priority=priority)


class Slots:
    """What each slot of the cache holds: the token and all tokens before it."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[int, ...]] = {}

    def compute(self, chunk) -> None:
        one = chunk.sequence
        known = [*one.token_ids, *one.drafts]
        assert len(one.blocks) * BLOCK >= chunk.end
        for token in range(one.num_cached):  # what attention reads
            assert self.held[self.slot(one, token)] == tuple(known[: token + 1])
        for token in range(one.num_cached, chunk.end):
            self.held[self.slot(one, token)] = tuple(known[: token + 1])

    @staticmethod
    def slot(one: Sequence, token: int) -> int:
        return one.blocks[token // BLOCK] * BLOCK + token % BLOCK


def next_token(one: Sequence) -> int:
    """The answer of the fake model depends on all tokens before it."""
    return hash(tuple(one.token_ids)) % 7


def expected(prompt: list[int], length: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(length):
        tokens.append(hash(tuple(tokens)) % 7)
    return tokens[len(prompt) :]


requests = st.lists(
    st.tuples(
        st.integers(0, 6),  # arrives after so many steps
        st.integers(1, 14).flatmap(  # few different prompts, so that beginnings are shared
            lambda size: st.lists(st.integers(0, 1), min_size=size, max_size=size)
        ),
        st.integers(1, 12),
        st.integers(0, 2),
        st.one_of(st.none(), st.integers(0, 15)),  # is cancelled after so many steps
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=200, deadline=None)
@given(
    requests,
    st.integers(7, 16),
    st.integers(1, 6),
    st.sampled_from([6, 8, 64]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_no_request_is_lost_and_no_block_leaks(
    drawn, num_blocks, most, budget, shares, is_deterministic, num_drafts
):
    pool, slots = BlockPool(num_blocks, BLOCK), Slots()
    scheduler = Scheduler(
        pool,
        max_sequences=most,
        max_step_tokens=8 if is_deterministic else max(budget, most),
        shares_prefixes=shares,
        is_deterministic=is_deterministic,
    )
    waiting = [(at, sequence(ids, size, rank), end) for at, ids, size, rank, end in drawn]
    left = {one: end for _, one, end in waiting}
    admitted: list[Sequence] = []
    step = 0
    while left:
        for at, one, _ in waiting:
            if at == step:
                scheduler.add(one)
        for at, one, end in waiting:
            if one in left and end is not None and at <= step and step == at + end:
                scheduler.remove(one)
                del left[one]
        for one in scheduler.running:
            one.drafts = []
            if num_drafts and not is_deterministic and not one.is_prefilling:
                room = one.max_tokens - one.num_tokens - 1
                one.drafts = [next_token(one), 5, 5][: min(num_drafts, room)]
        chunks = scheduler.schedule()
        admitted += [one for one in scheduler.running if one not in admitted]
        check_step(scheduler, chunks, most)
        for chunk in chunks:
            slots.compute(chunk)
        scheduler.advance(chunks)
        for chunk in chunks:
            draw(scheduler, chunk)
            if chunk.sequence.is_finished:
                scheduler.remove(chunk.sequence)
                assert chunk.sequence.transcript.token_ids == answer_of(drawn, waiting, chunk)
                del left[chunk.sequence]
        step += 1
        assert step < 2000, "no progress"
    assert scheduler.is_idle
    assert pool.num_free == num_blocks


def check_step(scheduler: Scheduler, chunks, most: int) -> None:
    assert len(scheduler.running) <= most
    assert len({id(chunk.sequence) for chunk in chunks}) == len(chunks)
    assert all(chunk.sequence in scheduler.running for chunk in chunks)
    if not scheduler.is_idle:
        assert chunks, "there is work, but none was scheduled"
    owners: dict[int, set[bytes]] = {}
    for one in scheduler.running:
        for place, block in enumerate(one.blocks):
            start = place * BLOCK
            content = repr(one.token_ids[: start + BLOCK]).encode()
            owners.setdefault(block, set()).add(content)
    assert all(len(contents) == 1 for contents in owners.values())


def draw(scheduler: Scheduler, chunk) -> None:
    """What `Core` does with the logits of a chunk."""
    one = chunk.sequence
    start = one.num_cached
    for place in range(chunk.num_logits):
        token = next_token(one)
        one.push(SimpleNamespace(token_id=token))
        is_right = place < len(one.drafts) and one.drafts[place] == token
        if not is_right or place + 1 >= chunk.num_logits or one.is_finished:
            break
        one.num_cached += 1
    if one.num_cached > start:
        scheduler.publish_accepted(one, start)


def answer_of(drawn, waiting, chunk) -> list[int]:
    index = next(i for i, (_, one, _) in enumerate(waiting) if one is chunk.sequence)
    return expected(drawn[index][1], drawn[index][2])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), min_size=2, max_size=8))
def test_sequences_are_admitted_by_priority_then_arrival(drawn):
    pool = BlockPool(64, BLOCK)
    scheduler = Scheduler(pool, max_sequences=1, max_step_tokens=64, shares_prefixes=False)
    sequences = [sequence([1] * size, 1, rank) for rank, size in drawn]
    for one in sequences:
        scheduler.add(one)
    order = []
    while not scheduler.is_idle:
        (chunk,) = scheduler.schedule()
        order.append(sequences.index(chunk.sequence))
        scheduler.advance([chunk])
        scheduler.remove(chunk.sequence)
    assert order == sorted(range(len(drawn)), key=lambda index: (-drawn[index][0], index))
