# SPDX-License-Identifier: Apache-2.0
"""Packs of several answers to a prompt against one pack of all samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from finesight.batch import EncodedSample, pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.answers import answered, num_rows, pack_answers
from finesight.data.encode import EncoderConfig, TrainingEncoder
from finesight.data.next_token import next_token_targets
from finesight.data.places import Place
from finesight.data.record import Record
from finesight.errors import LayoutError, RecordInvalid
from finesight.model.weights import load_model
from finesight.processor.processor import Processor

META = {"split": "train", "generator": "test"}


@pytest.fixture(scope="module")
def processor(tiny_model_folder) -> Processor:
    return Processor.from_folder(tiny_model_folder)


def conversation(question: str, answer: str, picture=None) -> Conversation:
    shown = () if picture is None else (ImagePart(source=np.array(picture)),)
    return Conversation(
        (
            Message("user", (*shown, TextPart(question))),
            Message("assistant", (TextPart(answer),)),
        )
    )


def group(processor, question, answers, picture=None) -> list[EncodedSample]:
    return [
        processor.encode(conversation(question, one, picture), add_generation_prompt=False)
        for one in answers
    ]


@pytest.fixture(scope="module")
def groups(processor, picture) -> list[list[EncodedSample]]:
    return [
        group(processor, "Locate it.", ("red square", "blue"), picture),
        group(processor, "Say it.", ("one two", "query", "x")),
        group(processor, "Read.", ("label",), picture),
    ]


@pytest.mark.parametrize("attention", ["sdpa", "reference"])
def test_log_probabilities_and_gradients_are_those_of_separate_samples(
    tiny_model_folder, groups, attention
) -> None:
    """The tolerance is that of float32 sums in another order."""
    model = load_model(tiny_model_folder, dtype=torch.float32, attention=attention)
    batch, answers = pack_answers(groups)
    batch.check()
    whole = pack([one for members in groups for one in members])
    learned = next_token_targets(whole)
    assert torch.equal(answers.targets, learned.targets)
    assert answers.lengths.sum() == len(answers.targets)
    shared = model.lm_head.log_probs(model(batch)[answers.rows], answers.targets)
    apart = model.lm_head.log_probs(model(whole)[learned.rows], learned.targets)
    torch.testing.assert_close(shared, apart, rtol=1e-5, atol=1e-5)
    weights = torch.randn(len(shared), generator=torch.Generator().manual_seed(0))
    weights_of = list(model.parameters())
    ours = torch.autograd.grad((shared * weights).sum(), weights_of)
    theirs = torch.autograd.grad((apart * weights).sum(), weights_of)
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_prompt_and_its_picture_are_in_the_pack_once(groups) -> None:
    batch, answers = pack_answers(groups)
    assert batch.input_ids.numel() == sum(map(num_rows, groups))
    assert batch.vision is not None
    assert len(batch.vision.grid_thw) == 2
    assert answers.answers.unique().tolist() == list(range(6))
    assert batch.sample_ids.unique().tolist() == [0, 1, 2]


def test_an_answer_that_begins_with_a_line_break(processor) -> None:
    """The line break merges with that before the answer: the shared part ends before it."""
    samples = group(processor, "Say it.", ("\n\nred", "blue"))
    batch, answers = pack_answers([samples])
    batch.check()
    learned = next_token_targets(pack(samples))
    assert torch.equal(answers.targets, learned.targets)


def test_positions_of_a_sampled_answer_go_on_after_the_prompt(processor, picture) -> None:
    asked = conversation("Locate it.", "red square", picture)
    whole = processor.encode(asked, add_generation_prompt=False)
    prompt = processor.encode(Conversation(asked.messages[:1]))
    ids = whole.labels[whole.labels >= 0].tolist()
    found = answered(prompt, ids)
    length = found.input_ids.numel()
    assert torch.equal(found.input_ids, whole.input_ids[:length])
    assert torch.equal(found.labels, whole.labels[:length])
    assert torch.equal(found.position_ids, whole.position_ids[:, :length])


def test_prompts_of_a_group_must_be_equal(processor, picture) -> None:
    with pytest.raises(LayoutError, match="cannot pack 0 groups"):
        pack_answers([])
    other = np.full((56, 56, 3), 9, np.uint8)
    samples = [
        *group(processor, "Locate it.", ("red",), picture),
        *group(processor, "Locate it.", ("red",), other),
    ]
    with pytest.raises(LayoutError, match="a picture or video comes after them"):
        pack_answers([samples])
    (sample,) = group(processor, "Say.", ("x",))
    unlearned = replace(sample, labels=torch.full_like(sample.labels, -100))
    with pytest.raises(LayoutError, match="needs a prompt and an answer"):
        pack_answers([[unlearned]])


def pair(answer: str, worse: str, **more) -> Record:
    said = conversation("Where?", answer, np.full((90, 100, 3), 200, np.uint8))
    rejected = (Message("assistant", (TextPart(worse),)),)
    return Record(id="r", conversation=said, rejected=rejected, meta=META, **more)


def encode(processor, record, **config):
    encoder = TrainingEncoder(EncoderConfig(pairs=True, **config), processor)
    return encoder.encode(record, np.random.default_rng(1))


def test_both_answers_of_a_record_see_the_same_picture(processor) -> None:
    places = (Place("box", 0, (0.0, 0.0, 50.0, 45.0)), Place("box", 0, (50.0, 45.0, 100.0, 90.0)))
    given = pair("[{{place:0}}]", "[{{place:1}}]", places=places)
    given.check()
    one = encode(processor, given)
    assert one.rejected is not None
    assert one.sample.vision == one.rejected.vision
    texts = [
        processor.tokenizer.decode(each.labels[each.labels >= 0].tolist())
        for each in (one.sample, one.rejected)
    ]
    assert [text.strip() for text in texts] == ["[0, 0, 56, 42]", "[56, 42, 112, 84]"]
    assert one.num_tokens == num_rows((one.sample, one.rejected))


def test_earlier_answers_are_no_targets_of_a_pair(processor) -> None:
    turns = conversation("Where?", "Here.").messages
    more = (
        *turns,
        Message("user", (TextPart("Sure?"),)),
        Message("assistant", (TextPart("Yes."),)),
    )
    rejected = (Message("assistant", (TextPart("No."),)),)
    given = Record(id="r", conversation=Conversation(more), rejected=rejected, meta=META)
    one = encode(processor, given)
    kept = processor.tokenizer.decode(one.sample.labels[one.sample.labels >= 0].tolist())
    assert kept.startswith("Yes.")


def test_a_record_without_a_worse_answer_is_no_pair(processor) -> None:
    given = Record(id="r", conversation=conversation("Where?", "Here."), meta=META)
    with pytest.raises(RecordInvalid, match="there is no worse answer"):
        encode(processor, given)
