# SPDX-License-Identifier: Apache-2.0
"""The report shows numbers beside published ones and wrong answers as pictures, and lets nothing through."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from finesight.conversation import Conversation, Message, TextPart, VideoPart
from finesight.errors import EvalError
from finesight.evals.core.journal import read_samples
from finesight.evals.core.responders import Baseline
from finesight.evals.core.run import run
from finesight.evals.core.task import Extractor
from finesight.evals.report.failures import is_wrong, shapes_in, wrong
from finesight.evals.report.report import needed_items, write_report
from finesight.geometry import Box, Point
from tests.support.clips import numbered, write_clip
from tests.support.toy_eval import PROMPT, TOY, item

EVIL = """</pre><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7 * 7 }}"'"""


def go(folder, text_of, items=None, task=TOY):
    responder = Baseline("model", text_of)
    asked = map(item, range(5)) if items is None else items
    run(task, PROMPT, asked, responder, folder=folder, space="original")
    return folder


def page_of(tmp_path, *folders, **options):
    path = tmp_path / "out" / "page.html"
    write_report(path, folders, **options)
    return path.read_text()


def pictures_in(page):
    coded = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in coded]


def test_numbers_stand_beside_published_ones(tmp_path):
    right = go(tmp_path / "a", lambda each: each.truth["answer"])
    text = re.sub(r"<[^>]+>|\s+", " ", page_of(tmp_path, right))
    text = " ".join(text.split())
    assert "model 100.00 100.00 – 100.00 Qwen2.5-VL-7B 58.6 random answers 33.33" in text
    assert "numbers &lt;only&gt;" in text
    assert "By kind kind accuracy n even 100.00 3 odd 100.00 2" in text
    assert "What is" not in text  # nothing was wrong


def test_several_runs_have_an_overview(tmp_path):
    folders = [go(tmp_path / name, lambda each: "2") for name in ("a", "b")]
    page = page_of(tmp_path, *folders)
    assert page.count('<td dir="auto">toy</td>') == 2
    assert "answered by" in page


def test_everything_is_escaped(tmp_path):
    bad = replace(item(1), id=EVIL, tags={EVIL: EVIL}, truth={"answer": EVIL})
    page = page_of(tmp_path, go(tmp_path / "a", lambda each: EVIL, [bad]), title=EVIL)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "{{ 7 * 7 }}" in page
    assert "default-src 'none'" in page


def boxes_task():
    rule = Extractor("box", "1", lambda answered: [[10.0, 10.0, 50.0, 50.0]])
    return replace(TOY, extractors=(rule,), score=lambda parsed, truth: {"hit": 0.0})


def boxed(number, source):
    truth = {"answer": "x", "boxes": [[100, 100, 1900, 900]]}
    return replace(item(number, image=source), truth=truth)


def test_gold_and_predicted_boxes_are_drawn(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (2000, 1000), (255, 255, 255)).save(path)
    folder = go(tmp_path / "a", lambda each: "b", [boxed(1, path)], boxes_task())
    (picture,) = pictures_in(page_of(tmp_path, folder))
    assert picture.size == (640, 320)
    colours = {picture.convert("RGB").getpixel((x, 160)) for x in range(28, 38)}
    assert any(min(colour) < 150 for colour in colours)  # the left edge of the gold box


def test_pictures_in_memory_come_from_the_copy(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, format="png")
    asked = boxed(1, buffer.getvalue())
    folder = go(tmp_path / "a", lambda each: "b", [asked], boxes_task())
    page = page_of(tmp_path, folder)
    assert pictures_in(page) == []
    assert "not shown" in page
    assert needed_items(folder) == {"q1"}
    page = page_of(tmp_path, folder, items={("toy", "q1"): asked})
    assert len(pictures_in(page)) == 1


def filmed(source, **options):
    part = VideoPart(source=source, **options)
    return replace(item(1), conversation=Conversation((Message("user", (part, TextPart("?"))),)))


def test_a_video_is_shown_by_its_frames_and_their_times(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, numbered(60, width=160, height=90), fps=10)
    asked = filmed(path, fps=4.0, start_seconds=2.0)
    folder = go(tmp_path / "a", lambda each: "none", [asked])
    page = page_of(tmp_path, folder, items={("toy", "q1"): asked})
    assert f"{path} (9 of the 16 frames that were asked about)" in page
    (sheet,) = pictures_in(page)
    assert sheet.width == 960
    page = page_of(tmp_path, folder)
    assert f"{path} (8 frames of the file; those that were asked about need the copy)" in page
    assert len(pictures_in(page)) == 1
    path.write_bytes(b"no video")
    page = page_of(tmp_path, folder)
    assert "(not shown: " in page
    assert pictures_in(page) == []


def test_a_list_of_frames_is_shown_too(tmp_path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (64, 48), (80 * number, 0, 0)).save(paths[-1])
    asked = filmed(tuple(paths), timestamps=(0.0, 5.0, 9.5))
    folder = go(tmp_path / "a", lambda each: "none", [asked])
    page = page_of(tmp_path, folder, items={("toy", "q1"): asked})
    assert "(4 of the 4 frames that were asked about)" in page


def test_wrong_answers_are_spread_over_the_run(tmp_path):
    folder = go(tmp_path / "a", lambda each: "none", [item(n) for n in range(100)])
    shown = wrong(read_samples(folder), most=4)
    assert [sample.id for sample in shown] == ["q0", "q25", "q50", "q75"]
    assert page_of(tmp_path, folder).count("<h3>Answer</h3>") == 24


def test_parts_that_are_errors_lose_no_mark_when_they_are_none(tmp_path):
    folder = go(tmp_path / "a", lambda each: "a", [item(0)])
    (sample,) = read_samples(folder)

    def of(**parts):
        return is_wrong(replace(sample, error=None, parts=parts), higher_is_better=True)

    assert not of(correct=1.0, near=1.0, error=0.0)  # a count that is right is off by none
    assert not of(hit=1.0, wrong_format=0.0)
    assert of(hit=0.0, wrong_format=0.0)
    assert is_wrong(replace(sample, error="engine"), higher_is_better=True)
    assert is_wrong(replace(sample, parts={"cer": 0.1}), higher_is_better=False)


def test_shapes_are_found_in_any_nesting():
    value = {"boxes": [{"label": "a", "box": [1, 2, 3, 4]}], "rest": [9, 9]}
    assert list(shapes_in(value)) == [Box(1, 2, 3, 4)]
    assert list(shapes_in([[1, 2], [3, 4, 5, 6]])) == [Point(1, 2), Box(3, 4, 5, 6)]
    assert list(shapes_in({"cat": [[1, 2, 3, 4]]})) == [Box(1, 2, 3, 4)]
    assert list(shapes_in([["cat", [1, 2, 3, 4]]])) == [Box(1, 2, 3, 4)]
    assert list(shapes_in("1234")) == list(shapes_in(None)) == list(shapes_in([1, "a"])) == []


def test_a_folder_without_a_result_is_refused(tmp_path):
    with pytest.raises(EvalError, match=r"holds no result\.json"):
        page_of(tmp_path, tmp_path)
