# SPDX-License-Identifier: Apache-2.0
"""Tables of `tasks.toml`: what may be written short, and what is refused by file, table and key."""

from __future__ import annotations

import pytest

from finesight.errors import ConfigError
from finesight.evals.core.benchmark import read_benchmarks, read_tables
from finesight.evals.core.task import Budget

TABLES = {"general": ["A", "B", "C"]}
WHOLE = """
[defaults]
max_new_tokens = 64

[val]
title = "Birds {split}"
source = "birds.org"
layout = "{split}.tsv with {other}"
fill = { split = "val" }
files = ["{split}.tsv", { split = "{split}", folder = "birds" }]
columns = ["question", { image = ["picture", "image"] }]
optional = ["id"]
budget = { max_pixels = 1003520 }
chance = 0.5
published.general = "70.5 - 3"
published.systems = { D = 1.5 }
notes = ["of {split}"]

[test]
like = "val"
fill = { split = "test" }
max_new_tokens = 8
published = {}
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "tasks.toml"
        path.write_text(text, encoding="utf-8")
        return read_benchmarks(path, TABLES)

    return read


def test_what_is_written_short_is_read_whole(read):
    first, second = read(WHOLE).values()
    assert (first.name, first.title, first.max_new_tokens) == ("val", "Birds val", 64)
    assert first.layout == "val.tsv with {other}"
    assert first.files[:3] == ("val.tsv", "birds/val-*.parquet", "birds/data/val-*.parquet")
    assert first.columns == {"question": ("question",), "image": ("picture", "image")}
    assert first.optional == {"id": ("id",)}
    assert first.budget == Budget(max_pixels=1003520)
    assert first.published == {"A": 70.5, "C": 3.0, "D": 1.5}
    assert (second.title, second.max_new_tokens, second.published) == ("Birds test", 8, {})
    assert second.files[0] == "test.tsv"
    assert second.notes == ("of test",)
    assert second.chance == 0.5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('colums = ["a"]', r"tasks\.toml \[test\]: unknown key colums"),
        ("budget = { max_pixel = 3 }", r"tasks\.toml \[test\]: budget\.max_pixel"),
        ('chance = "much"', r"tasks\.toml \[test\]: chance = 'much'"),
        ('published.general = "1 2"', r"\[test\]: published\.general has 2 numbers, .* 3 columns"),
        ('published.ocr = "1 2 3"', r"\[test\]: unknown key published\.ocr"),
        ('files = [{ spilt = "a" }]', r"\[test\]: files"),
        ('files = "a.tsv"', r"\[test\]: files = 'a.tsv'"),
        ('columns = "image"', r"\[test\]: columns = 'image'"),
        ("title = ", r"tasks\.toml cannot be read"),
    ],
)
def test_a_wrong_key_is_named_with_its_file_and_table(read, line, message):
    text = WHOLE.replace("published = {}", "" if line.startswith("published") else "published = {}")
    with pytest.raises(ConfigError, match=message):
        read(f"{text}{line}\n")


def test_a_table_that_is_like_none_is_refused(read):
    with pytest.raises(ConfigError, match=r"\[test\]: like = 'vale', but there is no such table"):
        read(WHOLE.replace('like = "val"', 'like = "vale"'))


def test_a_table_lacks_what_every_benchmark_says(read):
    with pytest.raises(ConfigError, match=r"\[val\]: layout is missing"):
        read("\n".join(line for line in WHOLE.splitlines() if "layout" not in line))


def test_printed_tables_say_their_columns(tmp_path):
    path = tmp_path / "report_tables.toml"
    path.write_text('[general]  # table 3\ncolumns = ["A", "B"]\n')
    assert read_tables(path) == {"general": ["A", "B"]}
