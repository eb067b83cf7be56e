# SPDX-License-Identifier: Apache-2.0
import pytest
from PIL import Image

from finesight.conversation import MediaRecord, Reply, Usage
from finesight.errors import EvalError
from finesight.evals.core.results import load_result
from finesight.evals.core.task import Item
from finesight.evals.responders.blind import BLANK_COLOUR
from finesight.evals.responders.model import FromModel
from finesight.evals.suites.card_rows import Card
from finesight.evals.suites.heldout import held_out_item, held_out_tasks, rows_without
from finesight.geometry import Box, Resize, Size


class Scripted:
    """Answers from a table by question; a blank picture gets the answer under "blank"."""

    def __init__(self, answers: dict[str, str], blank: str) -> None:
        self.answers, self.blank = answers, blank

    def respond(self, conversations, sampling) -> list[Reply]:
        part, question = conversations[0].messages[0].parts
        is_blank = part.source.getcolors() == [
            (part.source.width * part.source.height, BLANK_COLOUR)
        ]
        text = self.blank if is_blank else self.answers[question.text]
        size = Size(*part.source.size)
        record = MediaRecord(
            kind="image", source="picture", resize=Resize(size, size), visual_tokens=4
        )
        return [
            Reply(
                text=text, token_ids=(), finish_reason="stop", usage=Usage(0, 0, 0), media=(record,)
            )
        ]


def _item(row: str, question: str, answer: str = "", boxes: tuple[Box, ...] = ()) -> Item:
    image = Image.new("RGB", (56, 56), "white")
    return held_out_item(
        name=question, row=row, image=image, question=question, answer=answer, boxes=boxes
    )


@pytest.fixture
def score(tmp_path):
    def rows(items, answers, blank="none"):
        model = FromModel(Scripted(answers, blank), "scripted")
        tasks = [(task, tmp_path) for task in held_out_tasks(items)]
        return {row.row: row for row in Card(model=model, out=tmp_path).rows(tasks)}

    return rows


def test_character_errors_are_counted_over_all_characters(score) -> None:
    items = [_item("text_words", "a", "hello"), _item("text_words", "b", "abcdefghij")]
    row = score(items, {"a": "hallo", "b": "abcdefghij"}, blank="xxxxxxxxxxxxxxxxxxxxxxx")[
        "text_words"
    ]
    assert row.measure == "cer"
    assert row.score == pytest.approx(1 / 15)
    assert row.blank == 1.0  # edits are capped at the length of the truth
    assert row.num_items == 2


def test_first_place_said_must_lie_in_a_box(score) -> None:
    box = (Box(10, 10, 30, 30),)
    answers = {
        "point": '<points x1="20" y1="20" alt="cat">cat</points>',
        "box": '```json\n[\n\t{"bbox_2d": [12, 12, 28, 28], "label": "cat"}\n]\n```',
        "far": '<points x1="50" y1="50" alt="cat">cat</points>',
        "nothing": "I see a cat",
    }
    row = score([_item("point", name, boxes=box) for name in answers], answers)["point"]
    assert row.score == 0.5
    assert row.blank == 0.0
    assert row.beats_blank == float("inf")


def test_count_and_absent(score) -> None:
    items = [_item("count", "a", "3"), _item("count", "b", "0"), _item("absent", "c", "none")]
    rows = score(items, {"a": "3", "b": "There are 2.", "c": "None."}, blank="0")
    assert (rows["count"].score, rows["count"].blank) == (0.5, 0.5)
    assert (rows["absent"].score, rows["absent"].blank) == (1.0, 0.0)
    assert rows["absent"].table()["times_blank"] is None  # JSON has no infinity
    assert rows["count"].table() == {
        "measure": "accuracy",
        "score": 0.5,
        "blank": 0.5,
        "times_blank": 1.0,
        "n": 2,
        "failed": 0,
    }


def test_a_point_without_a_box_is_wrong_and_an_unread_count_too(score) -> None:
    items = [_item("point", "a"), _item("count", "b", "2")]
    rows = score(items, {"a": '<points x1="20" y1="20" alt="cat">cat</points>', "b": "many"})
    assert (rows["point"].score, rows["count"].score) == (0.0, 0.0)


def test_fields_are_exact_and_numbers_of_charts_relaxed(score) -> None:
    items = [
        _item("fields", "a", "4.20 EUR"),
        _item("fields", "b", "4.20"),
        _item("fields", "c", "Ann"),
    ]
    items += [_item("charts", "d", "100"), _item("charts", "e", "100"), _item("charts", "f", "May")]
    answers = {"a": " 4.20  EUR\n", "b": "4.2", "c": "ann", "d": "104", "e": "106", "f": "may"}
    rows = score(items, answers)
    assert rows["fields"].score == pytest.approx(1 / 3)
    assert rows["charts"].score == pytest.approx(2 / 3)
    assert (rows["fields"].measure, rows["charts"].measure) == ("accuracy", "accuracy")


def test_a_page_may_be_longer_than_a_line() -> None:
    limits = {
        task.name: task.sampling.max_new_tokens
        for task in held_out_tasks([_item("pages", "a", "b"), _item("text_words", "c", "d")])
    }
    assert limits == {"pages": 2048, "text_words": 256}


def test_rows_without_data_are_named_with_their_recipe() -> None:
    missing = {
        each.row: each.recipe for each in rows_without(("text_lines24", "count", "npm_pages"))
    }
    assert missing == {
        "scene_text": "recipes/small/heldout_scene_text.toml",
        "pages": "recipes/small/heldout_pages.toml",
        "fields": "recipes/small/heldout_pages.toml",
        "screen_text": "recipes/small/heldout_screens.toml",
        "charts": "recipes/small/heldout_charts.toml",
        "text_other_scripts": "recipes/tiny/heldout_text.toml",
        "absent": "recipes/tiny/heldout_scenes.toml",
        "point": "recipes/tiny/heldout_scenes.toml",
    }


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(EvalError, match="row 'taste'"):
        held_out_tasks([_item("taste", "a")])


def test_a_model_that_answers_nothing_has_no_card(tmp_path) -> None:
    class Failing:
        def respond(self, conversations, sampling) -> list[Reply]:
            raise EvalError("no answer today")

    (task,) = held_out_tasks([_item("text_words", "a", "hello")])
    with pytest.raises(EvalError, match="me answered no item of 1 rows"):
        Card(model=FromModel(Failing(), "me"), out=tmp_path).rows([(task, tmp_path)])
    result = load_result(tmp_path / "text_words" / "seen")
    assert (result.errors, result.metrics) == ({"no_answer": 1}, {"cer": 1.0})
