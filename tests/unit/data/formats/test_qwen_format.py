# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from finesight.data.formats.config import ImportConfig
from finesight.data.places import Place
from tests.support.training_files import said


def row(question="<image>\nWhat is it?", answer="A square.", **columns):
    talk = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": 7, "image": "red.png", "conversations": talk} | columns


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_picture_stands_where_its_mark_stood(folder, name):
    found = folder.read(name, [row(), row("First\n<image>\nthen", source="web")])
    assert (found.reading.format, found.reading.is_recognised) == ("qwen", True)
    first, second = found.records
    assert said(first) == [("user", "[image]What is it?"), ("assistant", "A square.")]
    assert said(second)[0] == ("user", "[image]Firstthen")
    assert [type(part).__name__ for part in second.conversation.messages[0].parts] == [
        "TextPart", "ImagePart", "TextPart",
    ]  # fmt: skip
    (picture,) = first.conversation.media()
    assert picture.source == (folder.path / "red.png").read_bytes()
    assert first.meta["source_id"] == "7"
    assert first.meta["row"] == f"{name}, row 1"
    assert found.reading.tally.ignored == {"source": 1}


def test_pictures_videos_and_turns_are_in_order(folder):
    folder.clip("clip.mp4")
    talk = [
        {"from": "system", "value": "Be short."},
        {"from": "human", "value": "<video>\n<image>\nand <image>?"},
        {"from": "gpt", "value": "One."},
        {"from": "human", "value": "Sure?"},
        {"from": "gpt", "value": "Yes."},
    ]
    found = folder.read(
        "rows.json",
        [{"image": ["red.png", "blue.jpg"], "video": "clip.mp4", "conversations": talk}],
    )
    kinds = [type(part).__name__ for part in found.only.conversation.media()]
    assert kinds == ["VideoPart", "ImagePart", "ImagePart"]
    assert [role for role, _ in said(found.only)] == [
        "system", "user", "assistant", "user", "assistant",
    ]  # fmt: skip


def test_packed_rows_are_single_rows(folder):
    found = folder.read("rows.json", [[row(), row()], row()])
    assert [record.meta["row"] for record in found.records] == [
        "rows.json, row 1, sample 1",
        "rows.json, row 1, sample 2",
        "rows.json, row 2",
    ]
    assert len({record.id for record in found.records}) == 3


def test_the_data_path_stands_before_the_picture(folder):
    folder.picture("train/a.png")
    assert folder.read("rows.json", [row(data_path="train", image="a.png")]).only


def test_boxes_of_this_format_count_pixels_of_the_resized_picture(folder):
    """300 x 200 becomes 308 x 196 with the published pixel budget."""
    answer = '```json\n[{"bbox_2d": [154, 98, 308, 196], "label": "x"}]\n```'
    found = folder.read("rows.json", [row(answer=answer, image="blue.jpg")])
    assert found.reading.frame == "resized"
    assert found.only.places == (Place("box", 0, (150, 100, 300, 200)),)
    assert said(found.only)[1][1] == answer.replace("154, 98, 308, 196", "{{place:0}}")
    assert found.reading.tally.guessed == 1
    other = folder.read("rows.json", coordinates="original")
    assert other.reasons == ["box"]
    assert "--coordinates" in other.problems[0].hint
    budget = folder.read(
        "rows.json", [row(answer='"bbox_2d": [0, 0, 84, 56]', image="blue.jpg")],
        label_min_pixels=28 * 28, label_max_pixels=84 * 56,
    )  # fmt: skip
    assert budget.only.places[0].values == (0, 0, 300, 200)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"question": "What?"}, "marks"),
        ({"question": "<image><image>What?"}, "marks"),
        ({"question": "<image><video>What?"}, "marks"),
        ({"answer": "  "}, "empty answer"),
        ({"image": "none.png"}, "missing media"),
        ({"image": 3}, "columns"),
        ({"conversations": "text"}, "columns"),
        ({"conversations": [], "image": None}, "roles"),
        ({"conversations": [{"from": "gpt", "value": "x"}], "image": None}, "roles"),
        ({"conversations": [{"from": "human", "value": "<image>x"}]}, "roles"),
        ({"conversations": [{"from": "martian", "value": "x"}]}, "roles"),
        ({"conversations": [3]}, "columns"),
        ({"conversations": [{"from": "human", "value": 3}]}, "columns"),
        ({"conversations": [{"from": "human", "value": "<image>x", "mood": "x"}]}, "columns"),
    ],
)
def test_a_wrong_row_has_its_reason(folder, change, reason):
    found = folder.read("rows.json", [row(), row(**change), row()])
    assert found.reasons == [reason]
    assert found.problems[0].place == "rows.json, row 2"
    assert len(found.records) == 2


def test_marks_in_answers_are_text(folder):
    found = folder.read("rows.json", [row(answer="<image> is a mark")])
    assert said(found.only)[1] == ("assistant", "<image> is a mark")


def test_a_pixel_budget_of_labels_is_in_order():
    with pytest.raises(ValueError, match="label_min_pixels 784 exceeds label_max_pixels 3"):
        ImportConfig(label_min_pixels=784, label_max_pixels=3)
