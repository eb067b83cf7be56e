# SPDX-License-Identifier: Apache-2.0
"""Spelled targets: tokenise the answers of a sample with one token per character.

A small model that writes subword tokens must first learn the spelling of each token. Spelled, a transcription is
copied letter by letter (docs/decisions/0013-spelled-transcriptions.md). The text of the answer and the prompt do not
change.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from finesight.batch import IGNORE_INDEX, EncodedSample
from finesight.conversation import Conversation
from finesight.data.record import Truth, text_of
from finesight.text.tokenizer import Tokenizer

__all__ = ["SPELLED", "is_transcription", "spelled", "spelled_ids"]

SPELLED = "spelled"
"""Key of `Record.meta`: true if all answers of the record are spelled."""


def spelled_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """Tokens of a text, one per character."""
    return [token for char in text for token in tokenizer.encode(char)]


def is_transcription(conversation: Conversation, truth: Truth) -> bool:
    """Whether each answer is the picture's characters in reading order, apart from white space."""
    chars = "".join(glyph.char for glyph in truth.glyphs or ())
    answers = [
        "".join(text_of(message).split())
        for message in conversation.messages
        if message.role == "assistant"
    ]
    return bool(chars) and all(answer == chars for answer in answers)


def spelled(sample: EncodedSample, tokenizer: Tokenizer) -> EncodedSample:
    """The sample with every target text as one token per character; control tokens are unchanged.

    Each additional token shifts all later tokens by one index and by one in all three position ids, so `rope_delta`,
    the difference of the two, does not change.
    """
    ids, labels, positions = sample.input_ids.tolist(), sample.labels.tolist(), sample.position_ids
    control = set(tokenizer.special_ids.values())
    new_ids: list[int] = []
    new_labels: list[int] = []
    new_positions: list[torch.Tensor] = []
    new_index = torch.zeros(len(ids), dtype=torch.int64)
    begin = 0
    while begin < len(ids):
        end = begin + 1
        pieces = ids[begin:end]
        is_text = labels[begin] != IGNORE_INDEX and ids[begin] not in control
        if is_text:
            while end < len(ids) and labels[end] != IGNORE_INDEX and ids[end] not in control:
                end += 1
            pieces = spelled_ids(tokenizer.decode(ids[begin:end]), tokenizer)
        new_index[begin] = len(new_ids)
        shift = len(new_ids) - begin
        first = positions[:, begin : begin + 1] + shift
        new_positions.append(first + torch.arange(len(pieces)))
        new_ids += pieces
        new_labels += pieces if labels[begin] != IGNORE_INDEX else [IGNORE_INDEX]
        begin = end
    return replace(
        sample,
        input_ids=torch.tensor(new_ids),
        labels=torch.tensor(new_labels),
        position_ids=torch.cat(new_positions, dim=1),
        visual_index=new_index[sample.visual_index],
    )
