# SPDX-License-Identifier: Apache-2.0
"""Tasks of many kinds of answers: tiny copies of OCRBench v2, CC-OCR, OmniDocBench, MathVerse and MegaBench."""

from __future__ import annotations

import json

import pytest

from finesight.conversation import Conversation
from finesight.evals.core import registry
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.self_check import check_task
from finesight.evals.core.task import Answered, Item, Scored
from finesight.evals.tasks.mega import mega_bench
from finesight.evals.tasks.reading import omnidocbench
from tests.support.benchmark_copies import (
    as_json,
    cell,
    check_whole,
    items,
    named,
    parquet,
    save,
    text64,
    tsv,
    words,
)

ENGLISH = (
    {"type": "text recognition en", "answers": ["Wembley"]},
    {"type": "text grounding en", "answers": [50, 50, 150, 150]},
    {"type": "VQA with position en", "answers": ["tea"], "bbox": [1, 2, 300, 400]},
    {"type": "key information extraction en", "answers": ["{'total': '5.00', 'shop': 'Elm'}"]},
    {"type": "text counting en", "answers": ["10"], "eval": "regression"},
    {"type": "table parsing en", "answers": ["<table><tr><td>a</td><td>b</td></tr></table>"]},
    {"type": "full-page OCR en", "answers": ["the quick brown fox jumps over the lazy dog"]},
    {"type": "science QA en", "answers": ["B"], "eval": "multiple choice"},
    {
        "type": "text spotting en",
        "answers": ["x"],
        "bbox": [[10, 10, 60, 10, 60, 30, 10, 30]],
        "content": ["Exit"],
    },
)
CHINESE = (
    {"type": "cognition VQA cn", "answers": ["北京"]},
    {"type": "formula recognition cn", "answers": ["x ^ { 2 }"]},
    {"type": "text translation cn", "answers": ["the red fox sees a small dog"]},
    {"type": "document parsing cn", "answers": ["# 题\n甲\n乙"]},
)


@pytest.mark.parametrize(
    "task", named("ocrbench_v2_en", "ocrbench_v2_cn"), ids=lambda task: task.name
)
def test_ocrbench_v2(tmp_path, task):
    rows = []
    for n, row in enumerate(ENGLISH + CHINESE):
        path = save(tmp_path / "images" / f"{n}.png", n)
        rows.append({"id": n, "question": "?", "image_path": f"images/{path.name}", **row})
    as_json(tmp_path / "OCRBench_v2.json", rows)
    asked = items(task, tmp_path)
    assert len(asked) == (len(ENGLISH) if task.main == "en" else len(CHINESE))
    found = check_task(task, asked)
    assert found.failures == ()
    assert found.oracle == pytest.approx(1.0, abs=0.02)
    assert found.shuffled < 0.45  # an outline of three lines is like any other
    assert found.empty == 0.0
    metrics = task.aggregate([Scored(item=one, parsed="", parts={"score": 1.0}) for one in asked])
    assert metrics[task.main] == metrics[f"{task.main}_by_sample"] == 1.0


def test_ocrbench_v2_from_parquet_with_lists_as_text(tmp_path):
    rows = [
        {
            "id": "1",
            "question": "Where?",
            "type": "VQA with position en",
            "answers": "['tea']",
            "bbox": "[1, 2, 300, 400]",
            "image": cell(),
        }
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    task = registry.task("ocrbench_v2_en")
    asked = items(task, tmp_path)
    assert asked[0].truth["bbox"] == [1, 2, 300, 400]
    assert check_task(task, asked).oracle == 1.0
    assert items(registry.task("ocrbench_v2_cn"), tmp_path) == []


CC_OCR = (
    ("multi_scene_ocr", "scene_text", "IC15", "OPEN all day!"),
    ("multi_scene_ocr", "scene_text", "zh_scene", "東京駅 出口"),
    ("multi_lan_ocr", "French", "French", "l'été"),
    ("doc_parsing", "table", "table_scan_eng", "<table><tr><td>a</td></tr></table>"),
    ("doc_parsing", "doc", "doc_scan_eng", "Alpha beta"),
    ("kie", "constrained_category", "CORD", '{"total": "5.00", "items": [{"n": "tea"}]}'),
    ("kie", "constrained_category", "CORD", '{"total": "7"}'),
    ("kie", "open_category", "COLD", '{"shop": "Elm"}'),
)


def _cc_ocr_row(n, track, kind, subset, answer):
    return {
        "index": n,
        "image_name": f"{n}.jpg",
        "question": f"read {n}",
        "answer": answer,
        "category": track,
        "l2-category": kind,
        "split": subset,
        "image": text64(n),
    }


def test_cc_ocr(tmp_path):
    task = registry.task("cc_ocr")
    tsv(tmp_path / "CCOCR.tsv", [_cc_ocr_row(n, *row) for n, row in enumerate(CC_OCR)])
    asked = check_whole(task, tmp_path, shuffled=0.2)
    assert asked[0].id == "multi_scene_ocr/IC15/0.jpg"
    assert task.score("day open", asked[0].truth)["score"] == pytest.approx(0.8)
    assert task.score("京都", asked[1].truth)["score"] == pytest.approx(2 / 7)
    assert task.score("", asked[5].truth) == {"score": 0.0, "right": 0.0, "wrong": 2.0}


def test_sets_of_cc_ocr_weigh_the_same_and_count_fields_together(tmp_path):
    task = registry.task("cc_ocr")
    tsv(tmp_path / "CCOCR.tsv", [_cc_ocr_row(n, *row) for n, row in enumerate(CC_OCR)])
    asked = items(task, tmp_path)
    said = ("open all day", "", "L'ÉTÉ", "", "Alpha", '{"total": "5.00"}', None, "no JSON")
    scored = [
        Scored(item=one, parsed=text, parts={} if text is None else task.score(text, one.truth))
        for one, text in zip(asked, said, strict=True)
    ]
    metrics = task.aggregate(scored)
    # one of two fields of the first, the field of the item that failed is missed: 2 / (2 + 2)
    assert metrics["score/subset/kie/CORD"] == pytest.approx(0.5)
    assert metrics["score/track/kie"] == pytest.approx(0.25)
    assert metrics["score/track/multi_scene_ocr"] == pytest.approx(0.5)
    assert metrics["score/track/multi_lan_ocr"] == pytest.approx(1.0)
    assert metrics["score/track/doc_parsing"] == pytest.approx(5 / 9 / 2)
    assert metrics["overall"] == pytest.approx((0.25 + 0.5 + 1.0 + 5 / 18) / 4)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("reading", "x", "IC15", "a"), "the track is 'reading'"),
        (("doc_parsing", "page", "x", "a"), "the kind of page is 'page'"),
        (("kie", "open_category", "x", "a: b"), "not JSON"),
    ],
)
def test_a_row_of_cc_ocr_that_no_rule_fits_is_broken(tmp_path, row, problem):
    tsv(tmp_path / "CCOCR.tsv", [_cc_ocr_row(0, *row)])
    (broken,) = items(registry.task("cc_ocr"), tmp_path)
    assert problem in broken.truth[BROKEN]


@pytest.mark.parametrize(
    "task", named("omnidocbench_en", "omnidocbench_zh"), ids=lambda task: task.name
)
def test_omnidocbench(tmp_path, task):
    texts = ("Alpha beta gamma.", "Quite another page here.", "甲乙丙丁戊", "己庚辛壬癸")
    pages = []
    for n, text in enumerate(texts):
        save(tmp_path / "images" / f"{n}.jpg", n)
        cells = f"<table><tr><td>{n}{text[:3]}</td></tr></table>"
        blocks = [
            {"category_type": "text_block", "order": 2, "text": text},
            {"category_type": "title", "order": 1, "text": f"{n}{n}{n}"},
            {"category_type": "table", "order": 3, "html": cells, "text": "no"},
            {"category_type": "equation_isolated", "order": 3.5, "latex": f"$$x^{n}={n}$$"},
            {"category_type": "table_caption", "order": 3.6, "text": "A caption"},
            {"category_type": "figure", "order": 4, "text": "unseen"},
            {"category_type": "text_block", "order": 5, "text": "unseen", "ignore": True},
        ]
        language = "english" if n < 2 else "simplified_chinese"
        info = {"image_path": f"{n}.jpg", "page_attribute": {"language": language}}
        pages.append({"layout_dets": blocks, "page_info": info})
    as_json(tmp_path / "OmniDocBench.json", pages)
    asked = items(task, tmp_path)
    assert len(asked) == 2
    found = check_task(task, asked)
    assert found.failures == ()
    assert (found.oracle, found.empty) == (0.0, 1.0)
    assert found.shuffled > 0.2
    text = asked[0].truth["oracle"]
    assert "unseen" not in text
    assert "A caption" not in text
    whole = task.score(f"```markdown\n# {text}\n\nA caption\n```", asked[0].truth)
    assert set(whole.values()) == {0.0}
    failed = task.aggregate([Scored(item=asked[0], parsed=None, parts={}, error="x")])
    assert failed == {
        "edit_distance": 1.0,
        "text_distance": 1.0,
        "formula_distance": 1.0,
        "table_distance": 1.0,
        "order_distance": 1.0,
        "teds": 0.0,
        "teds_structure": 0.0,
        "extra": 0.0,
        "edit_distance/source/other": 1.0,
    }


def test_pages_of_omnidocbench_count_for_what_they_have(tmp_path):
    task = registry.task("omnidocbench_en")
    text = {"blocks": [["text", "one two three"]]}
    both = {"blocks": [["text", "one two three"], ["formula", "x=1"]]}
    said = ["one two three", "one two three\n\n\\[ y=1 \\]"]
    scored = [
        Scored(
            item=Item(id=str(n), conversation=Conversation(()), truth=truth),
            parsed=said[n],
            parts=task.score(said[n], truth),
        )
        for n, truth in enumerate((text, both))
    ]
    metrics = task.aggregate(scored)
    assert metrics["text_distance"] == metrics["order_distance"] == 0.0
    assert metrics["formula_distance"] == pytest.approx(1 / 3)
    assert "table_distance" not in metrics
    assert metrics["edit_distance"] == pytest.approx(1 / 9)


def test_text_that_breaks_over_columns_is_one_block():
    blocks = [
        {"category_type": "text_block", "order": 1, "anno_id": 7, "text": "It begins he"},
        {"category_type": "title", "order": 2, "anno_id": 8, "text": "Title"},
        {"category_type": "text_block", "order": 3, "anno_id": 9, "text": "re and "},
        {"category_type": "text_block", "order": 4, "anno_id": 10, "text": "ends."},
    ]
    relations = [
        {"relation_type": "truncated", "source_anno_id": 7, "target_anno_id": 9},
        {"relation_type": "parent_son", "source_anno_id": 8, "target_anno_id": 9},
        {"relation_type": "truncated", "source_anno_id": 9, "target_anno_id": 10},
    ]
    found = omnidocbench.page_blocks(blocks, {"relation": relations})
    assert found == [["text", "It begins here and ends."], ["text", "Title"]]
    assert len(omnidocbench.page_blocks(blocks, {})) == 4


def test_mathverse(tmp_path):
    task = registry.task("mathverse")
    answers = ("A", "5", "C", "2\\sqrt{3}")
    rows = []
    for n, answer in enumerate(answers):
        kind = "multi-choice" if answer in "AC" else "free-form"
        for version in ("Text Dominant", "Vision Only", "Text Only"):
            save(tmp_path / "images" / f"{n}.png", n)
            rows.append(
                {
                    "sample_index": str(len(rows) + 1),
                    "problem_index": str(n),
                    "problem_version": version,
                    "question": "How long?",
                    "answer": answer,
                    "question_type": kind,
                    "image": f"{n}.png",
                    "query_wo": "Say it.",
                    "query_cot": "Think first.",
                    "metadata": {"subject": "Plane Geometry"},
                }
            )
    as_json(tmp_path / "testmini.json", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert len(asked) == 8
    assert words(asked[0]) == "[]Think first."
    assert words(items(task, tmp_path, 1)[0]) == "[]Say it."
    assert asked[0].cluster == asked[1].cluster
    assert task.score("3.4641", asked[6].truth) == {"correct": 1.0}
    metrics = task.aggregate(
        [
            Scored(item=one, parsed="", parts={"correct": float(one.tags["version"][0] == "T")})
            for one in asked
        ]
    )
    assert metrics["accuracy/version/Text Dominant"] == 1.0
    assert metrics["accuracy"] == 0.5


def mega_row(name: str, number: int, answer: object, metrics: dict, form: str) -> dict:
    return {
        "id": str(number),
        "task_name": name,
        "task_description": "Look at <image> and answer.",
        "global_media": "[]",
        "example_text": "Example: <image> is 3.",
        "example_media": "['./media/e.png']",
        "query_text": "Now <video>.",
        "query_media": "['./media/q.mp4']",
        "answer": json.dumps(answer) if not isinstance(answer, str) else answer,
        "metric_info": repr(
            {
                "field_score_function": metrics,
                "aggregation": {"function": "mean", "field_weights": dict.fromkeys(metrics, 1)},
                "response_parse_function": form,
            }
        ),
    }


def test_mega_bench(tmp_path):
    task = registry.task("mega_bench")
    both = {"colour": "exact_str_match", "count": "exact_str_match"}
    rows = [
        mega_row("colours", 1, {"colour": "red", "count": "3"}, both, "json"),
        mega_row("colours", 2, {"colour": "blue", "count": "4"}, both, "json"),
        mega_row("names", 1, {"name": "Elm Street"}, {"name": "simple_str_match"}, "answer_string"),
        mega_row("names", 2, {"name": "Oak Road"}, {"name": "simple_str_match"}, "answer_string"),
        mega_row("plans", 1, {"plan": "go"}, {"plan": "symbolic_planning_test"}, "answer_string"),
    ]
    for row in rows:
        row["global_media"] = "['./media/g.png']"
        row["example_media"] = "['./media/e.png']"
    save(tmp_path / "media" / "g.png")
    save(tmp_path / "media" / "e.png")
    parquet(tmp_path / "core" / "test-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    kinds = [type(part).__name__ for part in asked[0].conversation.messages[0].parts]
    assert kinds == [
        *("TextPart", "ImagePart", "TextPart", "ImagePart", "TextPart", "VideoPart", "TextPart"),
    ]
    half = task.extractors[0].read(Answered('So {"colour": "red", "count": "9"}', asked[0].truth))
    assert task.score(half, asked[0].truth) == {"score": 0.5, "supported": 1.0}
    least = {**asked[0].truth, "sum": "min"}
    assert task.score(half, least) == {"score": 0.0, "supported": 1.0}
    metrics = task.aggregate(
        [
            Scored(item=one, parsed={}, parts={"score": float(one.tags["task"] == "names")})
            for one in asked
        ]
    )
    assert metrics["core"] == 0.5
    assert metrics["coverage/tasks"] == pytest.approx(2 / 3)
    assert metrics["coverage/items"] == pytest.approx(4 / 5)


def mega_truth(metrics: dict, answer: dict, form: str) -> dict:
    return {"metrics": metrics, "answer": answer, "weights": {}, "sum": "mean", "form": form}


@pytest.mark.parametrize(
    ("form", "said", "gold"),
    [
        ("answer_string", "Answer: red\nno.\nAnswer: blue", "blue"),
        ("answer_string", "**Answer: blue** is it", "blue"),
        ("answer_string", "**Answer:** blue", "blue"),
        ("answer_string", "Answer: ```\nblue\n```", "blue"),
        ("answer_string", "Answer: 'blue'", "blue"),
        ("answer_string", "Answer: blue\n\nIt is the only one.", "blue"),
        ("answer_string", "Answer: [1,2], maybe", "[1, 2]"),
        ("answer_string", "Answer: blue", '"blue"'),
        ("ascii_answer_string", "Answer:\n  /\\\n /  \\\n", "  /\\\n /  \\"),
    ],
)
def test_answers_of_one_field_of_mega_bench_are_read_as_published(form, said, gold):
    task = registry.task("mega_bench")
    truth = mega_truth({"name": "exact_str_match"}, {"name": gold}, form)
    read = task.extractors[0].read(Answered(said, truth))
    assert task.score(read, truth)["score"] == 1.0


def test_fields_of_mega_bench_that_are_missing_or_left_out():
    task = registry.task("mega_bench")
    counts = {"a": "positive_int_match", "b": "positive_int_match"}
    truth = mega_truth(counts, {"a": "3", "b": "0"}, "json")
    whole = '{"a": "3", "b": "0"}'
    for said, score in (
        *((whole, 1), (f'{{"answer": {whole}}}', 1), (f"[{whole}] by [1]", 1)),
        *(('{"a": "3"}', 0.5), ("3", 0.5), ("", 0)),
    ):
        read = task.extractors[0].read(Answered(said, truth))
        assert task.score(read, truth)["score"] == score, said


def test_a_point_of_mega_bench_lies_in_a_box_of_the_context(tmp_path):
    row = mega_row("points", 1, {"at": "?"}, {"at": "xml_norm_point_in_bbox"}, "answer_string")
    row["eval_context"] = "{'bounding_boxes': ['(0.1, 0.1, 0.2, 0.2)']}"
    truth = mega_bench.question(row, tmp_path).truth
    for at, score in (("0.15, 0.15", 1.0), ("0.5, 0.5", 0.0)):
        said = {"at": f"<point>{at}</point>"}
        assert registry.task("mega_bench").score(said, truth)["score"] == score
