# SPDX-License-Identifier: Apache-2.0
"""The set of pictures that systems are compared on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from finesight.cli.heldout import read_texts
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.suites.ocr_set import write_set
from tests.support.benchmark_copies import items, save


def record(number, language="en", *, split="heldout", **meta):
    meta = {"split": split, "generator": "test", "seed": 0, "language": language, **meta}
    image = np.full((28, 56, 3), 255, dtype=np.uint8)
    turns = (("Read.", f"text {number}"),)
    return Record.of_picture(id=f"r{number}", image=image, turns=turns, meta=meta)


def made(tmp_path, *records, real=None, limit=2):
    write_shard(tmp_path / "data" / "a.tar", list(records))
    count = write_set(tmp_path / "set", read_texts([tmp_path / "data"]), real, limit=limit)
    lines = (tmp_path / "set" / "items.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == count
    return {row["id"]: row for row in map(json.loads, lines)}


def test_copies_pages_and_languages(tmp_path):
    texts = [record(n, "en" if n < 3 else "ar") for n in range(5)]
    rows = made(tmp_path, *texts, record(9, direction=90))
    assert [name for name in rows if "/" not in name] == ["r0", "r3", "r1", "r4"]
    assert rows["r0"]["tags"]["resolution"] == "as drawn"
    assert rows["r1"]["tags"] == {"kind": "text", "language": "en"}
    assert {name.partition("/")[2] for name in rows if name.startswith("r0/")} == {
        *("half", "double", "four times", "turned 90", "turned 180", "turned 270", "json")
    }
    size = {}
    for name, row in rows.items():
        with Image.open(tmp_path / "set" / row["image"]) as picture:
            size[name] = picture.size
    assert (size["r0/half"], size["r0/four times"]) == ((28, 14), (224, 112))
    assert size["r3/turned 90"] == (28, 56)
    (page,) = (row for name, row in rows.items() if name.startswith("page/"))
    assert page["text"] == "text 0\ntext 3\ntext 1\ntext 4"
    assert len(items(registry.task("ocr_compare"), tmp_path / "set")) == len(rows)


def test_scans_stay_where_they_are(tmp_path):
    scans = tmp_path / "real" / "ocr_scans"
    path = save(scans / "phototest-rotated-L.png")
    (scans / "phototest.gold.txt").write_text("brown dog\n")
    rows = made(tmp_path, record(0), real=tmp_path / "real")
    scan = rows["scan/phototest-rotated-L.png"]
    assert (scan["image"], scan["text"]) == (str(path), "brown dog")
    assert scan["tags"] == {"kind": "scan, turned"}


def test_other_pages_have_other_names(tmp_path):
    names = [
        {name for name in made(tmp_path / str(n), record(0), record(n)) if "page" in name}
        for n in (1, 2)
    ]
    assert len(names[0] | names[1]) == 2


def test_training_records_and_nothing_at_all_are_refused(tmp_path):
    with pytest.raises(EvalError, match="split 'train', not heldout"):
        made(tmp_path, record(0, split="train"))
    with pytest.raises(
        EvalError, match="there is no text to be read: 0 held-out pictures of text, and no scans in"
    ):
        write_set(tmp_path / "set", [], tmp_path, limit=None)
    assert list(tmp_path.glob("*set*")) == []


def test_a_set_that_fails_on_the_way_leaves_the_older_one(tmp_path, monkeypatch):
    made(tmp_path, record(0))
    before = (tmp_path / "set" / "items.jsonl").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.evals.suites.ocr_set._line", full)
    with pytest.raises(EvalError, match="set cannot be written: No space left"):
        write_set(tmp_path / "set", read_texts([tmp_path / "data"]), None, limit=2)
    assert (tmp_path / "set" / "items.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "set"]
