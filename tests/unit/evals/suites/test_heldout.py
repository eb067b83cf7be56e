# SPDX-License-Identifier: Apache-2.0
import pytest
from PIL import Image

from finesight.conversation import MediaRecord, Reply, Usage
from finesight.errors import EvalError
from finesight.evals.responders.blind import BLANK_COLOUR
from finesight.evals.suites.heldout import HeldOutItem, as_table, score_rows
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


def _item(row: str, question: str, answer: str = "", boxes: tuple[Box, ...] = ()) -> HeldOutItem:
    image = Image.new("RGB", (56, 56), "white")
    return HeldOutItem(
        id=question, row=row, image=image, question=question, answer=answer, boxes=boxes
    )


def _score(items, answers, blank="none"):
    return {row.row: row for row in score_rows(Scripted(answers, blank), items)}


def test_character_errors_are_counted_over_all_characters() -> None:
    items = [_item("text_words", "a", "hello"), _item("text_words", "b", "abcdefghij")]
    row = _score(items, {"a": "hallo", "b": "abcdefghij"}, blank="xxxxxxxxxxxxxxxxxxxxxxx")[
        "text_words"
    ]
    assert row.measure == "cer"
    assert row.score == pytest.approx(1 / 15)
    assert row.blank == 1.0  # edits are capped at the length of the truth
    assert row.num_items == 2


def test_first_place_said_must_lie_in_a_box() -> None:
    box = (Box(10, 10, 30, 30),)
    answers = {
        "point": '<points x1="20" y1="20" alt="cat">cat</points>',
        "box": '```json\n[\n\t{"bbox_2d": [12, 12, 28, 28], "label": "cat"}\n]\n```',
        "far": '<points x1="50" y1="50" alt="cat">cat</points>',
        "nothing": "I see a cat",
    }
    row = _score([_item("point", name, boxes=box) for name in answers], answers)["point"]
    assert row.score == 0.5
    assert row.blank == 0.0
    assert row.beats_blank == float("inf")


def test_count_and_absent() -> None:
    items = [_item("count", "a", "3"), _item("count", "b", "0"), _item("absent", "c", "none")]
    rows = _score(items, {"a": "3", "b": "There are 2.", "c": "None."}, blank="0")
    assert (rows["count"].score, rows["count"].blank) == (0.5, 0.5)
    assert (rows["absent"].score, rows["absent"].blank) == (1.0, 0.0)
    table = as_table(list(rows.values()))
    assert table["absent"]["times_blank"] is None  # JSON has no infinity
    assert table["count"] == {
        "measure": "accuracy",
        "score": 0.5,
        "blank": 0.5,
        "times_blank": 1.0,
        "n": 2,
        "failed": 0,
    }


def test_nothing_to_score_and_unknown_rows() -> None:
    with pytest.raises(EvalError, match="nothing to score"):
        score_rows(Scripted({}, ""), [])
    with pytest.raises(EvalError, match="row 'taste'"):
        score_rows(Scripted({"a": "x"}, ""), [_item("taste", "a")])
