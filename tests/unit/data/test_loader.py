# SPDX-License-Identifier: Apache-2.0
"""Packs of a mixture in this process: how full they are, where a stream goes on, and what an error becomes."""

from __future__ import annotations

import os
import signal
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from finesight.data.loader import LoaderConfig, PackStream, read_packs
from finesight.data.mixture import Mixture, SourceConfig
from finesight.data.record import Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.data.workers import packed_bytes, unpacked
from finesight.errors import ConfigError, DataError, FinesightError, ShardCorrupt
from tests.support.ranks import run_ranks


@pytest.fixture
def data(tmp_path):
    """Two folders of pictures, some with objects."""
    for name, count in (("a", 9), ("b", 5)):
        records = []
        for number in range(count):
            image = np.random.default_rng(number).integers(0, 256, (56, 56, 3), dtype=np.uint8)
            truth = Truth(objects=(SceneObject((0, 0, 28, 28), "cat"),)) if number % 2 else None
            meta = {"split": "train", "generator": "test"}
            turns = (("What is it?", f"picture {name}{number}"),)
            record = Record.of_picture(
                id=f"{name}{number}", image=image, turns=turns, truth=truth, meta=meta
            )
            records.append(record)
        write_shard(tmp_path / name / "part-00000.tar", records)
    return tmp_path


@pytest.fixture
def config(data):
    sources = (SourceConfig(path=data / "a"), SourceConfig(path=data / "b", weight=2.0))
    return LoaderConfig(source=sources, objects=("cat",), pack_tokens=150, pack_patches=64)


def ids(pack):
    return pack.batch.input_ids.tolist()


def first_packs(stream, count):
    return list(islice(read_packs(stream), count))


@pytest.mark.parametrize("window", [0, 3])
def test_packs_are_as_full_as_their_limits_allow(config, tiny_model_folder, window):
    narrow = config.model_copy(update={"window": window, "workers": 0})
    packs = first_packs(PackStream(narrow, tiny_model_folder), 8)
    for pack in packs:
        pack.batch.check()
        assert pack.num_samples == len(pack.batch.attention.query_lengths)
        assert pack.batch.input_ids.numel() <= 150
        assert pack.batch.vision.patches.shape[0] <= 64
        assert pack.dense.num_cells == pack.batch.visual_index.numel()
        assert len(pack.records) == len(pack.sources) == pack.num_samples
        assert all(
            name[0] == source for name, source in zip(pack.records, pack.sources, strict=True)
        )
    tokens = [pack.batch.input_ids.numel() for pack in packs]
    assert min(tokens) > 75  # the next sample did not fit


def test_limits_of_patches_count_as_well(config, tiny_model_folder):
    narrow = config.model_copy(update={"pack_patches": 64, "pack_tokens": 10_000})
    for pack in first_packs(PackStream(narrow, tiny_model_folder), 4):
        assert pack.batch.vision.patches.shape[0] == 64
        assert pack.num_samples == 4  # 16 patches each


def test_a_sample_over_the_limit_is_a_pack_of_its_own(config, tiny_model_folder):
    narrow = config.model_copy(update={"pack_tokens": 10})
    assert {pack.num_samples for pack in first_packs(PackStream(narrow, tiny_model_folder), 4)} == {
        1
    }


def test_a_stream_goes_on_where_it_was(config, tiny_model_folder):
    stream = PackStream(config, tiny_model_folder)
    packs = list(islice(read_packs(stream), 6))
    rest = stream.at(packs[2].cursor)
    assert [ids(pack) for pack in islice(read_packs(rest), 3)] == [ids(pack) for pack in packs[3:]]


def test_packs_move_with_their_targets(config, tiny_model_folder):
    (pack,) = first_packs(PackStream(config, tiny_model_folder), 1)
    moved = pack.to(torch.device("meta"))
    assert moved.batch.input_ids.device.type == "meta"
    assert moved.next_tokens.rows.device.type == "meta"
    assert moved.dense.objects.device.type == "meta"
    assert moved.cursor == pack.cursor


def break_a_record(folder):
    for part in folder.glob("*.tar"):
        body = bytearray(part.read_bytes())
        body[2000:2100] = bytes(100)
        part.write_bytes(bytes(body))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_is_raised_by_the_reader(config, data, tiny_model_folder, workers):
    break_a_record(data / "a")
    broken = config.model_copy(update={"source": config.source[:1], "workers": workers})
    with pytest.raises(ShardCorrupt, match="record") as raised:
        first_packs(PackStream(broken, tiny_model_folder), 50)
    assert "Traceback" not in str(raised.value)


def test_a_corrupt_record_is_skipped_and_counted(config, data, tiny_model_folder):
    break_a_record(data / "a")
    update = {"source": config.source[:1], "workers": 0, "epochs": 1, "skip_share": 0.05}
    packs = list(read_packs(PackStream(config.model_copy(update=update), tiny_model_folder)))
    skipped = [message for pack in packs for message in pack.skipped]
    assert len(skipped) == 1
    assert str(data / "a") in skipped[0]
    names = [name for pack in packs for name in pack.records]
    assert len(names) == len(set(names)) == 8
    assert packs[-1].cursor["skipped"] == 1


def test_too_many_corrupt_records_stop(config, data, tiny_model_folder):
    break_a_record(data / "a")
    update = {"source": config.source[:1], "workers": 0, "epochs": 40, "skip_share": 0.05}
    with pytest.raises(
        DataError, match=r"6 of \d+ records were skipped, more than data.skip_share = 0.05"
    ):
        list(read_packs(PackStream(config.model_copy(update=update), tiny_model_folder)))


def test_packs_do_not_depend_on_the_workers(config, tiny_model_folder):
    found = []
    for workers in (0, 1, 2):
        changed = config.model_copy(update={"workers": workers})
        packs = first_packs(PackStream(changed, tiny_model_folder), 5)
        found.append([(ids(pack), pack.cursor) for pack in packs])
    assert found[0] == found[1] == found[2]


def test_a_cursor_of_version_0_2_goes_on_in_order(config, tiny_model_folder):
    """With one worker and no window the packs after it are those that version 0.2 would have made."""
    ordered = config.model_copy(update={"window": 0, "workers": 0})
    packs = first_packs(PackStream(ordered, tiny_model_folder), 6)
    used = sum(pack.num_samples for pack in packs[:3])
    mixture = Mixture(ordered.source, seed=ordered.seed)
    cursor = list(islice((cursor for _, cursor in mixture.draws()), used))[-1]
    old = {"workers": [{"drawn": cursor.drawn, "taken": cursor.taken}], "next": 0}
    rest = first_packs(PackStream(ordered, tiny_model_folder, old), 3)
    assert [ids(pack) for pack in rest] == [ids(pack) for pack in packs[3:]]


def test_weights_as_shares_of_the_tokens(config, tiny_model_folder):
    by_tokens = config.model_copy(update={"weigh_by": "tokens", "workers": 0})
    (pack,) = first_packs(PackStream(by_tokens, tiny_model_folder), 1)
    assert len(pack.cursor["mean_tokens"]) == 2
    assert all(20 < mean < 60 for mean in pack.cursor["mean_tokens"])


def test_what_cannot_be_read_is_found_before_the_run(config, data, tiny_model_folder):
    PackStream(config, tiny_model_folder).check()
    for part in (data / "b").iterdir():
        part.unlink()
    with pytest.raises(FinesightError, match="b"):
        PackStream(config, tiny_model_folder).check()


def test_several_ranks_need_a_process_group(config, tiny_model_folder):
    with pytest.raises(ConfigError, match=r"torch\.distributed is not initialised"):
        first_packs(PackStream(config, tiny_model_folder, rank=1, num_ranks=2), 1)


def test_an_error_of_one_rank_stops_the_others(config, data, tiny_model_folder):
    break_a_record(data / "a")
    update = {"source": config.source[:1], "workers": 0, "epochs": 1}
    broken = config.model_copy(update=update)

    def work(rank, exchange):
        stream = PackStream(broken, tiny_model_folder, rank=rank, num_ranks=2, exchange=exchange)
        with pytest.raises(DataError) as raised:
            first_packs(stream, 50)
        return raised.value.message

    messages = run_ranks(2, work)
    assert sum("another rank stopped: shard" in one for one in messages) == 1
    assert all("record" in one for one in messages)


def test_a_worker_that_was_killed_is_reported(config, tiny_model_folder):
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    others = children.read_text().split()
    packs = read_packs(PackStream(config, tiny_model_folder))
    next(packs)
    for worker in children.read_text().split():
        if worker not in others:
            os.kill(int(worker), signal.SIGKILL)
    with pytest.raises(DataError, match="a process that loads data has ended") as raised:
        list(packs)
    assert "data.window" in raised.value.hint


def test_a_sample_travels_as_one_block():
    tensors = {"a": torch.arange(7), "b": (torch.rand(3, 5), torch.zeros(2, 0)), "c": "text"}
    block = packed_bytes(tensors)
    assert block.dtype == torch.uint8
    again = unpacked(block)
    assert again["c"] == tensors.pop("c")
    for name, value in tensors.items():
        torch.testing.assert_close(again[name], value)
    assert again["a"].untyped_storage().data_ptr() != tensors["a"].untyped_storage().data_ptr()
    block.zero_()
    assert not again["a"].any()  # a view of the block
