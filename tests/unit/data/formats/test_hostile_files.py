# SPDX-License-Identifier: Apache-2.0
"""Broken and hostile files: each row has its reason, nothing ends in a traceback, memory stays bounded."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from PIL import Image

from finesight.data.formats import containers, webdataset
from finesight.data.formats.containers import rows_of
from finesight.errors import ConfigError
from tests.support.training_files import said


def row(question="<image>What?", answer="Red.", **columns):
    talk = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"image": "red.png", "conversations": talk} | columns


def test_truncated_json_keeps_what_came_before(folder):
    whole = json.dumps([row(), row(), row()])
    for end in (len(whole) - 1, len(whole) - 5, len(whole) // 2):
        found = folder.read("rows.json", whole[:end], format="qwen")
        assert found.reasons == ["unreadable"]
        assert len(found.records) in (1, 2, 3)
    lines = json.dumps(row()) + "\n" + json.dumps(row())[:30] + "\n\n" + json.dumps(row())
    found = folder.read("rows.jsonl", lines)
    assert (len(found.records), found.reasons) == (2, ["unreadable"])
    assert found.problems[0].place == "rows.jsonl, row 2"


@pytest.mark.parametrize(
    "text",
    ["", "   ", "[", "[]x", "[1 2]", "nonsense", "[" * 100_000, '{"a": ' * 100_000, "[1,]"],
)
def test_what_is_no_json_is_a_problem(folder, text):
    found = folder.read("rows.json", text, format="qwen")
    assert found.records == []
    assert set(found.reasons) <= {"unreadable", "columns"}
    assert found.reasons or not text.strip() or text == "[]x"


def test_elements_are_found_however_the_list_is_written(folder, monkeypatch):
    monkeypatch.setattr(containers, "_CHUNK", 3)
    path = folder.write("rows.json", '\ufeff [ {"a": [1, 2]} ,\n17,"x, ]", [] , null,1.5e3]  ')
    assert [one.value for one in rows_of(path)] == [{"a": [1, 2]}, 17, "x, ]", [], None, 1500.0]
    path = folder.write("rows.json", "[ ]")
    assert list(rows_of(path)) == []


def test_rows_that_are_no_utf8(folder):
    good = json.dumps(row()).encode()
    found = folder.read("rows.jsonl", good + b'\n{"image": "\xff"}\n' + good)
    assert (len(found.records), found.reasons) == (2, ["unreadable"])
    found = folder.read("rows.json", b"[" + good + b', {"image": "\xff"}]', format="qwen")
    assert found.reasons == ["unreadable"]
    lines = [json.dumps(row(answer="\ud800")), json.dumps(row(id="\udfff"))]
    found = folder.read("rows.jsonl", "\n".join(lines))
    assert found.reasons == ["unreadable", "unreadable"]


def test_a_row_of_any_length_is_limited(folder, monkeypatch):
    monkeypatch.setattr(containers, "LONGEST_ROW", 1000)
    monkeypatch.setattr(containers, "_CHUNK", 500)
    long = row(answer="x" * 5000)
    for name in ("rows.json", "rows.jsonl"):
        found = folder.read(name, [row(), long, row()], format="qwen")
        assert (len(found.records), found.reasons) == (1, ["unreadable"])
    monkeypatch.setattr(webdataset, "LARGEST_MEMBER", 3)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("../secret.png", "media outside"),
        ("link.png", "media outside"),
        ("loop.png", "missing media"),
        ("inner", "broken media"),
        ("a\0b.png", "missing media"),
        ("x" * 5000, "missing media"),
        ("http://127.0.0.1:9/a.png", "address"),
        ("https://example.com/a.png", "address"),
        ("ftp://example.com/a.png", "missing media"),
        ("data:image/png;base64,AAAA", "broken media"),
        ("empty.png", "broken media"),
        ("text.png", "broken media"),
        ("torn.png", "broken media"),
        ("thin.png", "broken media"),
        ("", "columns"),
    ],
)
def test_media_that_cannot_be_used(folder, source, reason):
    outside = folder.path.parent / "secret.png"
    Image.new("RGB", (9, 9)).save(outside)
    (folder.path / "link.png").symlink_to(outside)
    (folder.path / "loop.png").symlink_to(folder.path / "loop.png")
    (folder.path / "inner").mkdir()
    folder.write("empty.png", b"")
    folder.write("text.png", "not a picture at all")
    folder.write("torn.png", (folder.path / "blue.jpg").read_bytes()[:700])
    folder.picture("thin.png", (1, 300))
    found = folder.read("rows.json", [row(), row(image=source)])
    assert (len(found.records), found.reasons) == (1, [reason])


def test_the_folders_of_the_media_are_tried_in_order(folder):
    away = folder.path.parent / "away"
    away.mkdir()
    (folder.path / "red.png").rename(away / "red.png")
    assert folder.read("rows.json", [row()]).reasons == ["missing media"]
    assert folder.read("rows.json", media=(folder.path, away)).only
    absolute = [row(image=str(away / "red.png")), row(image=(away / "red.png").as_uri())]
    assert folder.read("rows.json", absolute).reasons == ["media outside"] * 2
    assert len(folder.read("rows.json", media=(away,)).records) == 2


def test_a_picture_bomb_is_refused_before_it_is_decoded(folder):
    Image.new("1", (20_000, 20_000)).save(folder.path / "bomb.png")
    found = folder.read("rows.json", [row(image="bomb.png"), row()])
    assert found.reasons == ["broken media"]
    assert "too large" in found.problems[0].message


def test_texts_of_users_are_harmless(folder):
    text = "<|im_end|> {{place:0}} <|image_pad|> <tool_call>"
    found = folder.read("rows.json", [row(question="<image>" + text, answer=text)])
    assert said(found.only) == [("user", "[image]" + text), ("assistant", text)]
    boxed = text + ' "bbox_2d": [1, 2, 30, 40]'
    found = folder.read("rows.json", [row(answer=boxed)], coordinates="original")
    assert said(found.only)[1][1] == boxed.replace("{{place:0}}", "{{place:literal}}0}}").replace(
        "1, 2, 30, 40", "{{place:0}}"
    )


@pytest.mark.parametrize(
    ("answer", "frame", "values"),
    [
        ('"bbox_2d": [10, 6, 50, 30]', "original", (10, 6, 50, 30)),
        ("'bbox_2d': [100,100,500,500]", "norm1000", (10, 6, 50, 30)),
        ('"bbox_2d" : [ 0.1, 0.1, 0.5, 0.5 ]', "norm1", (10, 6, 50, 30)),
        ('"point_2d": [50, 30]', "original", (50, 30)),
        ('<p data-bbox="10 6 50 30">x</p>', "original", (10, 6, 50, 30)),
        ('<points y1="6" x1="10" alt="x">x</points>', "original", (10, 6)),
        ("<|box_start|>(100,100),(500,500)<|box_end|>", "norm1000", (10, 6, 50, 30)),
    ],
)
def test_every_form_of_a_place_is_found(folder, answer, frame, values):
    found = folder.read("rows.json", [row(answer=answer)], coordinates=frame)
    assert found.only.places[0].values == values
    assert found.reading.tally.fitting[frame] == 1
    untouched = folder.read("rows.json", coordinates="none")
    assert (said(untouched.only)[1][1], untouched.only.places) == (answer, ())


def test_forms_that_are_no_places_stay_text(folder):
    question = '<image>Like {"bbox_2d": [x1, y1, x2, y2]} or <points x y>object</points>'
    found = folder.read("rows.json", [row(question=question)])
    assert found.only.places == ()
    assert said(found.only)[0][1] == question.replace("<image>", "[image]")


@pytest.mark.parametrize(
    "answer",
    [
        '"bbox_2d": [1, 2, 3]',
        '"bbox_2d": [NaN, 2, 3, 4]',
        '"bbox_2d": [1, 2, 1e999, 4]',
        '"bbox_2d": []',
        '"bbox_2d": [1, 2, 3, 4, 5]',
        '"bbox_2d": [10, 2, 3, 4]',
        '"point_2d": [1000, 2]',
        '<points x1="1" y2="2">x</points>',
    ],
)
def test_a_wrong_place_in_an_answer_is_a_problem(folder, answer):
    assert folder.read("rows.json", [row(answer=answer)]).reasons == ["box"]


def test_a_place_of_one_of_several_pictures_must_say_of_which(folder):
    two = row("<image><image>Where?", '"bbox_2d": [1, 2, 30, 40]', image=["red.png", "blue.jpg"])
    found = folder.read("rows.json", [two])
    assert found.reasons == ["box"]
    assert "image_id" in found.problems[0].hint
    assert folder.read("rows.json", coordinates="none").only
    talk = [
        *row("<image>Where?", '"bbox_2d": [1, 2, 30, 40]')["conversations"],
        *row("<image>And here?", '"bbox_2d": [1, 2, 130, 140]')["conversations"],
    ]
    turns = {"image": ["red.png", "blue.jpg"], "conversations": talk}
    found = folder.read("rows.json", [turns], coordinates="original")
    assert [place.media for place in found.only.places] == [0, 1]


def test_files_of_other_kinds_are_named(folder):
    for name, value, message in (
        ("rows.txt", "x", "of no known kind"),
        ("rows.json", [{"a": 1, "b": 2}], "its columns are a, b"),
        ("rows.jsonl", "nonsense\n", "no row that can be read"),
        ("rows.json", [3, "x"], "no row that can be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            folder.read(name, value)


def test_a_long_list_needs_little_memory(tmp_path):
    path = tmp_path / "rows.json"
    text = json.dumps({"conversations": [{"from": "human", "value": "x" * 1000}]})
    with path.open("w") as file:
        file.write("[" + text)
        for _ in range(100):
            file.write((",\n" + text) * 100)
        file.write("]")
    assert path.stat().st_size > 10**7
    tracemalloc.start()
    number = sum(1 for _ in rows_of(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert number == 10_001
    assert peak < 8 * 2**20
