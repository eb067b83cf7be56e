# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random
import re
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from finesight.data.builders.scene_questions import ScenePlan, ask, plural
from finesight.data.builders.scenes import Scenes, ScenesConfig
from finesight.data.builders.sprites import SHAPES, shape_cutout
from finesight.data.record import SceneObject
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists
from finesight.parse.numbers import read_count


@pytest.fixture(scope="module")
def catalogue(assets):
    return FontCatalogue.read(assets / "fonts.json")


def builder(assets, catalogue, icons, **options):
    config = ScenesConfig(**options)
    return Scenes(config, icons, catalogue, WordLists.read(assets, "train"))


@pytest.fixture(scope="module")
def drawn(assets, catalogue, icons):
    made = builder(assets, catalogue, icons, difficulty=0.0, turns=(4, 4))
    return [made.record(f"r{seed}", seed) for seed in range(120)]


def boxes_in(answer: str) -> list[dict]:
    match = re.fullmatch(r"```json\n(\[\n\t.*\n\])\n```", answer, re.DOTALL)
    assert match, answer
    assert "\t" not in match[1].replace("\n\t", "")
    return json.loads(match[1])


def points_in(answer: str) -> list[tuple[int, int]]:
    match = re.match(r"```xml\n<points (.*?) alt=", answer)
    marks = re.findall(r'x(\d+)="(\d+)" y(\d+)="(\d+)"', match[1] if match else "")
    assert [(int(x), int(y)) for x, _, y, _ in marks] == [(n, n) for n in range(1, len(marks) + 1)]
    return [(int(x), int(y)) for _, x, _, y in marks]


def test_records_are_valid_and_repeatable(assets, catalogue, icons, drawn):
    for record in drawn:
        record.check()
    again = builder(assets, catalogue, icons, difficulty=0.0, turns=(4, 4)).record("r7", 7)
    assert np.array_equal(again.picture, drawn[7].picture)
    assert again.turns == drawn[7].turns


def test_boxes_hold_their_ink(assets, catalogue, icons):
    """One shape on a plain background: the box is the ink, to the pixel."""
    made = builder(
        assets, catalogue, icons, difficulty=0.0, shape_share=1.0, crowd_share=0.0, word_share=0.0
    )
    checked = 0
    for seed in range(200):
        record = made.record("r", seed)
        if len(record.truth[0].objects) != 1:
            continue
        paper = np.median(record.picture.reshape(-1, 3), axis=0)
        if (record.picture == paper).all(axis=2).mean() < 0.7:
            continue  # a background with a texture
        differs = np.abs(record.picture - paper).max(axis=2) > 24
        rows, columns = np.nonzero(differs)
        if not len(rows):
            continue
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert found == pytest.approx(record.truth[0].objects[0].box, abs=1)
        checked += 1
    assert checked >= 5


def test_answers_agree_with_the_truth(drawn):
    seen = Counter()
    for record in drawn:
        for (question, answer), task in zip(record.turns, record.meta["tasks"], strict=True):
            found = [record.truth[0].objects[index] for index in task["objects"]]
            seen[task["kind"]] += 1
            if task["kind"] == "count":
                assert read_count(answer) == len(found)
                assert len(points_in(answer)) == len(found)
                assert plural(task["name"]) in question
            elif task["kind"] == "present":
                assert answer == ("Yes" if found else "No")
            elif not found:
                assert answer == "none"
            elif task["kind"] in ("detect", "refer", "list_all", "categories"):
                rows = boxes_in(answer)
                assert [tuple(row["bbox_2d"]) for row in rows] == [thing.box for thing in found]
                assert [row["label"] for row in rows] == [thing.name for thing in found]
            elif task["kind"] == "point_json":
                for row, thing in zip(boxes_in(answer), found, strict=True):
                    x, y = row["point_2d"]
                    assert thing.box[0] <= x < thing.box[2]
                    assert thing.box[1] <= y < thing.box[3]
            elif task["kind"] == "point_xml":
                assert len(points_in(answer)) == len(found)
                assert answer.startswith("```xml\n<points x1=")
            elif task["kind"] in ("name_box", "read_box"):
                assert answer == found[0].name
                assert str(list(found[0].box)) in question
    assert {"detect", "count", "refer", "point_xml", "point_json", "name_box"} <= set(seen)


def test_class_questions_mean_every_object_of_the_class(drawn):
    for record in drawn:
        words = set(record.meta["words"])
        for task in record.meta["tasks"]:
            if task["kind"] in ("detect", "count", "point_json"):
                expected = [
                    index
                    for index, thing in enumerate(record.truth[0].objects)
                    if thing.name == task["name"] and index not in words
                ]
                assert task["objects"] == expected


def test_objects_are_listed_by_their_top_edge(drawn):
    for record in drawn:
        edges = [(thing.box[1], thing.box[0]) for thing in record.truth[0].objects]
        assert edges == sorted(edges)


def test_things_stay_visible(drawn):
    for record in drawn:
        for index, one in enumerate(record.truth[0].objects):
            for other in record.truth[0].objects[index + 1 :]:
                width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
                height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
                if width > 0 and height > 0:
                    area = (one.box[2] - one.box[0]) * (one.box[3] - one.box[1])
                    assert width * height <= 0.31 * area


def test_counts_cover_zero_to_ten(assets, catalogue, icons):
    made = builder(assets, catalogue, icons)
    counts = Counter()
    for seed in range(500):
        record = made.record("r", seed)
        for (_, answer), task in zip(record.turns, record.meta["tasks"], strict=True):
            if task["kind"] == "count":
                counts[read_count(answer)] += 1
    assert set(counts) >= set(range(11))
    assert max(counts.values()) < 0.2 * sum(counts.values())


def test_about_a_quarter_asks_for_what_is_not_there(assets, catalogue, icons):
    made = builder(assets, catalogue, icons)
    tasks = [task for seed in range(300) for task in made.record("r", seed).meta["tasks"]]
    asked = [task for task in tasks if task["kind"] in ("detect", "refer", "point_json")]
    share = sum(not task["objects"] for task in asked) / len(asked)
    assert 0.15 < share < 0.4


def plan(*boxes: tuple[int, int, int, int]) -> ScenePlan:
    return ScenePlan(tuple(SceneObject(box, "cat") for box in boxes), frozenset(), ("dog",), "cat")


def test_references_fit_exactly_one_object():
    scene = plan((0, 0, 60, 60), (100, 5, 130, 35), (180, 100, 210, 130))
    rng = random.Random(0)
    answers: dict[str, set[str]] = {}
    for _ in range(300):
        for turn in ask(rng, scene, 3, 0.0):
            if turn.task["kind"] == "refer":
                phrase = re.search(r"the (.*?),", turn.question)[1]
                answers.setdefault(phrase, set()).add(turn.answer)
    assert "[0, 0, 60, 60]" in answers["left-most cat"].pop()
    assert "[180, 100, 210, 130]" in answers["right-most cat"].pop()
    assert "[0, 0, 60, 60]" in answers["largest cat"].pop()
    assert "smallest cat" not in answers  # two are equally small
    assert "top-most cat" in answers  # 60 against 40: thirty against twenty pixels down


def test_an_empty_scene_can_still_be_asked_about():
    empty = ScenePlan((), frozenset(), ("dog", "cat"))
    for turn in ask(random.Random(1), empty, 4, 0.25):
        assert turn.answer in ("none", "0", "No")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cat", "cats"), ("mouse", "mice"), ("fox", "foxes"), ("cherries", "cherries"), ("wolf", "wolves"),
     ("strawberry", "strawberries"), ("key", "keys"), ("ladybug", "ladybugs"), ("fire truck", "fire trucks"),
     ("christmas tree", "christmas trees"), ("peach", "peaches"), ("maple leaf", "maple leaves")],
)  # fmt: skip
def test_plurals(name, expected):
    assert plural(name) == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fill_their_box(shape):
    cutout = shape_cutout(random.Random(0), "red", shape, 40)
    assert cutout.name == f"red {shape}"
    alpha = np.asarray(cutout.picture)[:, :, 3]
    assert alpha.any(axis=0)[[0, -1]].all()
    assert alpha.any(axis=1)[[0, -1]].all()
    assert min(cutout.picture.size) >= 28


@pytest.mark.parametrize(
    ("options", "named"),
    [({"sides": (280, 140)}, "sides"), ({"sides": (100, 280)}, "sides"), ({"sides": (140, 5000)}, "sides"),
     ({"turns": (0, 2)}, "turns"), ({"absent_share": 1.5}, "absent_share"), ({"sprite": 3}, "sprite")],
)  # fmt: skip
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValidationError, match=named):
        ScenesConfig(**options)
