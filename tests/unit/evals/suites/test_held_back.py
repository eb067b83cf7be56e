# SPDX-License-Identifier: Apache-2.0
"""Held-back answers are scored by the kind of their gold answer."""

from pathlib import Path

import pytest

from finesight.conversation import Conversation, Message, TextPart
from finesight.errors import EvalError
from finesight.evals.core.task import Answered, CoordinateFrame, Item
from finesight.evals.suites.held_back import SCORE, Example, held_back_tasks, matched_iou
from finesight.geometry import Size


def example(answer: str, question: str = "What is it?", boxes=(), number: int = 0) -> Example:
    asked = Conversation((Message("user", (TextPart(question),)),))
    item = Item(id=f"i-{number}", conversation=asked, truth={})
    return Example(item=item, answer=answer, boxes=boxes, num_tokens=len(answer))


def score(task, text: str) -> float:
    (item,) = task.prompts[0].items(Path(), task.budget)
    frame = CoordinateFrame("resized", Size(56, 56), Size(28, 28))
    parsed = task.extractors[0].read(Answered(text, item.truth, (frame,)))
    return task.score(parsed, item.truth)[SCORE]


def only_task(*examples: Example, kind=None):
    (task,) = held_back_tasks(examples, kind=kind)
    return task


def test_short_answers_are_matched_exactly_white_space_apart():
    task = only_task(example("valve  open"))
    assert task.name == "exact"
    assert score(task, " valve open\n") == 1
    assert score(task, "Valve open") == 0
    assert score(task, "") == 0


def test_long_answers_are_scored_by_their_error_rate():
    gold = "a" * 100
    task = only_task(example(gold))
    assert task.name == "text"
    assert score(task, gold) == 1
    assert score(task, "a" * 90) == pytest.approx(0.9)
    assert score(task, "b" * 500) == 0


def test_texts_of_one_data_set_are_all_of_one_kind():
    texts = ["two words", *(f"{'a line of text ' * 8}{number}" for number in range(3))]
    task = only_task(*(example(text, number=n) for n, text in enumerate(texts)))
    assert (task.name, len(list(task.prompts[0].items(Path(), task.budget)))) == ("text", 4)


def test_json_is_scored_by_its_fields_in_any_order_and_format():
    task = only_task(example('{"total": "3.50", "lines": ["a", "b"], "no": 7}'))
    assert task.name == "fields"
    assert (
        score(task, 'Here:\n```json\n{"no": "7", "lines": ["a", "b"], "total": "3.50"}\n```') == 1
    )
    assert score(task, '{"total": "3.50", "lines": ["a"], "no": 8}') == pytest.approx(1 / 3)
    assert score(task, '{"total": "3.50", "more": 1}') == pytest.approx(1 / 4)
    assert score(task, "3.50") == 0


def test_lines_of_keys_and_values_are_fields():
    task = only_task(example("invoice: 977\ndate: 18 July\ntotal: 39.50"))
    assert task.name == "fields"
    assert score(task, "total: 39.50\ndate: 18 July\ninvoice: 977") == 1
    assert score(
        task, "The fields are:\ninvoice: 977\ndate: 13 July\ntotal: 39.50"
    ) == pytest.approx(2 / 3)
    assert score(task, '{"invoice": 977, "date": "18 july", "total": "39.50"}') == 1
    assert score(task, "977") == 0
    assert only_task(example("Note: a single line")).name == "exact"


def test_numbers_are_counts_only_where_the_question_asks_how_many():
    counted = only_task(example("4", "How many cups are there?"))
    assert counted.name == "count"
    assert score(counted, "There are four cups.") == 1
    assert score(counted, "5") == 0
    assert only_task(example("4711", "What is the number of the house?")).name == "count"
    assert only_task(example("4711", "Read the plate.")).name == "exact"


def test_boxes_are_compared_in_original_pixels():
    answer = '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}]'
    task = only_task(example(answer, boxes=[("cat", (0.0, 0.0, 20.0, 20.0))]))
    assert task.name == "boxes"
    assert score(task, answer) == pytest.approx(1)
    assert score(task, answer.replace("cat", "dog")) == 0
    half = '[{"bbox_2d": [0, 0, 10, 5], "label": "Cat"}]'
    assert score(task, half) == pytest.approx(0.5)
    both = (
        '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [0, 0, 9, 9], "label": "cat"}]'
    )
    assert score(task, both) == pytest.approx(0.5)


def test_every_box_is_matched_at_most_once():
    gold = [("", (0.0, 0.0, 10.0, 10.0)), ("", (20.0, 0.0, 30.0, 10.0))]
    assert matched_iou(gold[:1] * 2, gold) == pytest.approx(0.5)
    assert matched_iou(gold[::-1], gold) == pytest.approx(1)
    assert matched_iou([], []) == 1
    assert matched_iou([], gold) == 0


def test_kinds_of_a_mixed_data_set_are_scored_apart():
    tasks = held_back_tasks(
        [example("yes", number=0), example('{"a": 1}', number=1), example("no", number=2)]
    )
    assert [
        (task.name, len(list(task.prompts[0].items(Path(), task.budget)))) for task in tasks
    ] == [
        ("fields", 1),
        ("exact", 2),
    ]


def test_a_given_kind_is_used_for_all_or_refused():
    assert only_task(example("a word"), kind="text").name == "text"
    with pytest.raises(EvalError, match="not of the kind fields: 'a word'") as refused:
        held_back_tasks([example("a word")], kind="fields")
    assert "--metric" in refused.value.hint
    with pytest.raises(EvalError, match="not of the kind count"):
        held_back_tasks([example("a word")], kind="count")


def test_an_answer_may_be_twice_as_long_as_the_longest():
    assert only_task(example("a")).sampling.max_new_tokens == 32
    assert only_task(example("a" * 50)).sampling.max_new_tokens == 100
