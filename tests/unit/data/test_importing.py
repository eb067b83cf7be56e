# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from finesight.data import importing
from finesight.data.formats.config import ImportConfig
from finesight.data.importing import IMPORT_FILE, import_file
from finesight.data.shards import ShardSet
from finesight.errors import ConfigError, DataError
from tests.support.training_files import Folder, said


def row(number, image="red.png", answer="Red."):
    talk = [
        {"from": "human", "value": f"<image>Question {number}?"},
        {"from": "gpt", "value": answer},
    ]
    return {"image": image, "conversations": talk, "source": "web"}


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "data")
    for number in range(6):
        made.picture(f"{number}.png", (60 + number, 40))
    made.picture("red.png")
    return made


def test_rows_become_shards_with_the_bytes_of_their_pictures(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "_SHARD_RECORDS", 2)
    path = folder.write("rows.json", [row(n, f"{n}.png") for n in range(5)])
    done = []
    summary = import_file(path, tmp_path / "out", progress=done.append)
    assert (summary.format, summary.num_records, summary.dropped) == ("qwen", 5, {})
    assert done == [1, 2, 3, 4, 5]
    assert "format: qwen (recognised from the content)" in summary.notes
    assert "column source is not used (5 rows)" in summary.notes
    shards = ShardSet(tmp_path / "out")
    assert (len(shards), len(shards.shards)) == (5, 3)
    assert [said(record)[0][1] for record in shards] == [f"[image]Question {n}?" for n in range(5)]
    assert [record.picture.shape for record in shards] == [(40, 60 + n, 3) for n in range(5)]
    assert (folder.path / "0.png").read_bytes() in shards.shards[0].path.read_bytes()
    written = json.loads((tmp_path / "out" / IMPORT_FILE).read_text())
    assert written["num_records"] == 5
    assert written["config"]["bad_rows"] == "stop"


def test_bad_rows_stop_it_and_nothing_is_written(folder, tmp_path):
    rows = [row(0), row(1, "gone.png"), row(2, answer=" ")]
    path = folder.write("rows.json", rows)
    with pytest.raises(DataError, match="2 rows cannot be used") as caught:
        import_file(path, tmp_path / "out")
    assert "rows.json, row 2: missing media: there is no gone.png" in caught.value.message
    assert "rows.json, row 3: empty answer" in caught.value.message
    assert "--bad-rows skip" in caught.value.hint
    assert not (tmp_path / "out").exists()
    path = folder.write("rows.json", [row(n, "gone.png") for n in range(9)])
    with pytest.raises(DataError, match="5 or more rows cannot be used"):
        import_file(path, tmp_path / "out")


def test_bad_rows_are_left_out_and_counted(folder, tmp_path):
    rows = [row(0), row(1, "gone.png"), row(2, answer=" "), row(3, "gone.png")]
    path = folder.write("rows.json", rows)
    summary = import_file(path, tmp_path / "out", ImportConfig(bad_rows="skip"))
    assert summary.num_records == 1
    assert summary.dropped == {"missing media": 2, "empty answer": 1}
    assert [problem.place for problem in summary.problems] == [
        "rows.json, row 2", "rows.json, row 3", "rows.json, row 4",
    ]  # fmt: skip
    written = json.loads((tmp_path / "out" / IMPORT_FILE).read_text())
    assert written["dropped"] == {"missing media": 2, "empty answer": 1}
    path = folder.write("rows.json", rows[1:])
    with pytest.raises(DataError, match="no row that can be used"):
        import_file(path, tmp_path / "none", ImportConfig(bad_rows="skip"))
    assert not (tmp_path / "none").exists()


def test_an_existing_data_set_is_not_replaced(folder, tmp_path):
    path = folder.write("rows.json", [row(0)])
    (tmp_path / "out").mkdir()
    import_file(path, tmp_path / "out")
    with pytest.raises(DataError, match="exists already"):
        import_file(path, tmp_path / "out")
    with pytest.raises(ConfigError, match="there is no file or folder"):
        import_file(folder.path / "gone.json", tmp_path / "other")


def test_a_disk_that_fills_leaves_nothing(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.data.shards._add", full)
    path = folder.write("rows.json", [row(0)])
    with pytest.raises(DataError, match="No space left"):
        import_file(path, tmp_path / "out")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]
