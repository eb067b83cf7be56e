# SPDX-License-Identifier: Apache-2.0
"""`finesight locate` with checks and `finesight inspect`, with the embedded model and without one."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import finesight
from finesight.apps.grounding.records import Located
from finesight.errors import ConfigError
from finesight.geometry import Box
from tests.support.app_responders import Oracle
from tests.support.grounding import Knows, scene

SHAPES = Path(__file__).parents[2] / "examples" / "media" / "shapes.png"
POINT_ACCURACY = 0.717
"""Of the embedded model on held-out drawings, row `point` of its report card."""


def test_things_are_counted_and_the_count_is_checked(finesight):
    outcome = finesight("locate", "red circle", "--count", "--image", SHAPES)
    assert (outcome.code, outcome.out) == (0, "3\tfound\tred circle\n"), outcome.err
    assert "red circle: found, 3 (3 sure, asked 3 beside 3)" in outcome.err


def test_lines_have_a_score_and_what_is_absent_is_said(finesight, tmp_path):
    words = ("--all", "--verify", "--also", "blue square", "--also", "yellow star")
    files = ("--export", "coco", "--export", "yolo", "--out", "out", "--save-overlay", "marked")
    outcome = finesight(
        "locate", "red circle", *words, *files, "--image", SHAPES, "--report", "r.html"
    )
    assert outcome.code == 0, outcome.err
    rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert [row[4] for row in rows] == ["red circle"] * 3 + ["blue square"]
    assert all(float(row[5]) > 0.9 for row in rows)
    assert "yellow star: absent, 0 (0 sure)" in outcome.err
    data = json.loads((tmp_path / "out" / "coco.json").read_text(encoding="utf-8"))
    assert [len(data[key]) for key in ("images", "annotations", "categories")] == [1, 4, 3]
    assert (tmp_path / "out" / "labels" / "shapes.txt").is_file()
    with Image.open(tmp_path / "marked" / "shapes.answer.png") as drawn:
        assert drawn.width >= 512
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == 1
    assert "absent" in page


def test_json_has_everything(finesight):
    outcome = finesight("locate", "blue square", "--verify", "--image", SHAPES, "--json")
    values = json.loads(outcome.out)
    (picture,) = values["pictures"]
    (phrase,) = picture["phrases"]
    assert (phrase["status"], phrase["count"]) == ("found", 1)
    assert picture["coverage"]["details"]["calls"] == 1
    assert (values["failed"], values["files"], values["model"]) == ([], [], "tiny")


def test_a_broken_picture_does_not_stop_the_others(finesight, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")
    (folder / "b.png").write_bytes(SHAPES.read_bytes())
    outcome = finesight("locate", "blue square", "--verify", "--image", "many", "--json")
    assert outcome.code == 1
    values = json.loads(outcome.out)
    assert [one["source"] for one in values["pictures"]] == ["many/b.png"]
    assert [one["source"] for one in values["failed"]] == ["many/a.png"]
    assert "1 of 2 pictures were not read to their end" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--export", "coco"), "--export needs --out DIR"),
        (("--out", "x"), "--out has no effect without --export"),
        (("--count", "--out", "x"), "--out has no effect without --export"),
        (("--max-calls", "2"), "--max-calls has no effect on a single question"),
        (("--max-calls", "2", "--tile", "off"), "--max-calls has no effect with --tile off"),
        (("--as", "point", "--export", "yolo", "--out", "x"), "--export yolo has only boxes"),
        (("--tile", "some"), 'it is "auto", "off", or a side'),
        (("--tile", "40"), "a side of at least 112"),
        (("--tile", "-3"), "tile is"),
        (("--count", "--min-pixels", "90000", "--max-pixels", "20000"), "exceeds max_pixels"),
        (("--count", "--image", "gone.png"), "gone.png"),
    ],
)
def test_wrong_use_is_said(finesight, words, said):
    outcome = finesight("locate", "x", "--image", SHAPES, *words)
    assert outcome.code in (1, 2)
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_points_in_a_format_of_boxes_are_refused_before_the_model_is_opened(finesight):
    words = ("--as", "point", "--count", "--export", "label-studio", "--export", "coco")
    outcome = finesight(
        "locate", "x", "--image", SHAPES, *words, "--out", "x", "--model", "no-such-model"
    )
    assert outcome.code == 2
    assert "--as point finds points, and --export coco has only boxes" in outcome.err


def test_results_are_printed_even_if_they_cannot_be_exported(finesight, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "coco.json").mkdir()  # a folder where the file goes
    words = ("--verify", "--export", "coco", "--out", "out")
    outcome = finesight("locate", "blue square", "--image", SHAPES, *words)
    assert outcome.code == 1
    assert "blue square" in outcome.out
    assert "coco.json" in outcome.err


def test_exports_are_imported_as_documented(finesight, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "shapes.png").write_bytes(SHAPES.read_bytes())
    words = ("--all", "--export", "coco", "--export", "yolo", "--out", "labels")
    exported = finesight("locate", "red circle", "--image", "pictures/shapes.png", *words)
    assert exported.code == 0, exported.err
    assert "note: pictures are not copied" in exported.err
    coco = finesight("data", "import", "labels/coco.json", "--media", ".", "--out", "coco")
    assert coco.code == 0, coco.err
    (tmp_path / "labels" / "images").mkdir()
    (tmp_path / "labels" / "images" / "shapes.png").write_bytes(SHAPES.read_bytes())
    yolo = finesight("data", "import", "labels", "--out", "yolo")
    assert yolo.code == 0, yolo.err
    assert all(list((tmp_path / name).glob("*.tar")) for name in ("coco", "yolo"))


def test_a_file_of_several_pages_has_a_note(finesight, tmp_path):
    with Image.open(SHAPES) as shapes:
        shapes.save(tmp_path / "two.tif", save_all=True, append_images=[shapes.rotate(90)])
    note = "note: two.tif: page 1 of 2 is shown; --pages 1-2"
    assert note in finesight("locate", "blue square", "--verify", "--image", "two.tif").err
    words = ("--set", "checks.price.least=0", "--image", "two.tif")
    assert note in finesight(*SHELF, *words).err
    both = finesight("locate", "blue square", "--verify", "--image", "two.tif", "--pages", "1-2")
    assert "is shown" not in both.err


SHELF = ("inspect", "shelf", "--set", "checks.product.phrase=red circle")


def test_an_inspection_ends_with_the_code_of_its_verdict(finesight, tmp_path):
    words = (*SHELF, "--image", SHAPES, "--report", "r.html", "--sarif", "r.sarif")
    wrong = finesight(*words)
    assert wrong.code == 3, wrong.err
    assert "fail\tlow\tprice\t0 price tag; 1 or more pass" in wrong.out
    assert "shapes.png: fail" in wrong.err
    assert "price tag" in (tmp_path / "r.html").read_text(encoding="utf-8")
    (run,) = json.loads((tmp_path / "r.sarif").read_text(encoding="utf-8"))["runs"]
    (alert,) = run["results"]
    assert (alert["ruleId"], alert["level"]) == ("price", "note")
    assert alert["message"]["text"].startswith("fail: 0 price tag")
    right = finesight(*words, "--set", "checks.price.least=0", "--json")
    assert right.code == 0, right.err
    (picture,) = json.loads(right.out)["pictures"]
    assert picture["verdict"] == "pass"
    (run,) = json.loads((tmp_path / "r.sarif").read_text(encoding="utf-8"))["runs"]
    assert run["results"] == []
    assert picture["findings"][0]["value"] == 3


def test_an_inspection_can_be_printed_changed_and_used(finesight, tmp_path):
    shown = finesight("inspect", "perimeter", "--show", "--set", "checks.people.most=2")
    assert (shown.code, shown.err) == (0, "")
    (tmp_path / "mine.toml").write_text(shown.out, encoding="utf-8")
    assert finesight("inspect", "mine.toml", "--show").out == shown.out
    assert "most = 2" in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pppe", "--image", SHAPES), "there is no inspection 'pppe'"),
        (("ppe",), "there is no picture to inspect"),
        (("leftover_object", "--image", SHAPES), "give --reference FILE"),
        (("leftover_object", "--image", SHAPES, "--reference", "gone.png"), "gone.png"),
        (("ppe", "--image", SHAPES, "--set", "checks.helmet.colour=red"), "checks.helmet"),
        (("missing.toml", "--image", SHAPES), "missing.toml"),
        (("ppe", "--image", SHAPES, "--reference", SHAPES), "no check of ppe compares"),
        (
            ("label_check", "--image", SHAPES, "--set", 'checks.product.pattern="(("'),
            "--set: checks.product.pattern",
        ),
    ],
)
def test_wrong_inspections_are_said(finesight, words, said):
    outcome = finesight("inspect", *words)
    assert outcome.code in (1, 2)
    assert said in outcome.err + getattr(outcome, "hint", "")
    assert "Traceback" not in outcome.err


def test_the_python_door_takes_any_responder():
    drawn = scene(1, size=(700, 500), counts={"red square": 6}, sides=(30, 80), gap=20)
    responder = Oracle(Knows(drawn))
    located = finesight.locate("red square", drawn.pixels, model=responder, all_=True, tile="off")
    assert isinstance(located, Located)
    assert located.sought[0].count == 6
    arrays = located.to_supervision()
    assert np.array(arrays["xyxy"]).shape == (6, 4)
    assert set(arrays["data"]["class_name"]) == {"red square"}
    with pytest.raises(ConfigError, match="does not take system"):
        finesight.locate("red square", drawn.pixels, model=responder, count=True, system="x")
    with pytest.raises(ConfigError, match="there is no picture"):
        finesight.locate("red square", count=True)


def test_the_python_door_still_answers_a_plain_question(tiny_model_folder, picture):
    answer = finesight.locate("red square", picture, model=tiny_model_folder, max_new_tokens=4)
    assert isinstance(answer, finesight.Answer)


def test_the_python_door_refuses_a_reference_that_no_check_compares_with():
    with pytest.raises(ConfigError, match="reference has no effect"):
        finesight.inspect("shelf", str(SHAPES), reference=str(SHAPES))


def test_the_python_door_inspects(tmp_path):
    (inspected,) = finesight.inspect(
        "shelf",
        str(SHAPES),
        overrides=["checks.product.phrase=blue square", "checks.price.least=0"],
        sarif=tmp_path / "found.sarif",
    )
    assert inspected.verdict == "pass"
    assert len(inspected.things) == 1
    (found,) = json.loads((tmp_path / "found.sarif").read_text())["runs"]
    assert found["results"] == []
    assert {rule["id"] for rule in found["tool"]["driver"]["rules"]} >= {"product", "price"}


COLOURS = {"red": (214, 40, 40), "blue": (30, 70, 200), "green": (20, 150, 60)}
KINDS = ("circle", "square", "triangle")


def shapes_scene(rng, side=280):
    """A white picture with four shapes of different names, and their boxes."""
    picture = Image.new("RGB", (side, side), "white")
    draw, boxes = ImageDraw.Draw(picture), {}
    names = rng.sample([f"{colour} {kind}" for colour in COLOURS for kind in KINDS], 4)
    for place, name in enumerate(names):
        colour, kind = name.split()
        size = rng.randint(44, 70)
        x = rng.randint(8, side // 2 - size - 8) + side // 2 * (place % 2)
        y = rng.randint(8, side // 2 - size - 8) + side // 2 * (place // 2)
        corners = (x, y, x + size, y + size)
        if kind == "circle":
            draw.ellipse(corners, fill=COLOURS[colour])
        elif kind == "square":
            draw.rectangle(corners, fill=COLOURS[colour])
        else:
            draw.polygon(
                [(x, y + size), (x + size, y + size), (x + size / 2, y)], fill=COLOURS[colour]
            )
        boxes[name] = Box(*corners)
    return picture, boxes


def share_found(scenes, **options):
    """The share of things whose box has its middle in the right one."""
    hits = total = 0
    for picture, boxes in scenes:
        located = finesight.locate(list(boxes), picture, all_=True, **options)
        for one in located.sought:
            total += 1
            hits += any(boxes[one.phrase].contains(thing.center) for thing in one.things)
    return hits / total


@pytest.mark.slow
def test_the_embedded_model_finds_as_on_its_report_card_and_tiles_are_no_worse():
    rng = random.Random(5)
    scenes = [shapes_scene(rng) for _ in range(12)]
    small = share_found(scenes, tile="auto")
    mosaics = []
    for start in range(
        0, 12, 2
    ):  # two scenes side by side have more pixels than the model is shown
        (left, one), (right, other) = scenes[start : start + 2]
        wide = Image.new("RGB", (560, 280), "white")
        wide.paste(left, (0, 0))
        wide.paste(right, (280, 0))
        moved = {n: Box(b.x1 + 280, b.y1, b.x2 + 280, b.y2) for n, b in other.items()}
        both = {n: b for n, b in {**one, **moved}.items() if (n in one) != (n in moved)}
        mosaics.append((wide, both))
    tiled, whole = (share_found(mosaics, tile=tile) for tile in ("auto", "off"))
    sys.stdout.write(
        f"scenes {small:.3f}; two side by side: tiled {tiled:.3f}, not tiled {whole:.3f}\n"
    )
    assert small >= POINT_ACCURACY
    assert tiled >= whole
    assert tiled >= POINT_ACCURACY
