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


def test_an_epoch_has_every_record_once_and_the_stream_ends(folders) -> None:
    sources = [SourceConfig(path=folders / "a"), SourceConfig(path=folders / "b")]
    ids = [record.id for record, _, _ in Mixture(sources, seed=0, epochs=3).stream()]
    everything = sorted([f"a{index}" for index in range(7)] + [f"b{index}" for index in range(5)])
    epochs = [ids[start : start + 12] for start in (0, 12, 24)]
    assert [sorted(one) for one in epochs] == [everything] * 3
    assert len(ids) == 36
    assert epochs[0] != epochs[1]


def test_a_weight_is_the_number_of_passes_in_an_epoch(folders) -> None:
    sources = [
        SourceConfig(path=folders / "a", weight=3.0),
        SourceConfig(path=folders / "b", weight=0.4),
    ]
    ids = [record.id for record, _, _ in Mixture(sources, seed=0, epochs=5).stream()]
    counts = Counter(ids)
    assert {counts[f"a{index}"] for index in range(7)} == {15}
    assert {counts[f"b{index}"] for index in range(5)} == {2}
    with pytest.raises(ConfigError, match="an epoch of this mixture has no record"):
        Mixture([SourceConfig(path=folders / "b", weight=0.01)], seed=0, epochs=1)
    rare = [SourceConfig(path=folders / "a"), SourceConfig(path=folders / "b", weight=0.05)]
    with pytest.raises(ConfigError, match=r"has no record of .*/b\n"):
        Mixture(rare, seed=0, epochs=20)
    assert Mixture(rare, seed=0).end is None


def test_an_epoch_resumes_from_any_cursor(folders) -> None:
    sources = [SourceConfig(path=folders / "a"), SourceConfig(path=folders / "b")]
    whole = list(Mixture(sources, seed=0, epochs=2).stream())
    for cut in (5, 12, 20, 24):
        rest = Mixture(sources, seed=0, epochs=2).stream(whole[cut - 1][2])
        assert [record.id for record, _, _ in rest] == [record.id for record, _, _ in whole[cut:]]


def test_shares_of_the_tokens(folders) -> None:
    """Records of `a` are ten times as long, so with equal weights they are drawn a tenth as often."""
    sources = [SourceConfig(path=folders / "a"), SourceConfig(path=folders / "b")]
    mixture = Mixture(sources, seed=0, mean_tokens=[100.0, 10.0])
    counts = Counter(draw.source for draw, _ in islice(mixture.draws(), 2200))
    assert 140 < counts[0] < 260


def test_a_draw_is_read_as_in_the_stream(folders) -> None:
    """Workers read draws by number; the order of two sources does not depend on who reads."""
    stream = islice(_mixture(folders).stream(), 20)
    draws = [draw for draw, _ in islice(_mixture(folders).draws(), 20)]
    other = _mixture(folders)
    for (record, random, _), draw in reversed(list(zip(stream, draws, strict=True))):
        again, same = other.read(draw)
        assert again.id == record.id
        assert same.integers(1 << 30) == random.integers(1 << 30)
