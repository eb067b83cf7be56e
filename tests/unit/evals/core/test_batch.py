# SPDX-License-Identifier: Apache-2.0
"""Several items handed to a model at once leave the same journal as one by one, and one bad item loses no other."""

from __future__ import annotations

import json

import pytest

from finesight.errors import ConfigError, EvalError, PromptTooLong
from finesight.evals.core.journal import read_samples
from finesight.evals.core.responders import Baseline
from finesight.evals.core.rows import broken_item
from finesight.evals.core.run import run
from finesight.evals.core.worker import question_of
from finesight.evals.responders.model import FromModel
from tests.support.replies import reply
from tests.support.toy_eval import PROMPT, TOY, item


def go(items, responder, folder, **options):
    return run(TOY, PROMPT, items, responder, folder=folder, space="original", **options)


def lines(folder):
    found = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in found]


class Together:
    """A model that takes many questions at once, unless one of them is bad; answers "2" to all others."""

    def __init__(self, *bad):
        self.bad, self.sizes = bad, []

    def respond(self, conversations, sampling):
        self.sizes.append(len(conversations))
        asked = [question_of(conversation) for conversation in conversations]
        for question in asked:
            if question in self.bad:
                raise PromptTooLong(f"{question} is too long")
        return [reply("2") for _ in asked]


def test_a_batch_is_asked_at_once_and_written_as_if_one_by_one(tmp_path):
    model = Together()
    for size in (1, 3):
        go(map(item, range(7)), FromModel(model, "m"), tmp_path / str(size), batch=size)
    assert model.sizes == [*[1] * 7, 3, 3, 1]
    assert lines(tmp_path / "3") == lines(tmp_path / "1")
    again = go(map(item, range(9)), FromModel(model, "m"), tmp_path / "3", batch=4)
    assert model.sizes[-2:] == [1, 1]  # items 7 and 8, in the second and third batch
    assert again.num_asked == 2
    assert [line["id"] for line in lines(tmp_path / "3")] == [f"q{n}" for n in range(9)]


def test_one_bad_item_loses_no_other_of_its_batch(tmp_path):
    model = Together("What is 3 + 3?")
    items = [item(0), item(1, image=tmp_path / "no.png"), broken_item("row 2", "not JSON")]
    done = go([*items, item(3), item(4)], FromModel(model, "m"), tmp_path / "run", batch=5)
    assert model.sizes == [3, 1, 1, 1]  # together, and then each alone
    assert [(sample.text, sample.error) for sample in done.samples] == [
        ("2", None),
        (None, "missing_media"),
        (None, "broken_row"),
        (None, "too_long"),
        ("2", None),
    ]
    assert done.samples[3].message == "What is 3 + 3? is too long"


def unless_one(asked):
    if asked.id == "q1":
        raise EvalError("there is no answer")
    return "2"


def test_a_batch_is_taken_by_several_threads_and_by_responders_of_single_items(tmp_path):
    go(map(item, range(20)), FromModel(Together(), "m"), tmp_path / "a", batch=3, workers=3)
    assert [line["id"] for line in lines(tmp_path / "a")] == [f"q{n}" for n in range(20)]
    done = go(map(item, range(4)), Baseline("b", unless_one), tmp_path / "b", batch=4)
    assert [sample.error for sample in done.samples] == [None, "no_answer", None, None]
    with pytest.raises(ConfigError, match="batch=0"):
        go([item(1)], FromModel(Together(), "m"), tmp_path / "c", batch=0)


def test_kept_answers_are_not_asked_in_a_batch(tmp_path):
    model = Together()
    who = FromModel(model, "m", cache=tmp_path / "cache")
    go(map(item, range(2)), who, tmp_path / "a", batch=2)
    go(map(item, range(5)), who, tmp_path / "b", batch=5)
    assert model.sizes == [2, 3]
    assert [sample.text for sample in read_samples(tmp_path / "b")] == ["2"] * 5


def test_a_model_that_loses_replies_is_asked_one_by_one(tmp_path):
    class Forgetful(Together):
        def respond(self, conversations, sampling):
            return super().respond(conversations, sampling)[:1]

    model = Forgetful()
    done = go(map(item, range(3)), FromModel(model, "m"), tmp_path, batch=3)
    assert [sample.error for sample in done.samples] == [None] * 3
    assert model.sizes == [3, 1, 1, 1]
