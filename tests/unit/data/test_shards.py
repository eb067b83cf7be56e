# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import tarfile

import numpy as np
import pytest

from finesight.data.record import Record
from finesight.data.shards import ShardReader, ShardSet, index_path, is_complete, write_shard
from finesight.errors import DataError, RecordInvalid, ShardCorrupt


def some_records(count, start=0):
    for number in range(start, start + count):
        image = np.random.default_rng(number).integers(0, 256, (28, 28, 3), dtype=np.uint8)
        meta = {"split": "train", "generator": "test/1", "seed": number}
        yield Record.of_picture(
            id=f"r{number}", image=image, turns=(("Q", f"A{number}"),), meta=meta
        )


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "part-00000.tar"
    assert write_shard(path, some_records(5)) == 5
    return path


def test_records_come_back_in_order_and_at_random(shard):
    reader = ShardReader(shard)
    assert len(reader) == 5
    assert [record.id for record in reader] == [f"r{n}" for n in range(5)]
    assert reader[3].turns == (("Q", "A3"),)
    assert np.array_equal(reader[3].picture, next(some_records(1, 3)).picture)
    reader.verify()


def test_any_tar_reader_can_open_a_shard(shard):
    with tarfile.open(shard) as tar:
        assert tar.getnames()[:4] == ["r0.0.png", "r0.json", "r1.0.png", "r1.json"]


def test_a_reader_can_be_sent_to_another_process(shard):
    reader = ShardReader(shard)
    first = reader[0].id
    again = pickle.loads(pickle.dumps(reader))
    assert again[0].id == first


def test_a_truncated_shard_is_found_when_it_is_opened(shard):
    shard.write_bytes(shard.read_bytes()[:-700])
    with pytest.raises(ShardCorrupt, match="bytes"):
        ShardReader(shard)


def test_a_shard_without_an_index_is_not_complete(shard):
    index_path(shard).unlink()
    assert not is_complete(shard)
    with pytest.raises(ShardCorrupt, match="index"):
        ShardReader(shard)


def test_changed_bytes_are_found(shard):
    content = bytearray(shard.read_bytes())
    at = content.find(b"IDAT") + 8
    content[at : at + 20] = bytes(20)
    shard.write_bytes(content)
    reader = ShardReader(shard)
    with pytest.raises(ShardCorrupt, match="SHA-256"):
        reader.verify()
    with pytest.raises(ShardCorrupt, match="record 0"):
        reader[0]


def test_a_bad_record_leaves_nothing_behind(tmp_path):
    def records():
        yield from some_records(2)
        image = np.zeros((28, 28, 3), np.uint8)
        yield Record.of_picture(id="bad", image=image, turns=(), meta={})

    with pytest.raises(RecordInvalid, match="messages"):
        write_shard(tmp_path / "x-00000.tar", records())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_shards_is_one_sequence(tmp_path):
    write_shard(tmp_path / "a-00000.tar", some_records(3))
    write_shard(tmp_path / "b-00000.tar", some_records(2, 3))
    shards = ShardSet(tmp_path)
    assert len(shards) == 5
    assert [shards[n].id for n in range(5)] == [f"r{n}" for n in range(5)]
    assert [record.id for record in shards] == [f"r{n}" for n in range(5)]
    with pytest.raises(IndexError, match="record 5 of 5"):
        shards[5]


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no shard"):
        ShardSet(tmp_path)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.data.shards._add", full)
    with pytest.raises(DataError, match=r"a\.tar cannot be written: No space left"):
        write_shard(tmp_path / "a.tar", some_records(2))
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_another_version_is_refused_with_the_way_out(shard):
    text = index_path(shard).read_text()
    index_path(shard).write_text(text.replace('"format":2', '"format":1'))
    with pytest.raises(
        DataError, match=r"part-00000\.tar has format 1, this version reads 2"
    ) as caught:
        ShardReader(shard)
    assert "finesight data build" in caught.value.hint
