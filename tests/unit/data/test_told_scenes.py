# SPDX-License-Identifier: Apache-2.0
"""Scenes told in words, and the way of a record without a picture from the builder to a pack."""

import json
import re
import tarfile
from dataclasses import replace

import pytest

from finesight.data.builders.scenes import Scenes
from finesight.data.builders.told_scenes import ToldScenes, ToldScenesConfig
from finesight.data.inspect import sheet
from finesight.data.loader import LoaderConfig, PackStream
from finesight.data.mixture import SourceConfig
from finesight.data.record import Glyph, decode_record, encode_record
from finesight.data.shards import ShardReader, write_shard
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists
from finesight.errors import RecordInvalid

LISTED = re.compile(r"(.+?) \[(\d+), (\d+), (\d+), (\d+)\](?:\n|; |$)")


def builders(assets, icons, **options):
    config = ToldScenesConfig(turns=(6, 8), **options)
    parts = (icons, FontCatalogue.read(assets / "fonts.json"), WordLists.read(assets, "train"))
    return ToldScenes(config, *parts), Scenes(config, *parts)


@pytest.fixture(scope="module")
def told(assets, icons):
    made, _ = builders(assets, icons)
    return [made.record(f"r{seed}", seed) for seed in range(60)]


def test_the_list_says_what_the_picture_shows(assets, icons):
    made, pictured = builders(assets, icons)
    for seed in range(30):
        record, scene = made.record("r", seed), pictured.record("r", seed)
        record.check()
        assert record.image is None
        assert record.turns[: len(scene.turns)] == scene.turns
        _, _, told = record.context.partition("\n")
        found = [(name, *map(int, box)) for name, *box in LISTED.findall(told)]
        assert found == [(thing.name, *thing.box) for thing in scene.objects]


def test_every_box_of_an_answer_stands_in_the_list(told):
    boxes = 0
    for record in told:
        for _, answer in record.turns:
            if answer.startswith("```json") and "bbox_2d" in answer:
                for row in json.loads(answer.removeprefix("```json").removesuffix("```")):
                    assert str(row["bbox_2d"]) in record.context
                    boxes += 1
    assert boxes > 50


def test_repeated_lists_are_the_list(told):
    repeated = [
        (record.context.partition("\n")[2], record.turns[place][1])
        for record in told
        for place, task in enumerate(record.meta["tasks"])
        if task["kind"] == "repeat"
    ]
    assert 0.25 < len(repeated) / len(told) < 0.75
    assert all(there == again for there, again in repeated)


def test_a_record_without_a_picture_comes_back_from_its_shard(told, tmp_path):
    write_shard(tmp_path / "told-00000.tar", told)
    reader = ShardReader(tmp_path / "told-00000.tar")
    assert list(reader) == told
    assert reader.body(3)["context"] == told[3].context
    with tarfile.open(tmp_path / "told-00000.tar") as tar:
        assert not [name for name in tar.getnames() if name.endswith(".png")]


def test_shards_may_mix_records_with_and_without_pictures(assets, icons, tmp_path):
    made, pictured = builders(assets, icons)
    mixed = [(made, pictured)[seed % 2].record(f"r{seed}", seed) for seed in range(6)]
    write_shard(tmp_path / "mixed-00000.tar", mixed)
    back = list(ShardReader(tmp_path / "mixed-00000.tar"))
    assert [record.image is None for record in back] == [True, False] * 3
    assert [record.turns for record in back] == [record.turns for record in mixed]
    page, _ = sheet(tmp_path)
    assert page.count("<image ") == 3
    assert mixed[0].context.split("\n")[0] in page


@pytest.mark.parametrize("changes", [{"context": " "}, {"glyphs": (Glyph("a", 1, 1, 0),)}])
def test_text_alone_needs_a_context_and_marks_no_places(told, changes):
    with pytest.raises(RecordInvalid, match="without a picture"):
        replace(told[0], **changes).check()


def test_asking_for_the_picture_of_a_text_is_an_error(told):
    with pytest.raises(RecordInvalid, match="there is none"):
        _ = told[0].pixels
    png, body = encode_record(told[0])
    assert png == b""
    with_picture = json.dumps(json.loads(body) | {"picture": True}).encode()
    with pytest.raises(RecordInvalid, match="0 PNG bytes"):
        decode_record(png, with_picture)


def test_packs_of_text_alone_hold_the_context_once_and_no_picture(
    told, tmp_path, tiny_model_folder
):
    write_shard(tmp_path / "told-00000.tar", told)
    config = LoaderConfig(source=(SourceConfig(path=tmp_path),), pack_tokens=3000, max_turns=3)
    made = next(iter(PackStream(config, tiny_model_folder)))
    assert made.batch.vision is None
    assert made.batch.visual_index.numel() == 0
    assert made.dense.objects.numel() == 0
    assert made.num_samples > 1
    assert (made.batch.labels != -100).any()
