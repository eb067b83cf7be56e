# SPDX-License-Identifier: Apache-2.0
"""Tasks that ask for a letter about pictures: tiny copies in each stated layout."""

from __future__ import annotations

import pytest

from finesight.errors import EvalError
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.task import Scored
from finesight.evals.tasks.choice import (
    ai2d,
    blink,
    mmbench,
    mmstar,
    muirbench,
    realworldqa,
    seed_bench_2_plus,
)
from finesight.evals.tasks.choice.multiple_choice import (
    at_marks,
    letter_at,
    letter_of,
    numbered,
    unlettered,
)
from tests.support.benchmark_copies import (
    cell,
    check_whole,
    items,
    parquet,
    png,
    save,
    text64,
    tsv,
    words,
)

ANIMALS = ("ape", "bee", "cat", "dog")
LETTERS = dict(zip("ABCD", ANIMALS, strict=True))
DIRECT = "Answer with the option's letter from the given choices directly."


def rows(**more) -> list[dict]:
    """Four rows with the answers A to D; a column given as a function is told the number."""
    return [
        {"question": f"Which is {n}?", "answer": "ABCD"[n], "image": text64(n)}
        | {key: value(n) if callable(value) else value for key, value in more.items()}
        for n in range(4)
    ]


def test_letters():
    assert unlettered(["A. one", "B. two"]) == ("one", "two")
    assert unlettered(["A. one", "C. two"]) == ("A. one", "C. two")
    assert unlettered(["(A) one", "(B) two"]) == ("one", "two")
    assert [letter_of(x, ANIMALS) for x in ("B", "(C)", "dog", "a.") if x != "a."] == [
        "B",
        "C",
        "D",
    ]
    assert letter_at(2, ANIMALS) == "C"
    for wrong in ("E", "7"):
        with pytest.raises(EvalError, match="4 options"):
            letter_of(wrong, ANIMALS)
    with pytest.raises(EvalError, match="counted from 0"):
        letter_at(4, ANIMALS)


def test_pictures_stand_where_they_are_mentioned():
    assert at_marks("a <image 2> b <image 2> c", ("p", "q")) == ["p", "a ", "q", " b <image 2> c"]
    assert numbered("<image 5> <image 2>", {2: "p", 5: "q"}) == "<image 2> <image 1>"


def test_ai2d(tmp_path):
    options = {"options": list(ANIMALS), "answer": str, "image": cell}
    parquet(tmp_path / "one" / "data" / "test-00000-of-00002.parquet", rows(**options))
    asked = check_whole(ai2d.TASKS[0], tmp_path / "one", shuffled=0.0)
    assert words(asked[1]) == (
        "[]Question: Which is 1?\nOptions:\nA. ape\nB. bee\nC. cat\nD. dog\n"
        "Please select the correct answer from the options above."
    )
    assert [item.truth["answer"] for item in asked] == list("ABCD")
    tsv(tmp_path / "two" / "AI2D_TEST.tsv", rows(index=str, category="x", **LETTERS))
    asked = check_whole(ai2d.TASKS[0], tmp_path / "two", shuffled=0.0)
    assert asked[2].conversation.messages[0].parts[0].source == png(2)


@pytest.mark.parametrize("task", mmbench.TASKS, ids=lambda task: task.name)
def test_mmbench_counts_a_question_if_all_rotations_are_right(tmp_path, task):
    stem = task.layout.partition(".tsv")[0]
    rotated = [
        {
            "index": n + turn * 1_000_000,
            "question": f"Which is {n}?",
            "hint": "Look." if n else "",
            **{letter: ANIMALS[(at + turn) % 4] for at, letter in enumerate("ABCD")},
            "answer": "ABCD"[(n - turn) % 4],
            "category": "animals",
            "l2-category": "seeing",
            "image": n if turn else text64(n),
        }
        for turn in range(4)
        for n in range(3)
    ]
    tsv(tmp_path / f"{stem}.tsv", rotated)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert {item.group for item in asked} == {"0", "1", "2"}
    assert asked[4].conversation.messages[0].parts[0].source == png(1)
    assert words(asked[1]).startswith("[]Hint: Look.\nQuestion: Which is 1?")
    right = {"correct": 1.0}
    scored = [
        Scored(item=item, parsed="A", parts={"correct": 0.0} if item.id == "1000002" else right)
        for item in asked
    ]
    metrics = task.aggregate(scored)
    assert metrics["circular"] == pytest.approx(2 / 3)
    assert metrics["vanilla"] == 1.0
    assert metrics["passes"] == pytest.approx(11 / 12)
    assert metrics["circular/ability/seeing"] == pytest.approx(2 / 3)


def test_mmstar(tmp_path):
    both = {"index": lambda n: n, "category": "a", "l2_category": "b"}
    tsv(tmp_path / "one" / "MMStar.tsv", rows(**both, **LETTERS))
    asked = check_whole(mmstar.TASKS[0], tmp_path / "one", shuffled=0.0)
    written = rows(**both, image=png)
    for row in written:
        row["question"] += "\nOptions: A: ape, B: bee, wasp, C: cat, D: dog"
    parquet(tmp_path / "two" / "mmstar.parquet", written)
    again = check_whole(mmstar.TASKS[0], tmp_path / "two", shuffled=0.0)
    assert again[0].truth["choices"] == ["ape", "bee, wasp", "cat", "dog"]
    assert words(asked[0]).partition("\n")[0] == words(again[0]).partition("\n")[0]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (
            "Which?\nOptions: A: ape, B: bee, wasp, C: cat, D: dog",
            ("ape", "bee, wasp", "cat", "dog"),
        ),
        ("Which?\nOptions:\nA: ape\nB: bee", ("ape", "bee")),
        ("Which? Options: A: ape. B: bee.", ("ape", "bee")),
        ("Which?\nOptions: A: vitamin B: 1, B: 2:3", ("vitamin B: 1", "2:3")),
        ("Hint: such as A, B.\nQuestion: Which?\nChoices:\n(A) 1 cm\n(B) 2 cm", ("1 cm", "2 cm")),
        ("Which?\nChoices: (A) yes (B) no", ("yes", "no")),
        ("Which?\nA. ape\nB. bee\nC. cat", ("ape", "bee", "cat")),
        ("Which options: here?\nOptions: A) ape, B) bee", ("ape", "bee")),
    ],
)
def test_options_of_mmstar_within_the_question(text, options):
    asked, found = mmstar.options_within(text)
    assert found == options
    assert asked.endswith(("Which?", "here?"))


def test_a_question_without_options_is_refused():
    for text in ("Which?", "Which?\nA: ape", "Options: none", ""):
        with pytest.raises(EvalError, match="neither columns A to D nor options"):
            mmstar.options_within(text)


def test_muirbench(tmp_path):
    made = [
        {
            "idx": str(n),
            "task": "Counting",
            "image_relation": "Order",
            "image_type": "Photo",
            "question": "What do <image> and <image> share?",
            "options": ["<image>", "fur", "wings", "None"],
            "answer": "ABCD"[n],
            "image_list": [cell(n), cell(n + 1), cell(n + 2)],
            "counterpart_idx": str(n ^ 1),
        }
        for n in range(4)
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", made)
    asked = check_whole(muirbench.TASKS[0], tmp_path, shuffled=0.0)
    assert words(asked[0]).startswith("Question: What do [] and [] share?\nOptions:\nA. []\nB. fur")
    assert asked[0].cluster == asked[1].cluster == "0+1"


def test_blink(tmp_path):
    made = [
        {
            "idx": f"val_{n}",
            "sub_task": "Counting" if n % 2 else "Depth",
            "question": "How many?",
            "prompt": f"How many in {n}?\nSelect from the following options.\n(A) 1\n(B) 2\n(C) 3\n(D) 4",
            "choices": ["1", "2", "3", "4"],
            "answer": f"({'ABCD'[n]})",
            **{f"image_{k}": cell(n + k) if k < 3 else None for k in range(1, 5)},
        }
        for n in range(4)
    ]
    for n, row in enumerate(made):
        folder = "Counting" if n % 2 else "Relative_Depth"
        parquet(tmp_path / folder / f"val-0000{n}-of-00004.parquet", [row])
    asked = check_whole(blink.TASKS[0], tmp_path, shuffled=0.0)
    assert words(asked[0]).startswith("[][]How many in 1?")
    metrics = blink.TASKS[0].aggregate(
        [
            Scored(item=item, parsed="A", parts={"correct": float(item.id == "val_0")})
            for item in asked
        ]
    )
    assert metrics["accuracy"] == 0.25
    assert metrics["accuracy/macro/sub_task"] == 0.25
    assert metrics["accuracy/sub_task/Depth"] == 0.5


def test_realworldqa(tmp_path):
    task = realworldqa.TASKS[0]
    tsv(tmp_path / "one" / "RealWorldQA.tsv", rows(index=str, **LETTERS))
    check_whole(task, tmp_path / "one", shuffled=0.0)
    answers = ("A", "Yes", "3", "Left")
    parquet(tmp_path / "two" / "test-0.parquet", rows(answer=answers.__getitem__, image=cell))
    asked = check_whole(task, tmp_path / "two", shuffled=0.0)
    assert words(asked[1]) == "[]Which is 1?"
    assert task.score("yes.", asked[1].truth) == {"correct": 1.0}


def test_seed_bench_2_plus(tmp_path):
    task = seed_bench_2_plus.TASKS[0]
    tsv(tmp_path / "one" / "SEEDBench2_Plus.tsv", rows(index=str, category="Map", **LETTERS))
    check_whole(task, tmp_path / "one", shuffled=0.0)
    named = {f"choice_{letter.lower()}": animal for letter, animal in LETTERS.items()}
    published = rows(question_id=str, data_id=lambda n: f"{n}.png", **named)
    for n, row in enumerate(published):
        del row["image"]
        save(tmp_path / "two" / "cc3m-image" / f"{n}.png", n)
    from tests.support.benchmark_copies import as_json

    as_json(tmp_path / "two" / "SEED-Bench-2-plus-question.json", {"questions": published})
    asked = check_whole(task, tmp_path / "two", shuffled=0.0)
    assert asked[3].cluster == "3.png"


def test_a_row_that_cannot_be_used_is_counted_with_its_reason(tmp_path):
    made = rows(index=str, **LETTERS)
    made[1]["answer"] = "E"
    made[2]["answer"] = ""
    tsv(tmp_path / "AI2D_TEST.tsv", made)
    found = items(ai2d.TASKS[0], tmp_path)
    assert [BROKEN in item.truth for item in found] == [False, True, True, False]
    assert found[1].truth[BROKEN] == "answer 'E' is none of the 4 options"
    assert found[1].id.endswith("AI2D_TEST.tsv, row 1")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (ai2d.TASKS[0], "AI2D_TEST.tsv"),
        (mmbench.TASKS[0], "MMBench_DEV_EN.tsv"),
        (mmstar.TASKS[0], "MMStar.tsv"),
        (realworldqa.TASKS[0], "RealWorldQA.tsv"),
        (seed_bench_2_plus.TASKS[0], "SEEDBench2_Plus.tsv"),
        (muirbench.TASKS[0], "test.jsonl"),
        (blink.TASKS[0], "val.jsonl"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_missing_column_is_named(tmp_path, task, name):
    head = '{"strange": 1}\n' if name.endswith("jsonl") else "strange\tother\n1\t2\n"
    (tmp_path / name).write_text(head)
    with pytest.raises(EvalError, match=r"no column .* Found: strange"):
        items(task, tmp_path)
