# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from finesight.cli.heldout import read_items
from finesight.data.record import Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.errors import EvalError
from finesight.evals.suites.heldout import held_out_tasks

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


def _asked(*tasks: dict, generator: str, **meta) -> dict:
    return {"meta": {"generator": generator, "tasks": list(tasks), **meta}}


def test_rows_of_other_builders(tmp_path) -> None:
    element = {"truth": Truth(objects=(SceneObject((1, 2, 30, 40), "Save"),))}
    by_text = {"kind": "screen_point", "by": "text", "name": "Save", "objects": [0]}
    by_icon = {"kind": "screen_point", "by": "icon", "name": "disk", "objects": [0]}
    absent = {"kind": "screen_point", "by": "absent", "name": "Stop", "objects": []}
    point = ("point", "point")
    signs = _asked({"kind": "read"}, {"kind": "spotting"}, generator="scene_text/1", language="ru")
    records = [
        _record("on_photos-0", (("read", "sign"), ("spot", "boxes")), **signs),
        _record(
            "plain-0",
            (("read", "page"),),
            **_asked({"kind": "read"}, generator="pages/1", language="de"),
        ),
        _record(
            "receipts-0",
            (("total?", "4.20"), ("fax?", "The document does not show ...")),
            **_asked({"kind": "field", "name": "total"}, {"kind": "absent"}, generator="pages/1"),
        ),
        _record(
            "own-0",
            (point, point, ("point", "none")),
            **element,
            **_asked(by_text, by_icon, absent, generator="screens/1"),
        ),
        _record("npm_pages-0", (point,), **element, **_asked(by_text, generator="screens/1")),
        _record(
            "bars-0",
            (
                ("how much?", "12"),
                ("table?", "| a | b |\n| --- | --- |"),
                ("where?", "```json\n[]\n```"),
            ),
            meta={"generator": "charts/1", "kind": "bar"},
        ),
    ]
    write_shard(tmp_path / "a.tar", records)
    items = read_items([tmp_path])
    assert [(item.id, item.tags["row"]) for item in items] == [
        ("on_photos-0/0", "scene_text"),
        ("plain-0/0", "pages"),
        ("receipts-0/0", "fields"),
        ("own-0/0", "screen_text"),
        ("npm_pages-0/0", "npm_pages"),
        ("bars-0", "charts"),
    ]
    assert items[3].truth["boxes"] == [[1, 2, 30, 40]]
    assert [task.name for task in held_out_tasks(items)] == [item.tags["row"] for item in items]


def test_records_that_no_row_knows_are_refused(tmp_path) -> None:
    write_shard(tmp_path / "a.tar", [_record("x-0", (("q", "a"),))])
    with pytest.raises(EvalError, match="x-0 has neither a language nor tasks"):
        read_items([tmp_path])


def test_training_records_are_refused(tmp_path) -> None:
    record = _record("x-0", (("q", "a"),), split="train", meta={"language": "en"})
    write_shard(tmp_path / "a.tar", [record])
    with pytest.raises(EvalError, match="split 'train', not heldout"):
        read_items([tmp_path])
