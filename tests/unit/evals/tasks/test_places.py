# SPDX-License-Identifier: Apache-2.0
"""Tasks of boxes, points and counts: tiny copies in each stated layout."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.task import Answered, CoordinateFrame, Scored
from finesight.evals.tasks.grounding.places import mask_of, run_lengths_of
from finesight.geometry import Size
from tests.support.benchmark_copies import (
    as_json,
    cell,
    check_whole,
    items,
    parquet,
    save,
    words,
)

REFCOCO = [task for name, task in registry.tasks().items() if name.startswith("refcoco")]


@pytest.mark.parametrize("task", REFCOCO, ids=lambda task: task.name)
def test_refcoco(tmp_path, task):
    folder = task.layout.split()[2]
    split = task.title.split()[-1]
    rows = [
        {
            "question_id": str(n),
            "image": cell(n),
            "answer": [f"cup {n}", f"the {n}th cup"],
            "bbox": [5.0 * n, 2.0, 5.0, 20.0],
            "file_name": f"{n}.jpg",
        }
        for n in range(4)
    ]
    parquet(tmp_path / folder / "data" / f"{split}-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert len(asked) == 8
    assert words(asked[0]) == (
        "[]Locate cup 0 in this image and output the bbox coordinates in JSON format."
    )
    assert asked[2].truth["box"] == [5.0, 2.0, 10.0, 22.0]
    assert asked[2].cluster == asked[3].cluster
    assert task.score([0, 0, 10, 5], {"box": [0, 0, 10, 10]}) == {"hit": 1.0, "iou": 0.5}
    assert task.score([5, 5, 15, 15], {"box": [0, 0, 10, 10]})["hit"] == 0.0


def test_boxes_are_brought_home_from_what_the_model_saw(tmp_path):
    task = registry.task("refcoco_val")
    frame = CoordinateFrame("resized", Size(64, 48), Size(56, 56))
    read = task.extractors[0].read(Answered('{"bbox_2d": [28, 28, 56, 56]}', {}, (frame,)))
    assert read == pytest.approx([32, 24, 64, 48])


def coco(folder, names, boxes):
    """Two pictures; `boxes` are (picture, category, x, y, width, height)."""
    save(folder / "a.png", 1)
    save(folder / "b.png", 2)
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": p, "category_id": c, "bbox": list(box)}
            for n, (p, c, *box) in enumerate(boxes)
        ],
    }
    as_json(folder / "annotations_without_background.json", content)


def test_odinw13(tmp_path):
    task = registry.task("odinw13")
    boxes = [(1, 1, 5, 5, 10, 10), (1, 2, 30, 20, 12, 8), (2, 1, 40, 2, 9, 20)]
    coco(tmp_path / "Aquarium" / "v2" / "test", ["things", "fish", "shark"], boxes)
    coco(tmp_path / "Pothole" / "valid", ["hole"], [(1, 0, 1, 1, 30, 30)])
    asked = items(task, tmp_path)
    assert [item.id for item in asked] == [
        "Aquarium/a.png/fish",
        "Aquarium/a.png/shark",
        "Aquarium/b.png/fish",
        "Aquarium/b.png/shark",
        "pothole/a.png/hole",
        "pothole/b.png/hole",
    ]
    assert words(asked[0]) == (
        "[]Locate every fish in the image and output the coordinates in JSON format."
    )
    from finesight.evals.core.self_check import check_task

    for prompt in range(2):
        found = check_task(task, items(task, tmp_path, prompt))
        assert found.failures == ()
        assert (found.oracle, found.empty) == (pytest.approx(1.0), 0.0)
        assert found.shuffled < 0.2
    assert words(items(task, tmp_path, 1)[0]).startswith(
        "[]Locate every instance that belongs to the following categories: 'fish, shark'."
    )


def test_odinw13_gives_the_known_precision_for_one_of_two_boxes(tmp_path):
    task = registry.task("odinw13")
    coco(tmp_path / "Raccoon" / "test", ["raccoon"], [(1, 0, 0, 0, 20, 20), (1, 0, 40, 20, 20, 20)])
    asked = items(task, tmp_path)
    parsed = [["anything", [0, 0, 20, 20]]]
    metrics = task.aggregate(
        [Scored(item=asked[0], parsed=parsed, parts={}), Scored(item=asked[1], parsed=[], parts={})]
    )
    assert metrics["map"] == 0.505
    assert metrics["f1"] == pytest.approx(2 / 3)
    with pytest.raises(EvalError, match="holds none of AerialMaritimeDrone"):
        items(task, tmp_path / "Raccoon")


def test_masks_survive_as_numbers():
    for mask in (np.eye(5, 7) > 0, np.ones((2, 3)) > 0, np.zeros((3, 2)) > 0):
        assert (mask_of(run_lengths_of(mask)) == mask).all()


def test_point_grounding(tmp_path):
    task = registry.task("point_grounding")
    masks = np.zeros((4, 48, 64), dtype=bool)
    for n in range(4):
        masks[n, 10:20, 15 * n : 15 * n + 10] = True
    rows = [
        {
            "id": str(n),
            "label": f"cup {n}",
            "image": cell(n),
            "points": [{"x": (15 * k + 5) / 0.64, "y": 15 / 0.48} for k in range(n, 4) if n < 3],
            "masks": [masks[k].tolist() for k in range(n, 4) if n < 3],
        }
        for n in range(4)
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    asked = items(task, tmp_path)
    assert [len(item.truth["points"]) for item in asked] == [4, 3, 2, 0]
    assert words(asked[0]) == (
        "[]point to every cup 0 in the image, output its coordinates in JSON format"
    )
    check_whole(task, tmp_path, shuffled=0.5)
    scores = task.score([[20, 15], [1, 1]], asked[1].truth)
    assert scores["precision"] == 0.5
    assert scores["recall"] == pytest.approx(1 / 3)


def test_point_bench(tmp_path):
    task = registry.task("point_bench")
    rows = []
    for n, category in enumerate(("spatial", "affordance", "counting", "counting")):
        save(tmp_path / "images" / category / f"{n}.jpg", n)
        mask = np.zeros((48, 64), dtype=np.uint8)
        mask[5:15, 15 * n : 15 * n + 10] = 255
        (tmp_path / "masks" / category).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / category / f"{n}.png")
        rows.append(
            {
                "image_filename": f"{n}.jpg",
                "mask_filename": f"{n}.png",
                "category": category,
                "user_input": "Point to the cup.",
                "count": n,
            }
        )
    as_json(tmp_path / "data.json", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert task.score([[32, 10], [1, 1]], asked[2].truth) == {"correct": 0.0, "inside": 0.5}
    assert task.score([[32, 10], [33, 10]], asked[2].truth) == {"correct": 1.0, "inside": 1.0}
    assert task.score([[2, 10], [60, 40]], asked[0].truth)["correct"] == 1.0


def test_countbench(tmp_path):
    task = registry.task("countbench")
    rows = [
        {"image": cell(n), "question": "How many cups?", "number": n + 2, "text": f"{n} cups"}
        for n in range(4)
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert "cups?" in words(asked[0])
    assert "0 cups" not in words(asked[0])
    read = task.extractors[0].read
    parsed = [read(Answered(text, {})) for text in ("There are 3.", "three", '[{"n": 9}] so 4', "")]
    assert parsed == [3, 3, 4, None]
    metrics = task.aggregate(
        [
            Scored(item=item, parsed=3, parts=task.score(3, item.truth))
            for item in asked  # 2, 3, 4 and 5
        ]
    )
    assert metrics["accuracy"] == 0.25
    assert metrics["within_one"] == 0.75
    assert metrics["mean_absolute_error"] == 1.0
