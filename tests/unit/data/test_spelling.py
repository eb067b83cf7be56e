# SPDX-License-Identifier: Apache-2.0
"""Answers with one token per character have the same text and consistent positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.record import Glyph, Truth, asked_about
from finesight.data.spelling import is_transcription, spelled
from finesight.processor.mrope import VisionSpan, mrope_position_ids

PICTURE = ImagePart(source=np.full((56, 84, 3), 200, np.uint8))


def encoded(processor, conversation):
    return processor.encode(conversation, add_generation_prompt=False)


def test_it_is_one_token_per_character_and_stays_the_same_text(tiny_processor):
    conversation = asked_about(
        (), (("Read it.", "Über 12 €"), ("And now?", "the text in the image"))
    )
    whole = encoded(tiny_processor, conversation)
    single = spelled(whole, tiny_processor.tokenizer)
    encode, decode = tiny_processor.tokenizer.encode, tiny_processor.tokenizer.decode
    assert decode(single.input_ids.tolist()) == decode(whole.input_ids.tolist())
    learned = single.labels[single.labels != -100].tolist()
    answers = ("Über 12 €", "the text in the image")
    assert len(learned) == sum(len(encode(c)) for text in answers for c in text) + 2 * 2
    assert len(learned) > (whole.labels != -100).sum()
    asked = single.input_ids[single.labels == -100]
    assert torch.equal(asked, whole.input_ids[whole.labels == -100])
    single.check()


def test_positions_are_those_of_a_row_of_that_length(tiny_processor):
    """Text, an answer, then a picture: index and position ids of all after the answer are shifted."""
    messages = (
        Message("user", (TextPart("Read it."),)),
        Message("assistant", (TextPart("the text in the image"),)),
        Message("user", (PICTURE, TextPart("And this?"))),
        Message("assistant", (TextPart("nothing"),)),
    )
    single = spelled(encoded(tiny_processor, Conversation(messages)), tiny_processor.tokenizer)
    single.check()
    tokens = single.input_ids[single.visual_index]
    assert (tokens == tiny_processor.model_config.special_tokens.image_pad).all()
    before, after = int(single.visual_index[0]), int(single.visual_index[-1]) + 1
    runs = [before, VisionSpan((1, 2, 3), ()), len(single.input_ids) - after]
    positions, delta = mrope_position_ids(runs, tokens_per_second=2)
    assert torch.equal(single.position_ids, positions)
    assert single.rope_delta == delta


def test_what_is_spelled_already_stays(tiny_processor):
    whole = encoded(tiny_processor, asked_about((PICTURE,), (("Read it.", "x"),)))
    single = spelled(whole, tiny_processor.tokenizer)
    for name in ("input_ids", "labels", "position_ids", "visual_index"):
        assert torch.equal(getattr(single, name), getattr(whole, name)), name


@pytest.mark.parametrize(
    ("answer", "is_one"), [("ab\nc", True), (" ab c", True), ("abc!", False), ("cab", False)]
)
def test_a_transcription_is_what_the_picture_says(answer, is_one):
    truth = Truth(glyphs=tuple(Glyph(char, 1.0, 1.0, n) for n, char in enumerate("abc")))
    assert is_transcription(asked_about((), (("Read it.", answer),)), truth) == is_one
    both = asked_about((), (("Read it.", answer), ("What colour?", "red")))
    assert not is_transcription(both, truth)


def test_without_characters_nothing_is_a_transcription():
    talk = asked_about((), (("Read it.", "abc"),))
    assert not is_transcription(talk, Truth())
    assert not is_transcription(talk, Truth(glyphs=()))
