# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from finesight.data.mixture import Cursor, Mixture, SourceConfig
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError

META = {"split": "train", "generator": "test", "seed": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mixture")
    image = np.zeros((28, 28, 3), dtype=np.uint8)
    for name, count in (("a", 7), ("b", 5)):
        records = [
            Record.of_picture(id=f"{name}{index}", image=image, turns=(("q", "a"),), meta=META)
            for index in range(count)
        ]
        write_shard(root / name / "0.tar", records)
    return root


def _mixture(folders: Path, seed: int = 0) -> Mixture:
    sources = [SourceConfig(path=folders / "a", weight=3.0), SourceConfig(path=folders / "b")]
    return Mixture(sources, seed=seed)


def _ids(stream, count: int) -> list[str]:
    return [record.id for record, _, _ in islice(stream, count)]


def test_each_epoch_of_a_source_has_every_record_once(folders) -> None:
    ids = [name for name in _ids(_mixture(folders).stream(), 200) if name[0] == "a"]
    for start in range(0, 70, 7):
        assert sorted(ids[start : start + 7]) == [f"a{index}" for index in range(7)]
    assert ids[:7] != ids[7:14]


def test_weights_set_the_shares(folders) -> None:
    counts = Counter(name[0] for name in _ids(_mixture(folders).stream(), 2000))
    assert 0.70 < counts["a"] / 2000 < 0.80


def test_a_source_without_learning_has_no_targets(folders) -> None:
    sources = [
        SourceConfig(path=folders / "a"),
        SourceConfig(path=folders / "b", learn=False),
    ]
    taught: dict[str, set[bool]] = {"a": set(), "b": set()}
    for record, _, _ in islice(Mixture(sources, seed=3).stream(), 20):
        answers = [one for one in record.conversation.messages if one.role == "assistant"]
        taught[record.id[0]] |= {message.is_target for message in answers}
    assert taught == {"a": {True}, "b": {False}}


def test_resumed_from_any_cursor_is_the_same_stream(folders) -> None:
    whole = [
        (record.id, random.integers(1 << 30), cursor)
        for record, random, cursor in islice(_mixture(folders).stream(), 60)
    ]
    for cut in (1, 17, 42):
        cursor = whole[cut - 1][2]
        rest = [
            (record.id, random.integers(1 << 30))
            for record, random, _ in islice(_mixture(folders).stream(cursor), 60 - cut)
        ]
        assert rest == [(name, number) for name, number, _ in whole[cut:]]


def test_another_seed_is_another_order(folders) -> None:
    assert _ids(_mixture(folders, 0).stream(), 30) != _ids(_mixture(folders, 1).stream(), 30)


def test_errors(folders, tmp_path) -> None:
    with pytest.raises(ConfigError, match="at least one source"):
        Mixture([], seed=0)
    with pytest.raises(DataError, match="holds no shard"):
        Mixture([SourceConfig(path=tmp_path)], seed=0)
    with pytest.raises(ConfigError, match="made with 3 data sources, the recipe has 2"):
        next(_mixture(folders).stream(Cursor(3, [1, 1, 1])))


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_share_one_stream(folders, num_workers) -> None:
    def ids(count, **share):
        stream = _mixture(folders).stream(**share)
        return [record.id for record, _, _ in islice(stream, count)]

    shares = [ids(12, worker=worker, num_workers=num_workers) for worker in range(num_workers)]
    together = [name for names in zip(*shares, strict=True) for name in names]
    assert together == ids(12 * num_workers)


def test_a_worker_resumes_its_share(folders) -> None:
    share = {"worker": 1, "num_workers": 3}
    whole = list(islice(_mixture(folders).stream(**share), 20))
    again = _mixture(folders).stream(whole[7][2], **share)
    assert [record.id for record, _, _ in islice(again, 12)] == [row[0].id for row in whole[8:]]
