# SPDX-License-Identifier: Apache-2.0
"""Sequences that are served together over a paged KV cache get what each would get alone.

A small scheduler draws each step: some sequences read a part of their prompt, others decode one token, in one forward
pass. Blocks of 4 tokens are handed out scattered, and those of finished sequences are used again. Memory starts full
of NaN, and in every step all slots outside the running sequences are filled with NaN again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finesight.attention_plan import AttentionPlan
from finesight.batch import EncodedSample, PackedBatch, pack
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import Grid, randomize, sample_from, small_config

CONFIG = small_config()  # 4 query heads over 2 key-value heads
BLOCK_SIZE = 4
RUNS = [
    [1],
    [5],
    [12],
    [2, Grid((1, 4, 6)), 3],
    [3, Grid((1, 2, 2)), 2, Grid((2, 4, 4), 1.0), 6],
    [1, Grid((1, 10, 4)), 1],
]


@cache
def model_of(backend: str) -> VisionLanguageModel:
    model = VisionLanguageModel(CONFIG, attention=backend).eval()
    randomize(model)
    return model


@dataclass(eq=False)
class Running:
    """A sequence on its way: its sample, its visual tokens, what is cached, its blocks and its hidden states."""

    sample: EncodedSample
    embeds: torch.Tensor | None
    done: int = 0
    blocks: list[int] = field(default_factory=list)
    states: list[torch.Tensor] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.sample.input_ids.numel() - self.done

    def part(self, count: int) -> tuple[torch.Tensor, ...]:
        """Ids, positions, places of the visual tokens and these tokens, of the next `count` tokens."""
        start, stop = self.done, self.done + count
        visual = self.sample.visual_index
        inside = (visual >= start) & (visual < stop)
        return (
            self.sample.input_ids[start:stop],
            self.sample.position_ids[:, start:stop],
            visual[inside] - start,
            self.embeds[inside] if self.embeds is not None else torch.zeros(0, 64),
        )


def forget_the_rest(kv: KVCache, running: list[Running]) -> None:
    """Fill every slot that holds no token of a running sequence with NaN."""
    held = torch.zeros(kv.num_blocks * kv.block_size, dtype=torch.bool)
    for one in running:
        for token in range(one.done):
            held[one.blocks[token // BLOCK_SIZE] * BLOCK_SIZE + token % BLOCK_SIZE] = True
    for store in (kv.keys, kv.values):
        store.flatten(1, 2)[:, ~held] = float("nan")


def step(model, kv: KVCache, running: list[Running], counts: list[int]) -> None:
    """One forward pass over the next tokens of some sequences."""
    ids, positions, places, embeds = [], [], [], []
    first = 0
    for one, count in zip(running, counts, strict=True):
        part = one.part(count)
        ids.append(part[0])
        positions.append(part[1])
        places.append(part[2] + first)
        embeds.append(part[3])
        first += count
        one.done += count
    plan = AttentionPlan.paged(
        counts, [one.done for one in running], [one.blocks for one in running], BLOCK_SIZE
    )
    batch = PackedBatch.from_tokens(
        torch.cat(ids), torch.cat(positions, dim=1), plan, torch.cat(places)
    )
    states = model(batch, vision_embeds=torch.cat(embeds), kv=kv).split(counts)
    for one, rows in zip(running, states, strict=True):
        one.states.append(rows)


def serve(model, samples: list[EncodedSample], data) -> list[torch.Tensor]:
    """Hidden states of every sample, computed together in drawn steps."""
    waiting = [
        Running(sample, model.encode_vision(pack([sample]).vision) if sample.vision else None)
        for sample in samples
    ]
    everything = list(waiting)
    needed = [-(-one.left // BLOCK_SIZE) for one in waiting]
    kv = KVCache(CONFIG.text, max(needed) + data.draw(st.integers(0, sum(needed))), BLOCK_SIZE)
    free = data.draw(st.permutations(range(kv.num_blocks)))
    running: list[Running] = []
    while waiting or running:
        while waiting and -(-waiting[0].left // BLOCK_SIZE) <= len(free):
            one = waiting.pop(0)
            count = -(-one.left // BLOCK_SIZE)
            one.blocks, free = free[:count], free[count:]
            running.append(one)
        forget_the_rest(kv, running)
        chosen = data.draw(
            st.lists(st.sampled_from(range(len(running))), min_size=1, unique=True), "sequences"
        )
        counts = [data.draw(st.integers(1, min(running[index].left, 9))) for index in chosen]
        step(model, kv, [running[index] for index in chosen], counts)
        for one in [one for one in running if not one.left]:
            free = one.blocks + free
            running.remove(one)
    return [torch.cat(one.states) for one in everything]


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
@given(data=st.data(), chosen=st.lists(st.sampled_from(range(len(RUNS))), min_size=1, max_size=4))
def test_mixed_prefill_and_decode_of_several_sequences_is_each_alone(backend, data, chosen):
    model = model_of(backend)
    samples = [sample_from(RUNS[number], seed) for seed, number in enumerate(chosen)]
    with torch.inference_mode():
        found = serve(model, samples, data)
        for states, sample in zip(found, samples, strict=True):
            torch.testing.assert_close(states, model(pack([sample])), atol=2e-5, rtol=1e-5)


@given(
    lengths=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 20)), min_size=1, max_size=4),
    block_size=st.integers(1, 7),
    spare=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_a_paged_plan_names_every_new_token_once(lengths, block_size, spare, seed):
    totals = [new + old for new, old in lengths]
    counts = [-(-total // block_size) + spare for total in totals]
    order = torch.randperm(sum(counts), generator=torch.Generator().manual_seed(seed)).split(counts)
    blocks = [part.tolist() for part in order]
    plan = AttentionPlan.paged([new for new, _ in lengths], totals, blocks, block_size)
    slots = [
        owned[token // block_size] * block_size + token % block_size
        for (new, _), total, owned in zip(lengths, totals, blocks, strict=True)
        for token in range(total - new, total)
    ]
    assert plan.slot_mapping.tolist() == slots
    assert len(set(slots)) == len(slots)
    assert plan.seqused_k.tolist() == list(plan.key_lengths) == totals
    assert plan.cu_seqlens_q.diff().tolist() == [new for new, _ in lengths]
    assert plan.cu_seqlens_k.diff().tolist() == totals
    for row, owned, total, first in zip(
        plan.block_table.tolist(), blocks, totals, plan.first_slots, strict=True
    ):
        used = owned[: -(-total // block_size)]
        assert row[: len(used)] == used
        follow = all(right == left + 1 for left, right in pairwise(used))
        assert first == (used[0] * block_size if follow else -1)
