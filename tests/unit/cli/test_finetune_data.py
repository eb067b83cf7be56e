# SPDX-License-Identifier: Apache-2.0
"""Records become held-back questions, and answers of a model become records to replay."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.cli.finetune_data import (
    Examples,
    held_back_examples,
    prepare,
    write_replay,
    writes_letters,
)
from finesight.conversation import Conversation, ImagePart, Message, Reply, TextPart, Usage
from finesight.data.formats.config import ImportConfig
from finesight.data.places import Place, mark
from finesight.data.record import Record
from finesight.data.shards import ShardSet, write_shard
from finesight.errors import DataError
from finesight.evals.core.run import RunResult
from finesight.evals.responders.model import FromModel
from finesight.processor.processor import Processor
from tests.unit.evals.suites.test_fine_tuning import sample

META = {"split": "train", "generator": "test"}
PICTURE = np.full((100, 200, 3), 255, dtype=np.uint8)


@pytest.fixture(scope="module")
def processor(tiny_model_folder):
    return Processor.from_folder(tiny_model_folder)


@pytest.fixture
def examples_of(tmp_path, processor):
    def make(*records):
        write_shard(tmp_path / "a.tar", records)
        numbers = tmp_path / "numbers.json"
        numbers.write_text(json.dumps(list(range(len(records)))))
        found = Examples(tmp_path, numbers, numbers, len(records), len(records), {})
        return held_back_examples(found, processor)

    return make


def message(role, text, *media, is_target=True):
    return Message(role, (*media, TextPart(text)), is_target=is_target)


def record(*messages, **more):
    return Record(id="r", conversation=Conversation(messages), meta=META, **more)


def texts(example):
    return [
        "".join(part.text for part in each.parts if isinstance(part, TextPart))
        for each in example.item.conversation.messages
    ]


def test_every_learned_answer_is_asked_with_what_came_before(examples_of):
    found = examples_of(
        record(
            message("system", "Be brief."),
            message("user", "What?", ImagePart(source=PICTURE)),
            message("assistant", "A.", is_target=False),
            message("user", "And?"),
            message("assistant", "B."),
            message("user", "Then?"),
            message("assistant", "C."),
        )
    )
    assert [one.answer for one in found] == ["B.", "C."]
    assert texts(found[0]) == ["Be brief.", "What?", "A.", "And?"]
    assert texts(found[1])[-2:] == ["B.", "Then?"]
    assert len({one.item.id for one in found}) == 2
    assert all(len(list(one.item.conversation.media())) == 1 for one in found)


def test_independent_questions_are_asked_alone_with_their_picture(examples_of):
    turns = (("One?", "1"), ("Two?", "2"))
    found = examples_of(Record.of_picture(id="r", image=PICTURE, turns=turns, meta=META))
    assert [texts(one) for one in found] == [["One?"], ["Two?"]]
    assert [one.answer for one in found] == ["1", "2"]
    assert all(len(list(one.item.conversation.media())) == 1 for one in found)


def test_boxes_are_in_original_pixels_and_answers_in_resized_ones(examples_of):
    answer = f'[{{"bbox_2d": [{mark(0)}], "label": "cat"}}]'
    (found,) = examples_of(
        record(
            message("user", "Where?", ImagePart(source=PICTURE)),
            message("assistant", answer),
            places=(Place("box", 0, (20.0, 10.0, 120.0, 60.0)),),
        )
    )
    ((label, box),) = found.boxes
    assert label == "cat"
    assert box == pytest.approx((20, 10, 120, 60), abs=1)
    assert '"bbox_2d": [' in found.answer
    assert "place" not in found.answer


def test_answers_about_one_picture_are_one_cluster(examples_of):
    """Rows of a file often have one question each, and several rows a picture: their scores are correlated."""

    def asked(name, *media):
        said = (message("user", "What?", *media), message("assistant", name))
        return replace(record(*said), id=name)

    same, other = (ImagePart(source=np.full((28, 28, 3), value, np.uint8)) for value in (0, 9))
    found = examples_of(asked("a", same), asked("b", same), asked("c", other), asked("d"))
    clusters = [one.item.cluster for one in found]
    assert clusters[0] == clusters[1]
    assert len(set(clusters)) == 3


def test_records_of_two_imports_with_one_id_are_both_asked(examples_of):
    """Otherwise the second counts as a repeated question and has no score."""
    turns = (message("user", "What?"), message("assistant", "A."))
    found = examples_of(record(*turns), record(*turns), record(*turns))
    assert [one.item.id for one in found] == ["r-1", "r-1-again-2", "r-1-again-3"]


def test_tool_calls_are_part_of_the_answer(examples_of):
    call = {"name": "click", "arguments": {"x": 3}}
    (found,) = examples_of(
        record(
            message("user", "Click.", ImagePart(source=PICTURE)),
            Message("assistant", (), tool_calls=(call,)),
        )
    )
    assert found.answer == '<tool_call>\n{"name": "click", "arguments": {"x": 3}}\n</tool_call>'


class Says:
    """Answers letter by letter or not; every third answer is cut."""

    def __init__(self, tokenizer, *, letters):
        self._tokenizer, self._letters = tokenizer, letters
        self.asked = 0

    def respond(self, conversations, sampling):
        return [self._reply() for _ in conversations]

    def _reply(self):
        self.asked += 1
        is_cut = self.asked % 3 == 0
        text = "stop me" if is_cut else "cat dog"
        pieces = text if self._letters else [text]
        ids = tuple(token for piece in pieces for token in self._tokenizer.encode(piece))
        usage = Usage(1, 0, len(ids))
        reason = "length" if is_cut else "stop"
        return Reply(text=text, token_ids=ids, finish_reason=reason, usage=usage)


@pytest.mark.parametrize("letters", [True, False])
def test_own_answers_are_kept_as_the_model_wrote_them(tmp_path, processor, letters):
    model = FromModel(Says(processor.tokenizer, letters=letters), "fake")
    number = write_replay(tmp_path, model, processor.tokenizer, seed=0, with_texts=True)
    records = list(ShardSet(tmp_path))
    assert number == len(records) == model.responder.asked - model.responder.asked // 3
    assert {one.turns[-1][1] for one in records} == {"cat dog"}  # the cut answers are left out
    assert {one.meta["spelled"] for one in records} == {letters}
    assert any(not list(one.conversation.media()) for one in records)
    asked = model.responder.asked
    assert write_replay(tmp_path, model, processor.tokenizer, seed=0, with_texts=True) == number
    assert model.responder.asked == asked


@pytest.mark.parametrize(("num_tokens", "expected"), [(8, True), (3, False)])
def test_how_a_model_writes_is_seen_from_its_answers(num_tokens, expected):
    samples = tuple(sample(f"s-{n}", "catalog", num_tokens=num_tokens) for n in range(4))
    short = tuple(sample(f"t-{n}", "abc", num_tokens=3) for n in range(9))
    assert writes_letters(RunResult(None, (*samples, *short), 0)) is expected


def test_a_file_is_imported_and_split_once(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = ["image,caption"]
    for number in range(20):
        Image.new("RGB", (28, 28), (number, 0, 0)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,word {number}")
    rows.append("missing.png,lost")
    (folder / "captions.csv").write_text("\n".join(rows))
    config = ImportConfig(bad_rows="skip")
    first = prepare(folder, tmp_path / "run", config, share=0.25, seed=1)
    assert (first.num_train, first.num_held_back) == (15, 5)
    assert sum(first.dropped.values()) == 1
    made = first.train.stat().st_mtime_ns
    assert prepare(folder, tmp_path / "run", config, share=0.25, seed=1) == first
    assert first.train.stat().st_mtime_ns == made


def test_a_file_that_has_changed_since_its_import_is_refused(tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "A."}]}
        for n in range(20)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    prepared = [
        prepare(data, tmp_path / "run", ImportConfig(), share=0.2, seed=1) for _ in range(2)
    ]
    assert prepared[0] == prepared[1]
    data.write_text(data.read_text().replace("A.", "B."))
    with pytest.raises(DataError, match="has changed since it was imported") as refused:
        prepare(data, tmp_path / "run", ImportConfig(), share=0.2, seed=1)
    assert "another --out" in refused.value.hint
    data.unlink()  # the records of the run are there
    assert prepare(data, tmp_path / "run", ImportConfig(), share=0.2, seed=1) == prepared[0]
