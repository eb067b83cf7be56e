# SPDX-License-Identifier: Apache-2.0
"""A run that is killed anywhere, and resumed with other numbers of ranks and workers, uses every record once."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.data.loader import LoaderConfig, PackStream, read_packs
from finesight.data.mixture import SourceConfig
from finesight.data.record import Record, asked_about
from finesight.data.shards import write_shard
from tests.support.ranks import run_ranks

NUM_RECORDS = 90
EPOCHS = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("resume")
    for name, count in (("a", 60), ("b", 30)):
        records = []
        for index in range(count):
            words = "word " * (1 + index * 7 % 40)
            meta = {"split": "train", "generator": "test"}
            conversation = asked_about((), (("Say it.", words),))
            records.append(Record(id=f"{name}{index}", conversation=conversation, meta=meta))
        write_shard(root / name / "0.tar", records)
    sources = tuple(SourceConfig(path=root / name) for name in "ab")
    return LoaderConfig(
        source=sources, pack_tokens=256, window=2, workers=0, epochs=EPOCHS, max_turns=1
    )


def run(config, folder, cursor, num_ranks, steps, packs_per_step=1):
    """Records of each step and lane, and the cursor after each step, of a run that is killed after some steps."""

    def work(rank, exchange):
        stream = PackStream(
            config,
            folder,
            cursor,
            rank=rank,
            num_ranks=num_ranks,
            packs_per_step=packs_per_step,
            exchange=exchange,
        )
        found = []
        for pack in read_packs(stream):
            found.append((pack.records, json.dumps(pack.cursor)))
            if len(found) == steps:
                break
        return [
            found[start : start + packs_per_step] for start in range(0, len(found), packs_per_step)
        ]

    ranks = run_ranks(num_ranks, work)
    assert len({len(one) for one in ranks}) == 1  # no rank waits for another
    steps = [
        [pack for turn in zip(*step, strict=True) for pack in turn]
        for step in zip(*ranks, strict=True)
    ]
    for step in steps:
        assert len({cursor for _, cursor in step}) == 1  # all save the same position
    packs = [[records for records, _ in step] for step in steps]
    return packs, [json.loads(step[0][1]) for step in steps]


@settings(max_examples=4, deadline=None)
@given(parts=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=4))
def test_no_record_is_lost_or_doubled(config, tiny_model_folder, parts):
    used: list[str] = []
    cursor: dict = {}
    for num_ranks, steps in [*parts, (2, None)]:
        packs, cursors = run(config, tiny_model_folder, cursor, num_ranks, steps)
        used += [name for step in packs for records in step for name in records]
        cursor = cursors[-1] if cursors else cursor
    assert len(used) == EPOCHS * NUM_RECORDS
    assert set(Counter(used).values()) == {EPOCHS}


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_a_resumed_run_has_the_packs_of_an_unbroken_one(config, tiny_model_folder, num_ranks):
    packs, cursors = run(config, tiny_model_folder, {}, num_ranks, None)
    for cut in (0, 1, 6, len(packs) - 2):
        rest, _ = run(config, tiny_model_folder, cursors[cut], num_ranks, None)
        assert rest == packs[cut + 1 :]


def test_a_step_does_not_depend_on_how_many_ranks_share_it(config, tiny_model_folder):
    """Four packs of a step are the same on one, two and four ranks, also after a resume on another number."""
    (one, cursors), (two, _), (four, _) = (
        run(config, tiny_model_folder, {}, num_ranks, None, 4 // num_ranks)
        for num_ranks in (1, 2, 4)
    )
    assert one == two == four
    rest, _ = run(config, tiny_model_folder, cursors[1], 2, None, 2)
    assert rest == one[2:]


def test_packs_are_full_until_the_end(config, tiny_model_folder):
    """Only the last packs of the stream are partial; a rank without records gets a pack without samples."""
    packs, _ = run(config, tiny_model_folder, {}, 3, None)
    assert all(records for step in packs[:-2] for records in step)
    assert any(not records for records in packs[-1]) or len(packs[-1]) == 3
