# SPDX-License-Identifier: Apache-2.0
"""Rejection sampling: what is kept, what is dropped for which reason, and the continuation of a stopped round."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from finesight.config.load import validate
from finesight.conversation import Conversation, ImagePart, Message, Reply, TextPart, Usage
from finesight.data.places import Place
from finesight.data.record import Record, text_of
from finesight.data.shards import ShardSet, write_shard
from finesight.errors import ConfigError, DataError, EngineError
from finesight.evals.responders.blind import blanked
from finesight.evals.rewards import REWARDS
from finesight.processor.processor import Processor
from finesight.train.answer_checks import changes_script, is_repeating
from finesight.train.rejection import Sampler, SampleRecipe

META = {"split": "train", "generator": "test"}


def shown(colour: int) -> np.ndarray:
    return np.full((84, 112, 3), colour, np.uint8)


def record(name: str, question: str, answer: str, *, colour: int | None = 90, **more) -> Record:
    picture = () if colour is None else (ImagePart(source=shown(colour)),)
    said = Conversation(
        (
            Message("user", (*picture, TextPart(question))),
            Message("assistant", (TextPart(answer),)),
        )
    )
    return Record(id=name, conversation=said, meta=META, **more)


class Script:
    """A responder with scripted answers: `{question: [answer to each seed in turn]}`, and others to blank pictures."""

    def __init__(self, answers, blind=None, broken=()):
        self.answers, self.blind, self.broken = answers, blind or {}, broken
        self.calls = 0

    def respond(self, conversations, sampling):
        self.calls += 1
        return [self._reply(one, sampling) for one in conversations]

    def _reply(self, conversation, sampling):
        question = text_of(conversation.messages[-1])
        if question in self.broken:
            raise EngineError("the picture is broken")
        pictures = [part.source for part in conversation.media()]
        is_blank = any(not isinstance(one, np.ndarray) for one in pictures)
        given = self.answers[question]
        text = given[sampling.seed % len(given)]
        if is_blank:
            text = self.blind.get(question, "unknown")
        reason = "length" if text.endswith("...") else "stop"
        return Reply(
            text=text,
            token_ids=tuple(range(len(text.split()) + 1)),
            finish_reason=reason,
            usage=Usage(10, 0, 5),
        )


@pytest.fixture
def sampler(tmp_path, tiny_model_folder):
    processor = Processor.from_folder(tiny_model_folder)

    def make(records, responder, rewards=None, model="scripted", **changes) -> Sampler:
        folder = tmp_path / "data"
        if not folder.is_dir():
            write_shard(folder / "a.tar", records)
        source = {"path": str(folder), "rewards": rewards or {"exact": 1.0}}
        values = {"kind": "sample", "source": [source], "answers": 4, **changes}
        recipe = validate(values, SampleRecipe, where="test")
        return Sampler(
            recipe,
            responder,
            model=model,
            processor=processor,
            rewards=REWARDS,
            blanked=blanked,
        )

    return make


def run(sampler, out):
    return sampler.run(out, progress=lambda done, total: None)


def answer_of(record: Record) -> str:
    return text_of(record.conversation.messages[-1])


def test_right_answers_are_kept_and_make_pairs_with_wrong_ones(sampler, tmp_path) -> None:
    script = Script({"What is it?": ["A cat.", "a dog", "a cat", "a bird"]})
    counts = run(sampler([record("q", "What is it?", "a cat")], script), tmp_path / "out")
    kept, pairs = (list(ShardSet(tmp_path / "out" / name)) for name in ("sft", "dpo"))
    assert [answer_of(one) for one in kept] == ["A cat."]
    assert kept[0].meta["from"] == "q"
    assert np.array_equal(kept[0].picture, shown(90))
    assert [text_of(one.rejected[0]) for one in pairs] == ["a dog"]
    assert answer_of(pairs[0]) == "A cat."
    expected = {"questions": 1, "answers": 4, "kept": 1, "pairs": 1, "wrong": 2}
    assert {name: number for name, number in counts.items() if number} == expected


def test_every_reason_is_counted(sampler, tmp_path) -> None:
    answers = ["the red one", "这是一只猫 " * 3 + "red", "red red...", "no no no, it is " * 12]
    counts = run(
        sampler([record("q", "Which one?", "red")], Script({"Which one?": answers})),
        tmp_path / "out",
    )
    names = ("wrong", "code-switching", "too long", "repeating", "kept", "pairs")
    assert [counts[name] for name in names] == [1, 1, 1, 1, 0, 0]
    assert not (tmp_path / "out" / "sft").exists()


def test_answers_that_come_with_a_blank_picture_too_are_dropped(sampler, tmp_path) -> None:
    records = [record("seen", "Colour?", "red"), record("guessed", "Sky?", "blue")]
    script = Script({"Colour?": ["red"], "Sky?": ["blue"]}, blind={"Sky?": "Blue."})
    counts = run(sampler(records, script), tmp_path / "out")
    assert [one.meta["from"] for one in ShardSet(tmp_path / "out" / "sft")] == ["seen"]
    assert counts["picture-ignoring"] == 4
    other = run(sampler(records, script, picture="other"), tmp_path / "other")
    assert other["picture-ignoring"] == 8  # the script looks at the question alone
    none = run(sampler(records, script, picture="none"), tmp_path / "none")
    assert none["kept"] == 2


def test_text_needs_no_picture(sampler, tmp_path) -> None:
    script = Script({"2 + 2?": ["so it is 4", "5"]})
    found = sampler(
        [record("q", "2 + 2?", "4", colour=None)], script, {"numeric": 1.0}, most_kept=3
    )
    counts = run(found, tmp_path / "out")
    assert (counts["kept"], counts["pairs"], counts["wrong"]) == (1, 1, 2)


def test_numbers_of_an_answer_stay_those_of_the_resized_picture(sampler, tmp_path) -> None:
    """112 x 84 is shown as it is, and 100 x 90 in another size: its answer holds only for that size."""
    picture = ImagePart(source=np.full((90, 100, 3), 7, np.uint8))
    truth = '[{"bbox_2d": [{{place:0}}], "label": "cat"}]'
    asked = Conversation(
        (
            Message("user", (picture, TextPart("Where?"))),
            Message("assistant", (TextPart(truth),)),
        )
    )
    place = Place("box", 0, (50.0, 45.0, 100.0, 90.0))
    given = Record(id="q", conversation=asked, places=(place,), meta=META)
    said = '[{"bbox_2d": [56, 42, 112, 84], "label": "cat"}]'
    script = Script({"Where?": [said]})
    counts = run(sampler([given], script, {"iou": 1.0}, keep=0.99), tmp_path / "out")
    assert counts["kept"] == 1
    (kept,) = ShardSet(tmp_path / "out" / "sft")
    (part,) = kept.conversation.media()
    assert (part.resized_width, part.resized_height) == (112, 84)
    assert answer_of(kept) == said


def test_a_stopped_round_goes_on_without_doubling(sampler, tmp_path) -> None:
    records = [record(f"q-{index}", f"Which {index}?", "red", colour=None) for index in range(5)]
    script = Script({f"Which {index}?": ["red", "blue"] for index in range(5)})
    whole = run(sampler(records, script, block=2), tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop_after(done: int, total: int) -> None:
        if done == 2:
            raise Stopped

    out = tmp_path / "out"
    with pytest.raises(Stopped):
        sampler(records, script, block=2).run(out, progress=stop_after)
    (out / "counts" / "00000001.json").unlink()  # killed after the shards of the block were written
    calls = script.calls
    again = run(sampler(records, script, block=2), out)
    assert script.calls == calls + 2 * 4  # two blocks, four answers to each question
    assert again == whole
    for name in ("sft", "dpo"):
        first, second = (list(ShardSet(folder / name)) for folder in (tmp_path / "whole", out))
        assert [(one.id, answer_of(one)) for one in first] == [
            (one.id, answer_of(one)) for one in second
        ]
    before = script.calls
    assert run(sampler(records, script, block=2), out) == whole
    assert script.calls == before


def test_a_block_that_is_made_again_without_a_right_answer_keeps_none(sampler, tmp_path) -> None:
    """A model behind an endpoint may answer otherwise after a kill; the numbers are those of the second start."""
    records, out = [record("q", "Which?", "red", colour=None)], tmp_path / "out"
    run(sampler(records, Script({"Which?": ["red", "blue"]})), out)
    (out / "counts" / "00000000.json").unlink()  # killed after the shards were written
    counts = run(sampler(records, Script({"Which?": ["green"]})), out)
    assert (counts["kept"], counts["pairs"]) == (0, 0)
    assert not [*out.glob("*/*.tar"), *out.glob("*/*.index.json")]


def test_a_round_goes_on_with_its_own_recipe_and_model_only(sampler, tmp_path) -> None:
    records = [record("q", "Which?", "red", colour=None)]
    script = Script({"Which?": ["red"]})
    run(sampler(records, script), tmp_path / "out")
    with pytest.raises(ConfigError, match="a round with another answers"):
        run(sampler(records, script, answers=3), tmp_path / "out")
    with pytest.raises(ConfigError, match="a round with another model"):
        run(sampler(records, script, model="better"), tmp_path / "out")


def test_questions_that_cannot_be_answered_are_counted(sampler, tmp_path) -> None:
    records = [record("a", "Good?", "yes", colour=None), record("b", "Broken?", "yes", colour=None)]
    answers = {"Good?": ["yes"], "Broken?": ["yes"]}
    counts = run(sampler(records, Script(answers, broken=("Broken?",))), tmp_path / "out")
    assert (counts["failed"], counts["kept"]) == (4, 1)
    with pytest.raises(DataError, match="none of 2 questions could be answered: the picture"):
        run(sampler(records, Script(answers, broken=tuple(answers))), tmp_path / "new")
    assert not list((tmp_path / "new").glob("counts/*"))


def test_a_damaged_file_of_numbers_is_named(sampler, tmp_path) -> None:
    records = [record("q", "Which?", "red", colour=None)]
    script = Script({"Which?": ["red"]})
    run(sampler(records, script), tmp_path / "out")
    path = tmp_path / "out" / "counts" / "00000000.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"00000000\.json cannot be read"):
        run(sampler(records, script), tmp_path / "out")
    path.unlink()
    assert json.loads(json.dumps(run(sampler(records, script), tmp_path / "out")))["kept"] == 1


@pytest.mark.parametrize(
    ("text", "question", "changes"),
    [
        ("It is a cat", "What is it?", False),
        ("这是猫", "What is it?", True),
        ("It is a cat, or 猫 in Chinese", "What is it?", False),
        ("It is a cat", "这是什么?", True),
        ("这是 USB 接口吗", "这是什么?", False),
        ("12 + 3", "What is it?", False),
        ("これは猫です", "这是什么?", True),
        ("кот", "Что это?", False),
    ],
)
def test_a_change_of_script(text, question, changes) -> None:
    assert changes_script(text, question, "") is changes


def test_repetition() -> None:
    assert is_repeating("the same line again\n" * 5)
    assert not is_repeating("the same line again\n" * 4)
    assert not is_repeating("1\n" * 50 + "end")
    assert is_repeating("start " + "and then it goes " * 9)
    assert not is_repeating("a perfectly ordinary answer, of which no part is a copy")


def test_a_record_keeps_its_schema(sampler, tmp_path) -> None:
    schema = {"type": "object", "required": ["total"]}
    given = replace(record("q", "Read.", "{}", colour=None), meta=META | {"schema": schema})
    script = Script({"Read.": ['{"total": 3}', "total 3"]})
    counts = run(sampler([given], script, {"schema": 1.0}), tmp_path / "out")
    assert (counts["kept"], counts["wrong"]) == (1, 2)
    (kept,) = ShardSet(tmp_path / "out" / "sft")
    assert kept.meta["schema"] == schema
