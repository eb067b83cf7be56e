# SPDX-License-Identifier: Apache-2.0
"""Local copies are read alike in every format; a missing column is named, a broken row is counted."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import pyarrow
import pytest
from pyarrow import parquet

from finesight.errors import EvalError
from finesight.evals.core.rows import BROKEN, broken_item, literal_list, rows

PICTURE = b"\x89PNG" + bytes(range(200))
CODED = base64.b64encode(PICTURE).decode()
COLUMNS = {"id": ("id", "pid", "index"), "question": ("question", "query")}
IMAGE = {"image": ("image", "decoded_image")}


def values(path, **options):
    return [dict(row.values) for row in rows(path, columns=COLUMNS, optional=IMAGE, **options)]


def test_parquet_gives_bytes_and_paths(tmp_path):
    table = pyarrow.table(
        {
            "pid": ["a", "b"],
            "query": ["one", "two"],
            "decoded_image": [
                {"bytes": PICTURE, "path": "a.png"},
                {"bytes": None, "path": "b.png"},
            ],
            "unread": ["x", "y"],
        }
    )
    parquet.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    (tmp_path / "dataset_info.json").write_text("{}")
    expected = [
        {"id": "a", "question": "one", "image": PICTURE},
        {"id": "b", "question": "two", "image": tmp_path / "b.png"},
    ]
    assert values(tmp_path) == expected


def test_a_list_of_pictures_in_parquet(tmp_path):
    pictures = [[{"bytes": PICTURE, "path": None}, {"bytes": b"2", "path": None}]]
    table = pyarrow.table({"id": ["a"], "question": ["q"], "image": pictures})
    parquet.write_table(table, tmp_path / "x.parquet")
    assert values(tmp_path)[0]["image"] == [PICTURE, b"2"]


def test_files_of_a_folder_come_in_order(tmp_path):
    for number in (2, 0, 1):
        table = pyarrow.table({"id": [str(number)], "question": ["q"]})
        parquet.write_table(table, tmp_path / f"test-{number}.parquet")
    assert [row["id"] for row in values(tmp_path)] == ["0", "1", "2"]


def test_a_parquet_file_that_is_none_names_itself(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(EvalError, match=r"x\.parquet cannot be read as parquet"):
        values(path)


def tsv(path, *lines):
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_tsv_resolves_references_forward_and_back(tmp_path):
    path = tsv(
        tmp_path / "a.tsv",
        ("index", "question", "image"),
        ("7", '"two\nlines"', "12"),
        ("12", "holds it", CODED),
        ("13", "back", "12"),
    )
    found = values(path)
    assert [row["image"] for row in found] == [PICTURE] * 3
    assert found[0]["question"] == "two\nlines"


def test_tsv_list_of_pictures(tmp_path):
    line = ("1", "q", f"['{CODED}', '{CODED}']")
    path = tsv(tmp_path / "a.tsv", ("index", "question", "image"), line)
    assert values(path)[0]["image"] == [PICTURE, PICTURE]


def test_broken_table_rows_give_a_reason_and_go_on(tmp_path):
    path = tsv(
        tmp_path / "a.tsv",
        ("index", "question", "image"),
        ("1", "refers to nothing", "99"),
        ("2", "too few"),
        ("3", "no base64", "!" * 80),
        ("4", "refers to a reference", "1"),
        ("5", "fine", CODED),
    )
    with path.open("ab") as file:
        file.write(b"6\t\xff\xfe\t" + CODED.encode() + b"\n")
    found = list(rows(path, columns=COLUMNS, optional=IMAGE))
    reasons = [row.error for row in found]
    assert reasons[0] == "image refers to row 99, which is not there"
    assert reasons[1] == "2 cells, not 3"
    assert "no base64" in reasons[2]
    assert reasons[3] == "image refers to row 1, which holds no picture either"
    assert reasons[4] is None
    assert reasons[5] == "not UTF-8"
    assert found[1].where == f"{path}, row 1"


def test_jsonl_goes_on_after_broken_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"id": 1, "question": "q"}), "{", "[]", "", json.dumps({"id": 2})]
    path.write_bytes("\n".join(lines).encode() + b'\n{"id": "\xff"}\n{"id": 3, "question": null}')
    found = list(rows(path, columns=COLUMNS))
    assert [row.error is None for row in found] == [True, False, False, False, False, False]
    assert "not JSON" in found[1].error
    assert "no column question (accepted: question, query). Found: id" in found[3].error
    assert found[5].error == "nothing in column question"


@pytest.mark.parametrize(
    "content",
    [
        [{"id": "a", "question": "q"}],
        {"a": {"id": "a", "question": "q"}},
        {"version": 1, "data": [{"id": "a", "question": "q"}]},
    ],
)
def test_json_lists_and_objects(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert values(path) == [{"id": "a", "question": "q"}]


def test_the_key_of_an_object_is_a_column(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"17": {"question": "q"}, "18": "nothing"}))
    columns = {"id": ("_key",), "question": ("question",)}
    found = list(rows(path, columns=columns))
    assert dict(found[0].values) == {"id": "17", "question": "q"}
    assert found[1].error == "a str where an object is needed"


def test_coco_folder(tmp_path):
    content = {
        "images": [{"id": 5, "file_name": "x.jpg", "width": 20, "height": 10}],
        "annotations": [
            {"id": 1, "image_id": 5, "bbox": [1, 2, 3, 4], "category_id": 9},
            {"id": 2, "image_id": 6, "bbox": [1, 2, 3, 4], "category_id": 9},
        ],
        "categories": [{"id": 9, "name": "cat"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x.jpg").write_bytes(b"x")
    columns = {name: (name,) for name in ("id", "image", "width", "objects")}
    broken, row = rows(tmp_path, columns=columns)
    assert "without a picture" in broken.error
    assert row["image"] == tmp_path / "images" / "x.jpg"
    assert row["objects"] == [{"id": 1, "box": [1, 2, 4, 6], "category": "cat", "is_crowd": False}]


def test_a_missing_column_names_what_was_found(tmp_path):
    path = tsv(tmp_path / "a.tsv", ("number", "question"), ("1", "q"))
    with pytest.raises(EvalError, match=r"no column id \(accepted: id, pid, index\)") as raised:
        values(path)
    assert "Found: number, question" in raised.value.message


@pytest.mark.parametrize(("name", "said"), [("no", "there is no copy"), ("a.txt", "ends with")])
def test_what_is_no_copy_is_refused(tmp_path, name, said):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(EvalError, match=said):
        values(tmp_path / name)
    with pytest.raises(EvalError, match="holds no file of"):
        values(tmp_path)


LARGE = 2**63 - 1


@pytest.mark.parametrize(
    "kind", [pyarrow.int64(), pyarrow.uint64(), pyarrow.decimal128(25, 0)], ids=str
)
def test_whole_numbers_of_parquet_are_exact_beside_missing_ones(tmp_path, kind):
    table = pyarrow.table({"id": pyarrow.array([LARGE, None], kind), "question": ["q", "r"]})
    parquet.write_table(table, tmp_path / "x.parquet")
    first, second = rows(tmp_path / "x.parquet", columns=COLUMNS)
    assert repr(first["id"]) == str(LARGE)
    assert second.error == "nothing in column id"


def test_decimals_are_numbers_of_json(tmp_path):
    """Also inside lists and structures; more digits than a double has stay exact in whole numbers."""
    large = Decimal(10**24 + 1)
    cells = {"id": [large], "question": [[Decimal("2.50")]], "image": [{"of": large}]}
    kinds = {
        "id": pyarrow.decimal128(38, 0),
        "question": pyarrow.list_(pyarrow.decimal128(9, 2)),
        "image": pyarrow.struct({"of": pyarrow.decimal256(60, 0)}),
    }
    table = pyarrow.table(cells, schema=pyarrow.schema(list(kinds.items())))
    parquet.write_table(table, tmp_path / "x.parquet")
    (found,) = values(tmp_path)
    assert json.dumps(found) == json.dumps(
        {"id": 10**24 + 1, "question": [2.5], "image": {"of": 10**24 + 1}}
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", f'[{{"id": {LARGE}, "question": {LARGE}}}]'),
        ("x.jsonl", f'{{"id": {LARGE}, "question": {LARGE}}}\n'),
        ("x.tsv", f"id\tquestion\n{LARGE}\t{LARGE}\n"),
        ("x.csv", f"id,question\n{LARGE},{LARGE}\n"),
    ],
)
def test_whole_numbers_of_text_files_are_exact(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (found,) = values(tmp_path / name)
    assert [str(value) for value in found.values()] == [str(LARGE)] * 2


@pytest.mark.parametrize("suffix", ["json", "parquet", "tsv", "csv"])
def test_a_picture_under_another_name_is_called_one(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(EvalError, match="but a PNG picture"):
        values(path)


def test_a_table_with_a_lone_carriage_return_is_refused_where_it_stands(tmp_path):
    (tmp_path / "x.tsv").write_bytes(b"id\tquestion\n1\tone\n2\ttw\ro\n")
    with pytest.raises(EvalError, match=r"x\.tsv is no table from byte 18 on"):
        values(tmp_path / "x.tsv")


def test_json_that_nests_without_end_is_a_broken_row(tmp_path):
    deep = "[" * 200_000
    (tmp_path / "x.jsonl").write_text(f'{deep}\n{{"id": 1, "question": "q"}}\n')
    first, second = rows(tmp_path / "x.jsonl", columns=COLUMNS)
    assert first.error.startswith("not JSON: ")
    assert second["id"] == 1


def test_literal_lists():
    assert literal_list("['a', \"b's\", 3]") == ["a", "b's", 3]
    for text in ("'a'", "[a", "__import__('os')", "[" * 5000):
        with pytest.raises(EvalError):
            literal_list(text)


def test_a_broken_item_says_why():
    item = broken_item("a.jsonl, line 3", "not JSON")
    assert (item.id, item.truth[BROKEN]) == ("a.jsonl, line 3", "not JSON")
