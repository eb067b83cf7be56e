# SPDX-License-Identifier: Apache-2.0
"""Which rank holds which draws, and that a saved position brings them back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from finesight.data.mixture import Cursor, Mixture, SourceConfig
from finesight.data.position import Position
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.errors import ConfigError

META = {"split": "train", "generator": "test", "seed": 0}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("position")
    image = np.zeros((28, 28, 3), dtype=np.uint8)
    for name, count in (("a", 7), ("b", 5)):
        records = [
            Record.of_picture(id=f"{name}{index}", image=image, turns=(("q", "a"),), meta=META)
            for index in range(count)
        ]
        write_shard(root / name / "0.tar", records)
    return [SourceConfig(path=root / "a", weight=2.0), SourceConfig(path=root / "b")]


def mixture(sources, epochs=None):
    return Mixture(sources, seed=3, epochs=epochs)


def test_draws_are_handed_out_in_order(sources):
    position = Position(mixture(sources), 2)
    position.assign([3, 2])
    assert position.held == [[0, 2, 4], [1, 3]]
    position.use([[2], [1, 3]])
    position.assign([0, 2])
    assert position.held == [[0, 4], [5, 6]]
    assert position.next == 7


@pytest.mark.parametrize("num_lanes", [1, 2, 3])
def test_a_saved_position_holds_the_same_draws(sources, num_lanes):
    before = Position(mixture(sources), 2)
    before.assign([6, 6])
    before.use([[0, 4, 6], [1, 7, 11]])
    saved = json.loads(json.dumps(before.saved()))
    assert (saved["drawn"], saved["next"]) == (2, 12)
    after = Position(mixture(sources), num_lanes, saved)
    held = sorted(number for each in after.held for number in each)
    assert held == [2, 3, 5, 8, 9, 10]
    if num_lanes == 2:
        assert after.held == before.held
    before.assign([2, 0])
    after.assign([2] + [0] * (num_lanes - 1))
    for number in (*held, 12, 13):
        assert after[number] == before[number]
    assert after.saved()["taken"] == before.saved()["taken"]


@pytest.mark.parametrize(
    ("workers", "used"),
    [
        ([17], set(range(17))),
        ([10, 7], {0, 2, 4, 6, 8} | {1, 3, 5}),
        ([0, 0, 0], set()),
        ([13, 0, 12], {0, 3, 6, 9, 12} | {2, 5, 8, 11}),
    ],
)
def test_a_position_of_version_0_2_loses_and_doubles_nothing(sources, workers, used):
    """There worker w of n took draws w, w + n, ...; its cursor counts all draws up to its last one."""
    cursors = {0: Cursor()} | {cursor.drawn: cursor for _, cursor in _first(sources, 20)}
    saved = {
        "workers": [
            {"drawn": cursors[one].drawn, "taken": cursors[one].taken} if one else {}
            for one in workers
        ],
        "next": 0,
    }
    position = Position(mixture(sources), 1, saved)
    held = set(position.held[0])
    assert held | used == set(range(max(workers)))
    assert not held & used
    assert position.next == max(workers)
    position.assign([1])
    draws = {draw.number: draw for draw, _ in _first(sources, 20)}
    assert all(position[number] == draws[number] for number in position.held[0])


def _first(sources, count):
    stream = mixture(sources).draws()
    return [next(stream) for _ in range(count)]


def test_an_epoch_ends_and_its_rest_is_shared(sources):
    position = Position(mixture(sources, epochs=1), 3)  # 2 x 7 + 5 records
    assert not position.is_over
    position.assign([17, 0, 0])
    position.assign([0, 1, 40])
    assert position.is_over
    assert [len(each) for each in position.held] == [17, 1, 1]
    position.use([[0], [17], []])
    assert position.share_done == 2 / 19
    position.share_the_rest()
    assert [len(each) for each in position.held] == [6, 6, 5]
    position.share_the_rest()
    position.use(list(position.held))
    assert position.share_done == 1
    assert position.saved()["drawn"] == 19


@pytest.mark.parametrize("saved", [{"held": [[1]]}, {"drawn": 0, "taken": None}, {"workers": [3]}])
def test_a_mapping_of_another_kind_is_refused(sources, saved):
    with pytest.raises(ConfigError, match="no position in the data"):
        Position(mixture(sources), 1, saved)
