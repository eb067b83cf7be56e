# SPDX-License-Identifier: Apache-2.0
"""Which words of the question and which visual tokens each token of an answer follows from."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.dense import ObjectCells
from finesight.data.look_targets import Looks, LookTargets
from finesight.data.record import Record, SceneObject
from finesight.data.scene_looks import Look, looks_of_answer, looks_of_scene
from finesight.errors import LayoutError
from finesight.processor.processor import Processor

ROWS = (
    '{"bbox_2d": [0, 0, 28, 28], "label": "cat"}',
    '{"bbox_2d": [56, 0, 112, 56], "label": "cat"}',
)
TWO = "```json\n[\n\t" + ",\n\t".join(ROWS) + "\n]\n```"
POINTS = '```xml\n<points x1="14" y1="14" x2="84" y2="28" alt="cat">cat</points>\n```'


@pytest.fixture(scope="module")
def processor(tiny_model_folder) -> Processor:
    return Processor.from_folder(tiny_model_folder)


def _record(*turns: tuple[str, str, str, list[int]]) -> Record:
    """A cat of one cell at the upper left, a cat of four cells from the third column on."""
    return Record(
        id="r",
        family="scene",
        image=np.zeros((56, 112, 3), dtype=np.uint8),
        turns=tuple((question, answer) for _, question, answer, _ in turns),
        objects=(SceneObject((0, 0, 28, 28), "cat"), SceneObject((56, 0, 112, 56), "cat")),
        meta={
            "tasks": [
                {"kind": kind, "name": "cat", "objects": objects} for kind, _, _, objects in turns
            ]
        },
    )


def _encoded(processor, record, chosen):
    messages = []
    for place, turn in enumerate(chosen):
        picture = ImagePart(source=Image.fromarray(record.image), min_pixels=784)
        question, answer = record.turns[turn]
        messages.append(Message("user", (*([] if place else [picture]), TextPart(question))))
        messages.append(Message("assistant", (TextPart(answer),)))
    sample = processor.encode(Conversation(tuple(messages)), add_generation_prompt=False)
    return sample, ObjectCells.of(record, rows=2, columns=4)


def _looks(processor, record, chosen):
    sample, cells = _encoded(processor, record, chosen)
    return sample, looks_of_scene(record, chosen, sample, cells, processor.tokenizer)


def _text(processor, sample, places):
    return b"".join(
        processor.tokenizer.token_bytes(int(sample.input_ids[place])) for place in places
    ).decode()


def _rows(targets):
    """Pairs of a looking row and its set; a sample on its own has nothing filled up."""
    assert targets.rows.shape == targets.which.shape == (1, targets.rows.shape[1])
    return zip(targets.rows[0].tolist(), targets.which[0].tolist(), strict=True)


def _seen(processor, record, chosen):
    """For each looking row: the text of the token that it predicts, and the cells that it looks at (None: nowhere)."""
    sample, looks = _looks(processor, record, chosen)
    first = int(sample.visual_index[0])
    seen = []
    for row, which in _rows(looks.seen):
        wanted = looks.seen.wanted[0, which].nonzero().flatten().tolist()
        cells = None if wanted == [0] else [place - first for place in wanted]
        seen.append((_text(processor, sample, [row + 1]), cells))
    return seen


@pytest.mark.parametrize(
    ("kind", "answer", "number"), [("detect", TWO, "112"), ("point_xml", POINTS, "84")]
)
def test_stretches_of_an_answer_follow_each_other_without_a_gap(kind, answer, number):
    looks = looks_of_answer(kind, answer, [4, 7])
    assert [look.objects for look in looks] == [(4,), (7,), ()]
    assert [look.begin for look in looks] == [0, looks[0].end, looks[1].end]
    assert answer[looks[0].end] == '"'  # the token that says whether there is one more
    assert number in answer[looks[1].begin : looks[1].end]


def test_answers_of_one_thing_speak_of_it_throughout():
    assert looks_of_answer("name_box", "cat", [3]) == [Look(0, 3, (3,))]
    assert looks_of_answer("present", "Yes", [1, 2]) == [Look(0, 3, (1, 2))]
    assert looks_of_answer("refer", "none", []) == [Look(0, 4, ())]


def test_a_count_looks_at_what_it_counts_and_at_nothing_for_the_number():
    answer = f"{POINTS}\n2"
    assert looks_of_answer("count", answer, [4, 7]) == looks_of_answer("point_xml", POINTS, [4, 7])
    assert looks_of_answer("count", "0", []) == [Look(0, 1, ())]


def test_uncertain_answers_look_nowhere_in_particular():
    for braces in ("{x", "a}b", '{\\"x\\"}'):
        answer = f'[{{"bbox_2d": [0, 0, 1, 1], "text_content": "{braces}"}}]'
        assert looks_of_answer("spotting", answer, [0]) == []


def test_each_token_of_a_box_looks_at_the_cells_of_its_object(processor):
    seen = _seen(processor, _record(("detect", "Locate every cat.", TWO, [0, 1])), [0])
    stretches = [
        (cells, "".join(text for text, _ in group))
        for cells, group in groupby(seen, key=lambda pair: pair[1])
    ]
    assert [cells for cells, _ in stretches] == [[0], [2, 3, 6, 7], None]
    assert stretches[0][1] == TWO[: TWO.index('"},')]
    _, looks = _looks(processor, _record(("detect", "Locate every cat.", TWO, [0, 1])), [0])
    assert looks.seen.boxes[0, :2].tolist() == [[0, 0, 1, 1], [2, 0, 4, 2]]  # in cells
    assert looks.seen.boxes[0, 2].isnan().all()
    assert "[56, 0, 112, 56]" in stretches[1][1]


def test_turns_are_found_in_the_order_in_which_they_were_chosen(processor):
    record = _record(
        ("detect", "Locate every cat.", TWO, [0, 1]),
        ("refer", "Locate the cat.", "none", []),
        ("read_box", "What is there?", "cat", [1]),
    )
    seen = _seen(processor, record, [2, 1])
    assert seen[0][1] == [2, 3, 6, 7]
    assert "".join(text for text, cells in seen if cells) == "cat"
    assert "".join(text for text, cells in seen if cells is None) == "none"
    assert len(_seen(processor, record, [0, 1, 2])) > len(seen)


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("Locate the cat, output its bbox.", "cat"),
        ("Point to the left-most cat.", "left-most cat"),
        ("How many cats are there?", "cat"),
        ("Is it the largest cat", "largest cat"),
    ],
)
def test_every_token_of_an_answer_looks_at_the_name_in_its_own_question(processor, question, meant):
    record = _record(
        ("refer", question, "none", []), ("refer", "Where is the other cat?", "nothing", [])
    )
    sample, looks = _looks(processor, record, [1, 0])
    asked = [
        (row, _text(processor, sample, looks.asked.wanted[0, which].nonzero().flatten()))
        for row, which in _rows(looks.asked)
    ]
    texts = list(dict.fromkeys(text.strip() for _, text in asked))
    assert texts[0] == "cat"
    assert texts[-1].removesuffix("s") == meant
    last = [row + 1 for row, text in asked if text.strip() == texts[-1]]
    assert _text(processor, sample, last).endswith("none")


def test_without_a_name_in_the_question_nothing_is_asked_for(processor):
    _, looks = _looks(processor, _record(("list_all", "Locate all.", TWO, [0, 1])), [0])
    assert looks.asked is None
    assert looks.seen is not None


def test_a_sample_of_other_answers_is_refused(processor):
    record = _record(("refer", "Where?", "none", []), ("read_box", "What?", "cat", [1]))
    sample, cells = _encoded(processor, record, [0])
    with pytest.raises(LayoutError, match="1 answers"):
        looks_of_scene(record, [0, 1], sample, cells, processor.tokenizer)
    with pytest.raises(LayoutError, match="are not 'cat'"):
        looks_of_scene(record, [1], sample, cells, processor.tokenizer)


def test_what_is_covered_at_every_middle_has_no_look(processor):
    record = _record(("read_box", "What?", "cat", [0]))
    sample, cells = _encoded(processor, record, [0])
    hidden = replace(cells, owners=torch.full((8,), -1))
    looks = looks_of_scene(record, [0], sample, hidden, processor.tokenizer)
    assert looks.seen is None


def test_pictures_of_text_have_no_looks(processor):
    record = replace(_record(("read", "Read.", "cat", [0])), family="text")
    sample, cells = _encoded(processor, record, [0])
    assert looks_of_scene(record, [0], sample, cells, processor.tokenizer) == Looks()


def test_targets_of_a_pack_are_filled_up_to_the_longest():
    def one(rows: list[int], which: list[int], wanted: Tensor) -> LookTargets:
        boxes = torch.arange(4.0).expand(1, wanted.shape[1], 4)
        return LookTargets(
            torch.tensor([rows]), torch.tensor([which]), wanted, boxes, torch.zeros(1).long()
        )

    short = one([3], [0], torch.ones(1, 1, 4, dtype=torch.bool))
    long = one([4, 5], [1, 0], torch.ones(1, 2, 6, dtype=torch.bool))
    joined = LookTargets.join([short, None, long], [0, 4, 9])
    assert joined.starts.tolist() == [0, 9]
    assert joined.rows.tolist() == [[3, 0], [4, 5]]
    assert joined.which.tolist() == [[0, -1], [1, 0]]
    assert joined.wanted.sum((1, 2)).tolist() == [4, 12]
    assert joined.boxes[:, :, 3].isnan().tolist() == [[False, True], [False, False]]
    assert LookTargets.join([None, None], [0, 4]) is None
