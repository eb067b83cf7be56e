# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from pathlib import Path

import pytest

from finesight.config.load import read_recipe
from finesight.conversation import Conversation, Message, Reply, TextPart, Usage
from finesight.data.build import BuildConfig, build
from finesight.data.builders.replay import Replay, UserTurn
from finesight.data.builders.replay_config import ReplayConfig
from finesight.data.builders.replay_seeds import NO_PICTURE_ANSWERS, first_message
from finesight.data.shards import ShardSet
from finesight.errors import DataError

RECIPES = Path(__file__).parents[3] / "recipes" / "small"


class Scripted:
    """An engine that answers every request from a function of it."""

    def __init__(self, write) -> None:
        self.write = write
        self.groups: list[list] = []

    def run(self, requests):
        self.groups.append(list(requests))
        for index, request in enumerate(requests):
            text, reason = self.write(request)
            yield (
                index,
                Reply(text=text, token_ids=(1,), finish_reason=reason, usage=Usage(1, 0, 1)),
            )


def polite(request) -> tuple[str, str]:
    return ("And then?" if isinstance(request, UserTurn) else "It is so."), "stop"


def written(write, num=60, **options):
    engine = Scripted(write)
    made = Replay(ReplayConfig(**options), engine)
    return list(made.records([(f"r{seed}", seed) for seed in range(num)])), engine


def test_conversations_alternate_and_have_their_kinds():
    records, engine = written(polite, num=200)
    kinds = {record.meta["kind"] for record in records}
    assert kinds == {"seeded", "free", "no_picture"}
    for record in records:
        record.check()
        assert 1 <= len(record.turns) <= 3
        for place, (question, answer) in enumerate(record.turns):
            is_ours = place == 0 and record.meta["kind"] != "free"
            assert is_ours != (question == "And then?")
            if place == 0 and record.meta["kind"] == "no_picture":
                assert answer in NO_PICTURE_ANSWERS
            else:
                assert answer == "It is so."
    assert {len(record.turns) for record in records} == {1, 2, 3}
    assert max(map(len, engine.groups)) > 50  # written together


def test_a_cut_message_ends_with_its_last_sentence():
    def cut(request):
        return "One sentence. Two sentences. And a", "length"

    records, _ = written(cut, num=10, no_picture_share=0.0)
    assert {answer for record in records for _, answer in record.turns} == {
        "One sentence. Two sentences."
    }


@pytest.mark.parametrize(
    ("text", "reason"), [("", "stop"), ("x <|im_start|>", "stop"), ("so so so", "repetition")]
)
def test_a_model_that_writes_nothing_usable_is_an_error(text, reason):
    with pytest.raises(DataError, match="no usable message"):
        written(lambda _: (text, reason), num=3, no_picture_share=0.0)


def test_an_unusable_later_message_ends_the_conversation():
    def once(request):
        asked = [message for message in request.conversation.messages if message.role == "user"]
        return polite(request) if len(asked) < 2 else ("", "stop")

    records, _ = written(once)
    assert {len(record.turns) for record in records} == {1}


def test_the_prompt_opens_a_user_turn(tiny_processor):
    system, user = (Message(role, (TextPart("Read."),)) for role in ("system", "user"))
    sample = UserTurn(conversation=Conversation((system,))).encode(tiny_processor)
    sample.check()
    asked = tiny_processor.encode(Conversation((system, user)), add_generation_prompt=False)
    prompt = sample.input_ids.tolist()
    assert asked.input_ids.tolist()[: len(prompt)] == prompt
    assert tiny_processor.tokenizer.decode(prompt).endswith("user\n")


def test_no_subject_is_in_both_splits():
    rng = random.Random(0)
    train, heldout = (
        {
            message
            for _ in range(3000)
            if not any(map(str.isdigit, message := first_message(rng, split)))
        }
        for split in ("train", "heldout")
    )
    assert train
    assert heldout
    assert not train & heldout


def a_config(tiny_model_folder, **changes) -> BuildConfig:
    options = {"model": tiny_model_folder, "batch": 3, "max_tokens": 6, "turns": (1, 2)}
    part = {"builder": "replay", "name": "replay", "num_records": 6, "options": options}
    return BuildConfig.model_validate({"shard_records": 4, "parts": [part], **changes})


def test_a_build_resumes_byte_for_byte(tiny_model_folder, tmp_path):
    """With a network of random weights, whose messages are noise."""
    config = a_config(tiny_model_folder)
    assert build(config, tmp_path).made == 6
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "replay-00001.index.json").unlink()
    assert build(config, tmp_path).made == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    for record in ShardSet(tmp_path):
        record.check()


def test_the_recipe_reads():
    (part,) = read_recipe(RECIPES / "data_replay.toml", BuildConfig).parts
    assert part.builder == "replay"
