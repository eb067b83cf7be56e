# SPDX-License-Identifier: Apache-2.0
"""Records to samples: choice of questions, augmentation, truth in resized pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.dense import CHAR_SLOTS
from finesight.data.encode import EncoderConfig, TrainingEncoder
from finesight.data.record import Glyph, Record, SceneObject, Truth, asked_about
from finesight.errors import RecordInvalid

META = {"split": "train", "generator": "test"}
TURNS = tuple((f"Question {n}?", f"answer {n}") for n in range(5))


def picture(height=56, width=84) -> np.ndarray:
    return np.full((height, width, 3), 180, np.uint8)


def a_record(**changes) -> Record:
    values = {"id": "r", "image": picture(), "turns": TURNS, "meta": META} | changes
    return Record.of_picture(**values)


def encode(processor, record, seed=0, **config):
    config = {"jitter": 0.0, "characters": "abc", "objects": ("cat",)} | config
    made = TrainingEncoder(EncoderConfig(**config), processor)
    found = made.encode(record, np.random.default_rng(seed))
    found.sample.check()
    assert found.dense.num_cells == found.sample.visual_index.numel()
    return found


def text(processor, found) -> str:
    return processor.tokenizer.decode(found.sample.input_ids.tolist())


def test_some_questions_are_asked_in_any_order_and_the_picture_comes_first(tiny_processor):
    orders = set()
    for seed in range(12):
        found = encode(tiny_processor, a_record(), seed, max_turns=2)
        said = text(tiny_processor, found)
        asked = [n for n in range(5) if f"Question {n}?" in said]
        assert len(asked) == 2
        assert all(f"answer {n}" in said for n in asked)
        first = int(found.sample.visual_index[-1])
        assert "Question" not in tiny_processor.tokenizer.decode(
            found.sample.input_ids[:first].tolist()
        )
        orders.add(tuple(sorted(asked, key=lambda n, said=said: said.index(f"Question {n}?"))))
    assert len(orders) > 6


def test_a_conversation_in_order_is_kept_whole(tiny_processor):
    messages = (Message("system", (TextPart("Be short."),)), *asked_about((), TURNS).messages)
    tools = ({"type": "function", "function": {"name": "zoom"}},)
    record = Record(id="talk", conversation=Conversation(messages, tools), meta=META)
    record.check()
    found = encode(tiny_processor, record, max_turns=1)
    whole = tiny_processor.encode(record.conversation, add_generation_prompt=False)
    assert torch.equal(found.sample.input_ids, whole.input_ids)
    assert torch.equal(found.sample.labels, whole.labels)


def test_a_system_message_stays_in_front_of_questions_in_any_order(tiny_processor):
    record = a_record()
    system = Message("system", (TextPart("Be short."),))
    talk = replace(record.conversation, messages=(system, *record.conversation.messages))
    record = replace(record, conversation=talk)
    record.check()
    said = text(tiny_processor, encode(tiny_processor, record, max_turns=2))
    assert said.index("Be short.") < said.index("Question")
    assert "You are a helpful assistant" not in said


def test_every_picture_of_a_record_has_its_own_truth(tiny_processor):
    media = tuple(ImagePart(source=picture()) for _ in range(3))
    cat = Truth(objects=(SceneObject((0, 0, 28, 28), "cat"),))
    record = Record(
        id="three",
        conversation=asked_about(media, TURNS[:1]),
        truth=(cat, Truth(), Truth(glyphs=(Glyph("a", 60.0, 30.0, 0),))),
        meta=META,
    )
    record.check()
    dense = encode(tiny_processor, record).dense
    assert dense.num_cells == 3 * 6
    assert dense.objects.tolist() == [1, 0, 0, 0, 0, 0]
    assert dense.object_cells.tolist() == list(range(6))
    assert dense.text_cells.tolist() == list(range(12, 18))


def test_truth_follows_the_resize(tiny_processor):
    """100 x 40 is shown as 112 x 28 or the like: each character stays on its place in the picture."""
    record = a_record(
        image=picture(40, 100),
        truth=Truth(glyphs=(Glyph("a", 1.0, 1.0, 0), Glyph("b", 99.0, 39.0, 1))),
    )
    found = encode(tiny_processor, record)
    _, height, width = found.sample.vision[0].grid_thw
    assert found.sample.vision[0].record.resize.original.width == 100
    slots = found.dense.slots[found.dense.characters > 1].tolist()
    assert slots == [0, (height * width // 4 - 1) * CHAR_SLOTS]


def test_a_still_video_repeats_the_truth_for_each_pair_of_frames(tiny_processor):
    record = a_record(truth=Truth(objects=()))
    pairs = set()
    for seed in range(8):
        found = encode(tiny_processor, record, seed, video_share=1.0)
        (item,) = found.sample.vision
        assert item.record.kind == "video"
        assert found.dense.object_cells.tolist() == list(range(6 * item.grid_thw[0]))
        pairs.add(item.grid_thw[0])
    assert pairs == {1, 2, 3}


def test_a_video_is_shown_as_it_is(tiny_processor):
    video = VideoPart(source=(picture(),) * 4, sample_fps=2.0)
    record = Record(id="v", conversation=asked_about((video,), TURNS[:1]), meta=META)
    record.check()
    found = encode(tiny_processor, record, jitter=1.0, video_share=1.0)
    whole = tiny_processor.encode(record.conversation, add_generation_prompt=False)
    assert torch.equal(found.sample.vision[0].patches, whole.vision[0].patches)
    assert not len(found.dense.objects)


def darkest(processor, allows) -> list[float]:
    record = a_record(image=np.full((56, 84, 3), 230, np.uint8), allows=allows)
    samples = (encode(processor, record, seed, jitter=1.0).sample for seed in range(40))
    return sorted(float(sample.vision[0].patches.mean()) for sample in samples)


def test_only_pictures_that_may_be_are_inverted(tiny_processor):
    assert darkest(tiny_processor, ("invert",))[0] < 0 < darkest(tiny_processor, ())[0]


@pytest.mark.parametrize("allows", [(), ("move",)])
def test_only_pictures_that_may_be_are_moved(tiny_processor, allows):
    image = picture(140, 140)
    image[60:80, 60:80] = 0
    truth = Truth(glyphs=(Glyph("a", 82.0, 82.0, 0),))
    record = a_record(image=image, truth=truth, allows=allows)
    places = set()
    for seed in range(20):
        dense = encode(tiny_processor, record, seed, squeeze=1.0).dense
        places.add(tuple(dense.slots[dense.characters > 1].tolist()))
    assert (len(places) > 1) == bool(allows)


def test_a_share_of_transcriptions_is_spelled(tiny_processor):
    word = "image"
    glyphs = tuple(Glyph(char, 9.0 + 6 * n, 14.0, n) for n, char in enumerate(word))
    record = a_record(turns=(("Read it.", word),), truth=Truth(glyphs=glyphs))
    lengths = {
        share: [
            int(
                (encode(tiny_processor, record, seed, spelled_share=share).sample.labels >= 0).sum()
            )
            for seed in range(20)
        ]
        for share in (0.0, 0.5, 1.0)
    }
    (whole,), (single,) = set(lengths[0.0]), set(lengths[1.0])
    assert single > whole
    assert set(lengths[0.5]) == {whole, single}
    other = a_record(turns=(("What is it?", "the image"),), truth=Truth(glyphs=glyphs))
    plain, asked = (encode(tiny_processor, other, spelled_share=share) for share in (0.0, 1.0))
    assert torch.equal(plain.sample.input_ids, asked.sample.input_ids)


def test_a_record_that_cannot_be_encoded_is_named(tiny_processor):
    video = VideoPart(source=b"no video at all", fps=1.0)
    record = Record(id="torn", conversation=asked_about((video,), TURNS[:1]), meta=META)
    with pytest.raises(RecordInvalid, match="record 'torn': "):
        encode(tiny_processor, record)
