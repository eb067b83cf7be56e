# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from finesight.data import checking
from finesight.data.check_page import check_page
from finesight.data.checking import Lengths, check_file
from finesight.errors import RecordInvalid
from tests.support.training_files import Folder


def rows(number):
    return [
        {
            "messages": [
                {"role": "user", "content": f"Question {n}?"},
                {"role": "assistant", "content": "word " * (n + 1)},
            ]
        }
        for n in range(number)
    ]


def test_lengths():
    assert Lengths.of([5]) == Lengths(5, 5, 5, 5, 5)
    assert Lengths.of(list(range(101, 0, -1))) == Lengths(1, 51, 91, 101, 5151)


def test_samples_are_drawn_from_all_rows_in_their_order(tmp_path, tiny_processor):
    path = Folder(tmp_path).write("rows.jsonl", rows(30))
    report = check_file(path, tiny_processor, num_samples=4)
    numbers = [int(sample.place.rpartition(" ")[2]) for sample in report.samples]
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 4
    again = check_file(path, tiny_processor, num_samples=4)
    other = check_file(path, tiny_processor, num_samples=4, seed=1)
    assert [one.place for one in again.samples] == [one.place for one in report.samples]
    assert [one.place for one in other.samples] != [one.place for one in report.samples]
    assert len(check_file(path, tiny_processor, num_samples=99).samples) == 30
    assert check_file(path, tiny_processor, num_samples=0).samples == []
    assert report.tokens is not None
    assert report.tokens.largest > report.tokens.median > report.tokens.least


def test_problems_beyond_a_limit_are_counted_only(tmp_path, tiny_processor, monkeypatch):
    monkeypatch.setattr(checking, "MOST_PROBLEMS", 3)
    path = Folder(tmp_path).write("rows.jsonl", [*rows(1), *({"messages": []} for _ in range(7))])
    report = check_file(path, tiny_processor)
    assert (len(report.problems), report.num_refused) == (3, 7)
    assert "1 rows can be used, 7 cannot" in check_page(report)


def test_a_sample_that_cannot_be_encoded_is_a_problem(tmp_path, tiny_processor, monkeypatch):
    def torn(*_):
        raise RecordInvalid("frame 3 is broken")

    monkeypatch.setattr(checking, "shown", torn)
    path = Folder(tmp_path).write("rows.jsonl", rows(2))
    report = check_file(path, tiny_processor)
    assert (report.num_records, dict(report.reasons)) == (0, {"encoding": 2})


def test_a_file_without_a_good_row_has_no_lengths(tmp_path, tiny_processor):
    path = Folder(tmp_path).write("rows.jsonl", [{"messages": []}])
    report = check_file(path, tiny_processor)
    assert (report.tokens, report.samples) == (None, [])
    assert "0 rows can be used, 1 cannot" in check_page(report)
