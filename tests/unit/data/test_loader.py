# SPDX-License-Identifier: Apache-2.0
"""Packs of a mixture in this process: how full they are, where a stream goes on, and what an error becomes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from finesight.data.loader import LoaderConfig, PackStream, read_packs
from finesight.data.mixture import SourceConfig
from finesight.data.record import Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, FinesightError


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
    return list(islice(iter(stream), count))


def test_packs_are_as_full_as_their_limits_allow(config, tiny_model_folder):
    packs = first_packs(PackStream(config, tiny_model_folder), 8)
    for pack in packs:
        pack.batch.check()
        assert pack.num_samples == len(pack.batch.attention.query_lengths)
        assert pack.batch.input_ids.numel() <= 150
        assert pack.batch.vision.patches.shape[0] <= 64
        assert pack.dense.num_cells == pack.batch.visual_index.numel()
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
    # in the process itself, without the worker
    alone = first_packs(rest, 3)
    assert [ids(pack) for pack in alone] == [ids(pack) for pack in packs[3:]]


def test_packs_move_with_their_targets(config, tiny_model_folder):
    (pack,) = first_packs(PackStream(config, tiny_model_folder), 1)
    moved = pack.to(torch.device("meta"))
    assert moved.batch.input_ids.device.type == "meta"
    assert moved.next_tokens.rows.device.type == "meta"
    assert moved.dense.objects.device.type == "meta"
    assert moved.cursor == pack.cursor


def test_an_error_is_the_last_item_and_is_raised_by_the_reader(config, data, tiny_model_folder):
    for part in (data / "a").glob("*.tar"):
        body = bytearray(part.read_bytes())
        body[2000:2100] = bytes(100)
        part.write_bytes(bytes(body))
    broken = config.model_copy(update={"source": config.source[:1]})
    items = first_packs(PackStream(broken, tiny_model_folder), 50)
    assert isinstance(items[-1], FinesightError)
    assert not any(isinstance(item, FinesightError) for item in items[:-1])
    with pytest.raises(FinesightError):
        list(islice(read_packs(PackStream(broken, tiny_model_folder)), 50))


def test_a_cursor_belongs_to_its_number_of_workers(config, tiny_model_folder):
    (pack,) = islice(read_packs(PackStream(config, tiny_model_folder)), 1)
    two = config.model_copy(update={"workers": 2})
    with pytest.raises(ConfigError, match="made with 1 loader workers, the recipe has 2"):
        PackStream(two, tiny_model_folder, pack.cursor)


def test_what_cannot_be_read_is_found_before_the_run(config, data, tiny_model_folder):
    PackStream(config, tiny_model_folder).check()
    for part in (data / "b").iterdir():
        part.unlink()
    with pytest.raises(FinesightError, match="b"):
        PackStream(config, tiny_model_folder).check()
