# SPDX-License-Identifier: Apache-2.0
"""Where to look while writing down what a picture says: at the character written last, and at the one that is next.

A record of text knows where each of its characters stands. So each token of a transcription can be told two places in
the picture: where the reading has come to, and where it goes on, which at the end of a row is the start of the next.
Heads of the decoder's attention are told to look there: `finesight.train.looks`. After the last character there is
nothing to read: that is looked for at the first token, which stands for "nowhere".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import torch
from torch import Tensor

from finesight.batch import EncodedSample
from finesight.data.look_targets import (
    Collected,
    Looks,
    answer_starts,
    check_tokens,
    tokens_over,
)
from finesight.data.record import Record
from finesight.text.tokenizer import Tokenizer

__all__ = ["looks_of_text"]


def looks_of_text(
    record: Record,
    chosen: Sequence[int],
    sample: EncodedSample,
    shape: tuple[int, int],
    tokenizer: Tokenizer,
    *,
    spelled: bool,
) -> Looks:
    """Looks of an encoded record of text; empty where no chosen answer is the whole of its characters.

    Args:
        record: with its glyphs.
        chosen: turns that the sample holds, in order.
        sample: the encoded conversation.
        shape: rows and columns of visual tokens in a frame.
        tokenizer: the one that encoded the sample.
        spelled: whether its answers are one token per character.

    Raises:
        LayoutError: the sample does not hold these turns.
    """
    starts = answer_starts(sample, len(chosen))
    orders = [glyph.order for glyph in record.glyphs]
    cells = _cells(record, shape)
    written, read = Collected(), Collected()
    for start, turn in zip(starts, chosen, strict=True):
        answer = record.turns[turn][1]
        if not _is_transcription(record, answer):
            continue
        begins = _token_starts(sample, start, answer, tokenizer, spelled=spelled)
        for place, (begin, end) in enumerate(zip(begins, [*begins[1:], len(answer)], strict=True)):
            row, first = [start - 1 + place], bisect_left(orders, begin)
            # a token without a character of its own, such as a space, is read off the one that comes next
            after = max(bisect_left(orders, end), first + 1)
            if first:
                written.add(row, tokens_over(sample, _marked(cells[first - 1 : first], shape)))
            read.add(row, tokens_over(sample, _marked(cells[first:after], shape)))
        last = [start - 1 + len(begins)]
        written.add(last, tokens_over(sample, _marked(cells[-1:], shape)))
        read.add(last, tokens_over(sample, None))
    return Looks(written=written.targets(), read=read.targets())


def _is_transcription(record: Record, answer: str) -> bool:
    """Whether the answer is the record's characters in their order, with white space between them."""
    places = {glyph.order: glyph.char for glyph in record.glyphs}
    return bool(places) and places == {
        place: char for place, char in enumerate(answer) if not char.isspace()
    }


def _cells(record: Record, shape: tuple[int, int]) -> list[int]:
    """Index of the cell in which each glyph stands."""
    height, width = record.pixels.shape[:2]
    rows, columns = shape
    return [
        min(int(glyph.y * rows / height), rows - 1) * columns
        + min(int(glyph.x * columns / width), columns - 1)
        for glyph in record.glyphs
    ]


def _marked(cells: Sequence[int], shape: tuple[int, int]) -> Tensor:
    """bool[M], true at these cells of a frame."""
    marked = torch.zeros(shape[0] * shape[1], dtype=torch.bool)
    marked[list(cells)] = True
    return marked


def _token_starts(
    sample: EncodedSample, start: int, answer: str, tokenizer: Tokenizer, *, spelled: bool
) -> list[int]:
    """Character at which each token of the answer begins, which stands in the sample from token `start` on."""
    ids, begins = tokenizer.encode_with_starts(answer)
    if spelled:
        pieces = [tokenizer.encode(char) for char in answer]
        ids = [token for piece in pieces for token in piece]
        begins = [place for place, piece in enumerate(pieces) for _ in piece]
    check_tokens(sample, start, ids, answer)
    return begins
