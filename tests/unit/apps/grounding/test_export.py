# SPDX-License-Identifier: Apache-2.0
"""Every export is read back by a reader that is not ours, or by the arithmetic of its format."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import yaml
from PIL import Image

from finesight.apps.evidence import Coverage, Evidence, Score
from finesight.apps.grounding import export
from finesight.apps.grounding.records import Located, Sought, Thing
from finesight.data.formats import yolo as yolo_reader
from finesight.data.formats.draft import Draft
from finesight.errors import AppError
from finesight.geometry import Box, Point, Size

BOXES = {
    "a.png": {"cat": [(10.25, 20.5, 110, 90), (200, 5, 319.5, 239)], "dog": [(0, 0, 50, 60)]},
    "b/a.png": {"dog": [(30, 40, 640, 480)], "cat": []},
}
SIZES = {"a.png": Size(320, 240), "b/a.png": Size(640, 480)}


def thing(label, numbers, score=0.75):
    return Thing(
        label=label,
        evidence=Evidence(box=Box(*numbers), match="visual"),
        score=Score(score, "logprob"),
    )


@pytest.fixture
def pictures():
    return [
        Located(
            source=source,
            size=SIZES[source],
            sought=tuple(
                Sought(phrase=name, status="found", things=tuple(thing(name, one) for one in boxes))
                for name, boxes in found.items()
            ),
            coverage=Coverage(unit="tiles", total=1, seen=(0,)),
        )
        for source, found in BOXES.items()
    ]


def truth(source):
    return [(name, box) for name, boxes in BOXES[source].items() for box in boxes]


def near(found, wanted):
    assert len(found) == len(wanted)
    for (name, box), (real_name, real) in zip(sorted(found), sorted(wanted), strict=True):
        assert name == real_name
        assert max(abs(one - other) for one, other in zip(box, real, strict=True)) <= 0.5


def test_pycocotools_reads_both_forms(pictures, tmp_path):
    coco = pytest.importorskip("pycocotools.coco").COCO
    written = export.write(pictures, tmp_path, ["coco", "coco-results"])
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco(str(written[0]))
        results = data.loadRes(str(written[1]))
    names = {each["id"]: each["name"] for each in data.loadCats(data.getCatIds())}
    for read in (data, results):
        for image in read.loadImgs(read.getImgIds()):
            rows = read.loadAnns(read.getAnnIds(imgIds=image["id"]))
            found = [
                (names[row["category_id"]], (x, y, x + w, y + h))
                for row in rows
                for x, y, w, h in [row["bbox"]]
            ]
            near(found, truth(image["file_name"]))
            assert all(row["score"] == 0.75 for row in rows)


def test_average_precision_of_the_results_against_the_truth_is_one(pictures, tmp_path):
    evaluation = pytest.importorskip("pycocotools.cocoeval").COCOeval
    coco = pytest.importorskip("pycocotools.coco").COCO
    written = export.write(pictures, tmp_path, ["coco", "coco-results"])
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco(str(written[0]))
        run = evaluation(data, data.loadRes(str(written[1])), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    assert run.stats[0] == pytest.approx(1.0)


def test_yolo_is_a_data_set(pictures, tmp_path):
    export.write(pictures, tmp_path, ["yolo"])
    (tmp_path / "images").mkdir()
    for name, source in (("a.png", "a.png"), ("a-2.png", "b/a.png")):
        size = SIZES[source]
        Image.new("RGB", (size.width, size.height)).save(tmp_path / "images" / name)
    config = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert config["names"] == {0: "cat", 1: "dog"}
    rows = list(yolo_reader.read_folder(tmp_path / "data.yaml", {}))
    assert [type(draft) for _, draft in rows] == [Draft, Draft]
    for stem, source in (("a", "a.png"), ("a-2", "b/a.png")):
        size = SIZES[source]
        found = []
        for line in (tmp_path / "labels" / f"{stem}.txt").read_text(encoding="utf-8").splitlines():
            kind, x, y, w, h = map(float, line.split())
            edges = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            scales = (size.width, size.height) * 2
            found.append(
                (
                    config["names"][int(kind)],
                    tuple(e * s for e, s in zip(edges, scales, strict=True)),
                )
            )
        near(found, truth(source))


def test_yolo_predictions_have_the_score():
    located = Located(
        source="a.png",
        size=Size(100, 100),
        sought=(Sought(phrase="cat", status="found", things=(thing("cat", (0, 0, 50, 50)),)),),
        coverage=Coverage(unit="tiles", total=1, seen=(0,)),
    )
    text = export.yolo(located, ["cat"], with_scores=True)
    assert text == "0 0.250000 0.250000 0.500000 0.500000 0.750000\n"


def test_label_studio_has_percent_of_the_original(pictures, tmp_path):
    (path,) = export.write(pictures, tmp_path, ["label-studio"])
    for task in json.loads(path.read_text(encoding="utf-8")):
        (prediction,) = task["predictions"]
        found = []
        for region in prediction["result"]:
            assert (region["type"], region["from_name"], region["to_name"]) == (
                "rectanglelabels", "label", "image",
            )  # fmt: skip
            value, width, height = (
                region["value"],
                region["original_width"],
                region["original_height"],
            )
            x, y = value["x"] * width / 100, value["y"] * height / 100
            w, h = value["width"] * width / 100, value["height"] * height / 100
            assert value["rotation"] == 0
            (name,) = value["rectanglelabels"]
            found.append((name, (x, y, x + w, y + h)))
        near(found, truth(task["data"]["image"]))
        assert prediction["score"] == 0.75


def test_fiftyone_has_shares(pictures, tmp_path):
    (path,) = export.write(pictures, tmp_path, ["fiftyone"])
    for sample in json.loads(path.read_text(encoding="utf-8")):
        size = SIZES[sample["filepath"]]
        found = []
        for one in sample["predictions"]:
            x, y, w, h = one["bounding_box"]
            scales = (size.width, size.height) * 2
            edges = (x, y, x + w, y + h)
            found.append((one["label"], tuple(e * s for e, s in zip(edges, scales, strict=True))))
            assert one["confidence"] == 0.75
        near(found, truth(sample["filepath"]))


def test_voc_counts_pixels_from_one(pictures, tmp_path):
    written = export.write(pictures, tmp_path, ["voc"])
    assert [path.name for path in written] == ["a.xml", "a-2.xml"]
    for path, source in zip(written, BOXES, strict=True):
        root = ElementTree.parse(path).getroot()
        assert int(root.findtext("size/width")) == SIZES[source].width
        found = []
        for one in root.iter("object"):
            x1, y1, x2, y2 = (
                int(one.findtext(f"bndbox/{n}")) for n in ("xmin", "ymin", "xmax", "ymax")
            )
            found.append((one.findtext("name"), (x1 - 1, y1 - 1, x2, y2)))
        near(found, truth(source))


def test_voc_has_no_box_of_less_than_a_pixel(pictures):
    thing = pictures[0].things[0]
    thin = replace(thing, evidence=replace(thing.evidence, box=Box(5.6, 5.6, 6.3, 6.3)))
    one = replace(pictures[0], sought=(replace(pictures[0].sought[0], things=(thin,)),))
    edges = ElementTree.fromstring(export.voc(one)).find("object/bndbox")
    assert [int(edge.text) for edge in edges] == [7, 7, 7, 7]


def test_many_pictures_may_have_one_name(pictures):
    named = [replace(pictures[0], source=f"{index}/a.png") for index in range(5000)]
    taken = replace(pictures[0], source="a-2.png")
    assert export.stems([*named[:2], taken, named[2]]) == ["a", "a-2", "a-2-2", "a-3"]
    assert export.stems(named)[-1] == "a-5000"


def test_arrays_for_supervision(pictures):
    arrays = pictures[0].to_supervision()
    assert [tuple(row) for row in arrays["xyxy"]] == [box for _, box in truth("a.png")]
    assert arrays["class_id"] == [0, 0, 1]
    assert arrays["confidence"] == [0.75] * 3
    assert arrays["data"] == {"class_name": ["cat", "cat", "dog"]}


def test_what_a_format_cannot_hold_is_an_error(tmp_path):
    def one(found):
        return Located(
            source="a.png",
            size=Size(100, 50),
            sought=(Sought(phrase="cat", status="found", things=(found,)),),
            coverage=Coverage(unit="tiles", total=1, seen=(0,)),
        )

    point = Thing(label="cat", evidence=Evidence(point=Point(25, 25)))
    for name in set(export.FORMATS) - {"label-studio"}:
        with pytest.raises(AppError, match="is a point"):
            export.write([one(point)], tmp_path, [name]) if name != "coco-results" else export.coco(
                [one(point)]
            )
    (task,) = export.label_studio([one(point)])
    (region,) = task["predictions"][0]["result"]
    assert (region["value"]["x"], region["value"]["y"]) == (25.0, 50.0)
    with pytest.raises(AppError, match="has no score"):
        export.coco_results([one(Thing(label="cat", evidence=Evidence(box=Box(0, 0, 5, 5))))])
