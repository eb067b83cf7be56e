# SPDX-License-Identifier: Apache-2.0
"""`finesight data check` and `finesight data import` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finesight.data.shards import ShardSet
from tests.support.training_files import Folder

GOLDEN = Path(__file__).parents[1] / "golden" / "data" / "check.txt"


def row(answer, image="blue.png", question="<image>\nWhere is the square?"):
    return {
        "image": image,
        "source": "drawn",
        "conversations": [
            {"from": "human", "value": question},
            {"from": "gpt", "value": answer},
        ],
    }


ROWS = [
    row('```json\n[\n\t{"bbox_2d": [10, 10, 41, 31], "label": "square"}\n]\n```'),
    row("Gone.", "gone.png"),
    row("  "),
    row("No mark.", question="Where?"),
    row('"bbox_2d": [10, 10, 410, 31]'),
    row("Nowhere. <|im_end|>"),
]


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "data")
    made.picture("blue.png", (100, 60))
    return made


def test_the_report_on_the_terminal(finesight, folder, update_golden):
    path = folder.write("rows.jsonl", ROWS)
    outcome = finesight("data", "check", path, "--coordinates", "original")
    assert outcome.code == 1
    text = outcome.out.replace(str(folder.path), "FOLDER")
    if update_golden:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_report_as_json_and_as_a_page(finesight, folder, tmp_path):
    rows = [ROWS[0], {**row("x"), "conversations": ROWS[0]["conversations"]}, ROWS[1]]
    path = folder.write("rows.jsonl", rows)
    page = tmp_path / "pages" / "check.html"
    outcome = finesight(
        "data", "check", path, "--coordinates", "original", "--json", "--html", page
    )  # fmt: skip
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert report["reasons"] == {"missing media": 1}
    assert report["problems"][0]["place"] == "rows.jsonl, row 3"
    assert (report["num_records"], report["counts"]["pictures"]) == (2, 2)
    (sample, _) = report["samples"]
    (media,) = sample["media"]
    assert (media["original"], media["resized"]) == ([100, 60], [112, 56])
    assert media["places"] == [[11, 9, 46, 29]]
    learned = "".join(run["text"] for run in sample["runs"] if run["is_target"])
    assert learned.startswith('```json\n[\n\t{"bbox_2d": [11, 9, 46, 29]')
    assert report["tokens"]["largest"] == sum(run["num_tokens"] for run in sample["runs"])
    assert report["visual_tokens"]["least"] == media["visual_tokens"] == 8
    html = page.read_text(encoding="utf-8")
    assert html.count("<img ") == 2
    assert "there is no gone.png" in html
    assert "&lt;|im_start|&gt;" in html
    assert "script" not in html


def test_texts_that_look_like_marks_are_shown(finesight, folder):
    text = "{{place:0}} and {{place:7.2}}"
    path = folder.write("rows.jsonl", [row(text), row(text + ' "bbox_2d": [1, 2, 30, 40]')])
    outcome = finesight("data", "check", path, "--coordinates", "original")
    assert outcome.code == 0
    assert f"[learn]{text}<|im_end|>" in outcome.out
    assert f'[learn]{text} "bbox_2d": [1, 2, 34, 37]<|im_end|>' in outcome.out


def test_a_good_file_is_good(finesight, folder):
    pair = {
        "messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "b"}],
        "rejected_response": "a worse one",
    }
    folder.clip("clip.mp4")
    clip = {
        "messages": [
            {"role": "user", "content": "<video>What?"},
            {"role": "assistant", "content": "<bbox>"},
        ],
        "videos": ["clip.mp4"],
        "objects": {"bbox": [[0, 0, 64, 36]]},
    }
    path = folder.write("rows.jsonl", [pair, clip])
    outcome = finesight("data", "check", path)
    assert outcome.code == 0
    assert "format: swift" in outcome.out
    assert "the worse answer: [learn]a worse one" in outcome.out
    assert "128 x 72 resized to" in outcome.out
    assert "preference pairs 1" in outcome.out


def test_questions_in_any_order_are_shown_with_their_boxes_only(finesight, folder):
    coco = {
        "images": [{"id": 1, "file_name": "blue.png"}],
        "categories": [{"id": n, "name": name} for n, name in enumerate("abcdef")],
        "annotations": [
            {"image_id": 1, "category_id": n, "bbox": [5 * n, 5 * n, 20, 20]} for n in range(5)
        ],
    }
    outcome = finesight("data", "check", folder.write("coco.json", coco), "--json")
    assert outcome.code == 0
    (sample,) = json.loads(outcome.out)["samples"]
    text = "".join(run["text"] for run in sample["runs"])
    assert text.count("<|im_start|>assistant") == 4
    places = sample["media"][0]["places"]
    assert 0 < len(places) < 15
    assert all(str(place[0]) in text for place in places)


def test_rows_that_the_processor_refuses_are_problems(finesight, folder):
    shown = {"type": "image", "image": "blue.png", "min_pixels": 100_000_000}
    talk = [{"role": "user", "content": [shown]}, {"role": "assistant", "content": "b"}]
    path = folder.write("rows.jsonl", [{"messages": talk}])
    outcome = finesight("data", "check", path)
    assert outcome.code == 1
    assert "rows.jsonl, row 1: encoding: " in outcome.out


def test_an_import_is_a_data_set(finesight, folder, tmp_path):
    path = folder.write("rows.jsonl", ROWS)
    stopped = finesight("data", "import", path, "--out", "set", "--coordinates", "original")
    assert stopped.code == 1
    assert "rows.jsonl, row 2: missing media: there is no gone.png" in stopped.err
    assert not (tmp_path / "set").exists()
    done = finesight(
        *("data", "import", path, "--out", "set", "--coordinates", "original"),
        *("--bad-rows", "skip"),
    )
    assert done.code == 0
    assert done.out == (
        "set: 2 records; left out: missing media 1, empty answer 1, marks 1, box 1\n"
    )
    assert "column source is not used" in done.err
    assert len(ShardSet(tmp_path / "set")) == 2
    shown = finesight("data", "inspect", "set")
    assert shown.code == 0
    again = finesight("data", "import", path, "--out", "set", "--bad-rows", "skip", "--json")
    assert (again.code, "exists already" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["gone.json"], "there is no file or folder gone.json"),
        (["rows.jsonl", "--format", "nonsense"], "format = 'nonsense'"),
        (["rows.jsonl", "--coordinates", "inches"], "coordinates = 'inches'"),
        (["rows.jsonl", "--label-min-pixels", "9", "--label-max-pixels", "3"], "exceeds"),
        (["rows.jsonl", "--html", "page.png"], "no HTML file name"),
        (["rows.jsonl", "--media", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_wrong_use_is_named(finesight, tmp_path, options, message):
    Folder(tmp_path).write("rows.jsonl", ROWS)
    outcome = finesight("data", "check", *options)
    assert outcome.code == 2
    assert message in outcome.err
