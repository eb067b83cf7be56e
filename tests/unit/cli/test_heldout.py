# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from finesight.cli.heldout import read_items
from finesight.data.record import Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.errors import EvalError

IMAGE = np.zeros((56, 56, 3), dtype=np.uint8)


def _record(name: str, turns, *, split: str = "heldout", **rest) -> Record:
    meta = {"split": split, "generator": "test", "seed": 0, **rest.pop("meta", {})}
    return Record.of_picture(id=name, image=IMAGE, turns=turns, meta=meta, **rest)


def test_rows_of_text_and_scenes(tmp_path) -> None:
    tasks = [
        {"kind": "count", "name": "cat", "objects": [0]},
        {"kind": "refer", "name": "cat", "objects": [0]},
        {"kind": "point_xml", "name": "dog", "objects": []},
        {"kind": "list_all", "name": "", "objects": [0]},
    ]
    scene = _record(
        "scene-0",
        (("how many", "points\n1"), ("locate", "box"), ("point", "none"), ("all", "boxes")),
        truth=Truth(objects=(SceneObject((1, 2, 30, 40), "cat"),)),
        meta={"tasks": tasks},
    )
    words = [
        _record(f"words7-00000-{index}", (("read", "word"),), meta={"language": language})
        for index, language in enumerate(("en", "de", "ru"))
    ]
    write_shard(tmp_path / "a.tar", [*words, scene])
    items = read_items([tmp_path])
    rows = [item.tags["row"] for item in items]
    assert rows == ["text_words7", "text_words7", "text_other_scripts", "count", "point", "absent"]
    assert items[3].truth["answer"] == "1"
    assert items[4].truth["boxes"] == [[1, 2, 30, 40]]
    assert len(read_items([tmp_path], limit=1)) == 5


def test_records_that_no_row_knows_are_refused(tmp_path) -> None:
    write_shard(tmp_path / "a.tar", [_record("x-0", (("q", "a"),))])
    with pytest.raises(EvalError, match="x-0 has neither a language nor tasks"):
        read_items([tmp_path])


def test_training_records_are_refused(tmp_path) -> None:
    record = _record("x-0", (("q", "a"),), split="train", meta={"language": "en"})
    write_shard(tmp_path / "a.tar", [record])
    with pytest.raises(EvalError, match="split 'train', not heldout"):
        read_items([tmp_path])
