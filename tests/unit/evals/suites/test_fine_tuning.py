# SPDX-License-Identifier: Apache-2.0
"""The report of a fine-tuning: scores before and after, a warning about what was forgotten, changed answers."""

import json

import pytest
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.evals.core.journal import Sample
from finesight.evals.core.run import RunResult
from finesight.evals.core.task import Item
from finesight.evals.suites.fine_tuning import (
    FineTuning,
    Row,
    forgetting_text,
    forgotten,
    outcomes,
    write_fine_tuning,
)


def sample(name, text, score=0.0, *, parsed=None, num_tokens=3, truth=None) -> Sample:
    return Sample(
        id=name,
        number=0,
        question="What is <it>?",
        request="",
        text=text,
        num_tokens=num_tokens,
        finish_reason="stop",
        extractor="whole-text",
        extractor_version="3",
        parsed=parsed,
        parts={"score": score},
        media=(),
        seconds=0.0,
        truth=truth or {},
    )


def item(name, **truth) -> Item:
    picture = Image.new("RGB", (112, 84), "white")
    asked = Conversation((Message("user", (ImagePart(source=picture), TextPart("What is <it>?"))),))
    return Item(id=name, conversation=asked, truth={"answer": "gold", **truth})


def row(name, before, after) -> Row:
    return Row(name, "measure", before, after, after, after, 48)


def report(changed=(), sanity=(), **more) -> FineTuning:
    values = {
        "title": "Fine-tuning of tiny",
        "facts": ("160 records",),
        "held_back": [row("exact", 0.0, 90.0)],
        "losses": {"training loss": [(1, 3.0), (5, 1.0)], "held-back loss": []},
        "best_step": 5,
        "recipe": "kind = 'sft'",
        **more,
    }
    return FineTuning(changed=changed, sanity=sanity, **values)


def test_forgetting_is_the_mean_loss_of_the_parts_that_were_known():
    rows = [row("read", 90.0, 80.0), row("point", 100.0, 102.0), row("facts", 5.0, 0.0)]
    assert forgotten(rows) == pytest.approx(4.0)
    assert forgotten([row("facts", 5.0, 0.0)]) is None


@pytest.mark.parametrize(("after", "is_loud"), [(88.0, False), (87.9, True), (99.0, False)])
def test_more_than_two_points_are_said_loudly(after, is_loud):
    text, is_warning = forgetting_text([row("read", 90.0, after)])
    assert is_warning is is_loud
    assert ("THE MODEL HAS FORGOTTEN" in text) is is_loud
    assert f"read 90.0 -> {after}" in text


def test_nothing_known_is_stated():
    text, is_warning = forgetting_text([row("read", 0.0, 0.0)])
    assert (text[:29], is_warning) == ("forgetting is not measured: n", False)


def test_the_page_shows_the_answers_that_changed_most_with_their_boxes(tmp_path):
    names = [f"i-{number}" for number in range(12)]
    items = [item(name, boxes=[["cat", [5, 5, 40, 40]]]) for name in names]
    box = [["cat", [10, 10, 50, 50]]]
    before = [sample(name, f"old <{name}>", 0.0) for name in names]
    after = [
        sample(name, f"new {name}", 0.05 * number, parsed=box) for number, name in enumerate(names)
    ]
    after[0] = sample("i-0", None, 0.0)
    changed = outcomes(items, RunResult(None, tuple(before), 0), RunResult(None, tuple(after), 0))
    write_fine_tuning(tmp_path, report(changed, [row("read", 90.0, 60.0)], dropped={"columns": 2}))
    page = (tmp_path / "report.html").read_text()
    assert "Better: 11 of 12 answers, the 8 that changed most" in page
    assert "Worse: 0 of 12 answers" in page
    assert page.count("<img") == 8
    assert "new i-11" in page
    assert "new i-1<" not in page
    assert "old &lt;i-11&gt;" in page
    assert "THE MODEL HAS FORGOTTEN" in page
    assert "Rows that were not used" in page
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["forgotten_points"] == 30.0
    assert content["answers"][-1]["change"] == pytest.approx(0.55)
    assert content["dropped"] == {"columns": 2}


def test_a_run_without_held_back_records_has_no_examples(tmp_path):
    write_fine_tuning(tmp_path, report(held_back=[], losses={"training loss": []}))
    page = (tmp_path / "report.html").read_text()
    assert "Better" not in page
    assert "<h3>Held-back records" not in page
