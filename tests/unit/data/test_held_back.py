# SPDX-License-Identifier: Apache-2.0
"""Records are split by the content of their pictures."""

import random

import numpy as np
import pytest

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.held_back import MIN_HELD_BACK, split_by_media
from finesight.data.record import Record, asked_about
from finesight.data.shards import ShardSet, write_shard
from finesight.errors import DataError

META = {"split": "train", "generator": "test"}


def picture(value: int) -> ImagePart:
    return ImagePart(source=np.full((4, 4, 3), value, dtype=np.uint8))


def record(name: str, *media) -> Record:
    return Record(id=name, conversation=asked_about(media, [("q", name)]), meta=META)


def records(number: int) -> list[Record]:
    return [record(f"r-{value}", picture(value)) for value in range(number)]


def test_a_share_is_held_back_and_nothing_is_lost():
    split = split_by_media(records(50), 0.2, seed=0)
    assert len(split.held_back) == 10
    assert sorted((*split.train, *split.held_back)) == list(range(50))


def test_one_picture_is_never_on_both_sides():
    rows = [record(f"r-{number}", picture(number // 5)) for number in range(100)]
    split = split_by_media(rows, 0.1, seed=3)
    held_back = {number // 5 for number in split.held_back}
    assert held_back
    assert not held_back & {number // 5 for number in split.train}
    assert split.num_held_back_groups == len(held_back)


def test_records_that_share_pictures_through_others_stay_together():
    chain = [record(f"c-{number}", picture(number), picture(number + 1)) for number in range(4)]
    rows = [*chain, *(record(f"r-{value}", picture(100 + value)) for value in range(30))]
    for seed in range(20):
        split = split_by_media(rows, 0.2, seed=seed)
        sides = {number in split.held_back for number in range(4)}
        assert len(sides) == 1, seed


def test_the_split_depends_on_pictures_and_seed_not_on_the_order():
    rows = records(40)
    shuffled = random.Random(1).sample(rows, len(rows))
    first = {rows[number].id for number in split_by_media(rows, 0.25, seed=5).held_back}
    second = {shuffled[number].id for number in split_by_media(shuffled, 0.25, seed=5).held_back}
    other = {rows[number].id for number in split_by_media(rows, 0.25, seed=6).held_back}
    assert first == second != other


def test_a_picture_of_most_records_is_not_held_back_for_a_tenth_of_them():
    rows = [record(f"r-{number}", picture(max(0, number - 79))) for number in range(100)]
    for seed in range(20):
        held_back = split_by_media(rows, 0.1, seed=seed).held_back
        assert len(held_back) == 10
        assert min(held_back) >= 80
    rows = [record(f"r-{number}", picture(number // 30)) for number in range(90)]
    assert len(split_by_media(rows, 0.1, seed=0).held_back) == 30  # there is no smaller group


def test_equal_texts_without_pictures_and_equal_videos_stay_together():
    said = [
        Record(
            id=f"t-{number}",
            conversation=Conversation(
                (
                    Message("user", (TextPart(f"q{number // 2}"),)),
                    Message("assistant", (TextPart("a"),)),
                )
            ),
            meta=META,
        )
        for number in range(20)
    ]
    clips = [
        record(f"v-{number}", VideoPart(source=bytes([number // 2]) * 9)) for number in range(20)
    ]
    for rows in (said, clips):
        split = split_by_media(rows, 0.3, seed=0)
        assert all(number ^ 1 in split.held_back for number in split.held_back)


def test_nothing_is_held_back_on_request():
    split = split_by_media(records(3), 0.0, seed=0)
    assert (split.train, split.held_back) == ((0, 1, 2), ())


@pytest.mark.parametrize("number", [1, MIN_HELD_BACK, 2 * MIN_HELD_BACK - 1])
def test_too_few_records_are_refused(number):
    with pytest.raises(DataError, match=f"{number} records .* too few") as refused:
        split_by_media(records(number), 0.1, seed=0)
    assert "--held-back 0" in refused.value.hint


def test_many_records_of_one_picture_are_refused():
    rows = [record(f"r-{number}", picture(1)) for number in range(50)]
    with pytest.raises(DataError, match="50 records with 1 different pictures"):
        split_by_media(rows, 0.1, seed=0)


def test_listed_records_of_a_folder_are_read(tmp_path):
    write_shard(tmp_path / "a.tar", records(4))
    write_shard(tmp_path / "b.tar", [record(f"b-{value}", picture(value)) for value in range(3)])
    (tmp_path / "some.json").write_text("[1, 4, 6]")
    some = ShardSet(tmp_path, only=tmp_path / "some.json")
    assert [one.id for one in some] == ["r-1", "b-0", "b-2"]
    assert len(some) == 3
    with pytest.raises(IndexError):
        some[3]


@pytest.mark.parametrize("content", ["[1, 7]", "[-1]", "[]", "[true]", "{}", "[", '["1"]'])
def test_a_wrong_list_of_records_is_refused(tmp_path, content):
    write_shard(tmp_path / "a.tar", records(7))
    (tmp_path / "some.json").write_text(content)
    with pytest.raises(DataError, match=r"some\.json"):
        ShardSet(tmp_path, only=tmp_path / "some.json")
