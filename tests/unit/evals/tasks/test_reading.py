# SPDX-License-Identifier: Apache-2.0
"""Tasks about text in pictures: tiny copies in each stated layout."""

from __future__ import annotations

import pytest

from finesight.errors import EvalError
from finesight.evals.core.task import Answered, Scored
from finesight.evals.tasks.reading import chartqa, docvqa, ocrbench, textvqa
from tests.support.benchmark_copies import (
    cell,
    check_whole,
    items,
    parquet,
    text64,
    tsv,
    words,
)

ANSWERS = ("Wembley", "3rd of May", "blue", "1998")


def test_textvqa(tmp_path):
    task = textvqa.TASKS[0]
    rows = [
        {
            "image_id": f"p{n // 2}",
            "question_id": 100 + n,
            "question": "what is written?",
            "answers": [answer] * 10,
            "image": cell(n),
        }
        for n, answer in enumerate(ANSWERS)
    ]
    parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert words(asked[0]) == (
        "[]What is written?\nPlease try to answer the question with short words or phrases if possible."
    )
    assert words(items(task, tmp_path, 1)[0]).endswith(
        "\nAnswer the question using a single word or phrase."
    )
    assert [item.cluster for item in asked] == ["p0", "p0", "p1", "p1"]
    three = {"golds": ["two"] * 3 + ["one"] * 7}
    assert task.score("2", three) == {"score": pytest.approx(0.9)}


@pytest.mark.parametrize("task", docvqa.TASKS, ids=lambda task: task.name)
def test_documents(tmp_path, task):
    folder = task.layout.split()[2]
    rows = [
        {
            "questionId": str(n),
            "question": "What?",
            "answers": [answer, answer.upper()],
            "image": cell(n),
            "docId": 7,
        }
        for n, answer in enumerate(ANSWERS)
    ]
    parquet(tmp_path / "one" / folder / "validation-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path / "one", shuffled=0.0)
    assert asked[0].cluster == "7"
    assert task.score("abcx      ", {"golds": ["abcd"]}) == {
        "anls": pytest.approx(0.75),
        "anls_raw_lengths": pytest.approx(0.9),
    }
    name = "DocVQA_VAL.tsv" if task.name == "docvqa" else "InfoVQA_VAL.tsv"
    listed = [
        {"index": n, "question": "What?", "answer": f"['{answer}']", "image": text64(n)}
        for n, answer in enumerate(ANSWERS)
    ]
    tsv(tmp_path / "two" / name, listed)
    again = check_whole(task, tmp_path / "two", shuffled=0.0)
    assert again[1].truth["golds"] == ["3rd of May"]
    parsed = task.extractors[0].read(Answered("abcx      ", {}))
    assert task.score(parsed, {"golds": ["abcd"]}) == {"anls": 0.75, "anls_raw_lengths": 0.9}


def test_chartqa(tmp_path):
    task = chartqa.TASKS[0]
    answers = ("10", "Blue", "[49, 46]", "5%")
    kinds = ("human_test", "human_test", "augmented_test", "augmented_test")
    rows = [
        {"type": kind, "question": "How much?", "answer": answer, "image": cell(n)}
        for n, (answer, kind) in enumerate(zip(answers, kinds, strict=True))
    ]
    parquet(tmp_path / "one" / "data" / "test-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path / "one", shuffled=0.0)
    assert asked[2].truth["golds"] == ["[49, 46]"]
    assert task.score("10.5", asked[0].truth) == {"score": 1.0}
    assert task.score("10.51", asked[0].truth) == {"score": 0.0}
    right = [
        Scored(item=one, parsed="", parts={"score": float(n != 3)}) for n, one in enumerate(asked)
    ]
    metrics = task.aggregate(right)
    assert metrics["accuracy"] == 0.75
    assert metrics["accuracy/half/augmented"] == 0.5
    other = [
        {"human_or_machine": n // 2, "query": "How much?", "label": [answer], "image": cell(n)}
        for n, answer in enumerate(answers)
    ]
    parquet(tmp_path / "two" / "data" / "test-00000-of-00001.parquet", other)
    again = check_whole(task, tmp_path / "two", shuffled=0.0)
    assert [item.tags for item in again] == [item.tags for item in asked]


def test_ocrbench(tmp_path):
    task = ocrbench.TASKS[0]
    rows = [
        {
            "dataset": "HME100k" if n == 3 else "IIIT5K",
            "question": "what is written?",
            "question_type": "Handwritten" if n == 3 else "Regular Text Recognition",
            "answer": ["x ^ { 2 }"] if n == 3 else [answer, "no"],
            "image": cell(n),
        }
        for n, answer in enumerate(ANSWERS)
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert words(asked[0]) == "[]what is written?"
    assert task.score("x^{2}", asked[3].truth) == {"score": 1.0}
    assert task.score("it says WEMBLEY.", asked[0].truth) == {"score": 1.0}
    assert task.score(None, asked[0].truth) == {"score": 0.0}
    flat = [
        {
            "index": n,
            "question": "what?",
            "category": "Regular Text Recognition",
            "answer": f"['{answer}']",
            "image": text64(n),
        }
        for n, answer in enumerate(ANSWERS)
    ]
    tsv(tmp_path / "two" / "OCRBench.tsv", flat)
    check_whole(task, tmp_path / "two", shuffled=0.0)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (textvqa.TASKS[0], "validation.jsonl"),
        (docvqa.TASKS[0], "validation.jsonl"),
        (docvqa.TASKS[1], "validation.jsonl"),
        (chartqa.TASKS[0], "test.jsonl"),
        (ocrbench.TASKS[0], "test.jsonl"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_missing_column_is_named(tmp_path, task, name):
    (tmp_path / name).write_text('{"strange": 1}\n')
    with pytest.raises(EvalError, match=r"no column .* Found: strange"):
        items(task, tmp_path)
