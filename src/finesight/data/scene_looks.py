# SPDX-License-Identifier: Apache-2.0
"""Where to look while writing: the question's words that say what is meant, and the cells where it stands.

A scene's record knows which objects an answer names, in order. So each token of the answer can be told which tokens it
follows from: first the name in its own question, then the visual tokens of the object. Heads of the decoder's attention
are told to look there: `finesight.train.looks`. What is not in the picture is looked for at the first token, which
stands for "nowhere".

Pictures of text have looks of their own: `finesight.data.text_looks`.

Legend: L tokens of a sample.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.batch import EncodedSample
from finesight.data.dense import ObjectCells
from finesight.data.look_targets import (
    Collected,
    Looks,
    answer_starts,
    check_tokens,
    tokens_over,
)
from finesight.data.record import Record
from finesight.text.tokenizer import Tokenizer

__all__ = ["Look", "looks_of_answer", "looks_of_scene"]

_ENTRY = re.compile(r'\{"[^{}]*(?="\})|x\d+="\d+" y\d+="\d+(?=")')
"""One object of an answer: an entry of a JSON list, or one point of the XML form. The closing quote is left to what
follows: one token holds it together with the comma or the bracket that says whether there is one more."""

_WHOLE = frozenset({"name_box", "read_box", "read", "present"})
"""Kinds of questions whose whole answer speaks of the objects meant."""

_WHICH = r"(?:(?:left|right|top|bottom)-most |largest |smallest )?"
"""What may stand before a name in a question that means one of several."""

_BEFORE_ROLE = 3
"""Tokens between a question and the role of its answer: end of turn, newline, start of turn."""


@dataclass(frozen=True, slots=True)
class Look:
    """A stretch of an answer and what it speaks of.

    Attributes:
        begin: its first character.
        end: the character after its last.
        objects: indices into the record's objects; empty where it says that there is nothing (more).
    """

    begin: int
    end: int
    objects: tuple[int, ...]


def looks_of_answer(kind: str, answer: str, objects: Sequence[int]) -> list[Look]:
    """Cut an answer into stretches that speak of one thing each.

    What stands between two objects belongs to the second: whether there is one more is seen by looking for it.

    Args:
        kind: kind of the question.
        answer: what is written.
        objects: the objects meant, in the order of the answer.
    """
    if kind in _WHOLE or not objects:
        return [Look(0, len(answer), tuple(objects))]
    ends = [found.end() for found in _ENTRY.finditer(answer)]
    if len(ends) != len(objects):  # a label with braces; such an answer says nothing certain
        return []
    looks = [
        Look(begin, end, (item,))
        for begin, end, item in zip([0, *ends[:-1]], ends, objects, strict=True)
    ]
    return [*looks, Look(ends[-1], ends[-1] + 1, ())]


def looks_of_scene(
    record: Record,
    chosen: Sequence[int],
    sample: EncodedSample,
    cells: ObjectCells,
    tokenizer: Tokenizer,
) -> Looks:
    """Looks of an encoded record; empty where nothing is known.

    Args:
        record: with a task for each turn in `meta["tasks"]`.
        chosen: turns that the sample holds, in order.
        sample: the encoded conversation.
        cells: where the record's objects lie among the visual tokens of a frame.
        tokenizer: the one that encoded the sample.

    Raises:
        LayoutError: the sample does not hold these turns.
    """
    tasks = record.meta.get("tasks")
    if not tasks or not record.family.startswith("scene"):
        return Looks()
    starts = answer_starts(sample, len(chosen))
    asked, seen = Collected(), Collected()
    for start, turn in zip(starts, chosen, strict=True):
        (question, answer), task = record.turns[turn], tasks[turn]
        begins = _token_starts(sample, start, answer, tokenizer)
        rows = range(start - 1, start - 1 + len(begins))
        asked.add(rows, _words(sample, start, question, task.get("name", ""), tokenizer))
        for look in looks_of_answer(task["kind"], answer, task["objects"]):
            inside = (
                row
                for row, begin in zip(rows, begins, strict=True)
                if look.begin <= begin < look.end
            )
            box = cells.boxes[look.objects[0]] if len(look.objects) == 1 else None
            seen.add(inside, _covered(sample, cells, look.objects), box)
    return Looks(asked.targets(), seen.targets())


def _token_starts(sample: EncodedSample, start: int, text: str, tokenizer: Tokenizer) -> list[int]:
    """Character at which each token of `text` begins, which stands in the sample from token `start` on."""
    ids, begins = tokenizer.encode_with_starts(text)
    check_tokens(sample, start, ids, text)
    return begins


def _words(
    sample: EncodedSample, answer: int, question: str, name: str, tokenizer: Tokenizer
) -> Tensor:
    """bool[L], the tokens of a name in the question before the answer that starts at `answer`."""
    wanted = torch.zeros(sample.input_ids.numel(), dtype=torch.bool)
    named = re.search(rf"\b{_WHICH}{re.escape(name)}", question) if name else None
    if named is None:
        return wanted
    between = _BEFORE_ROLE + len(tokenizer.encode("assistant\n"))
    start = answer - between - len(tokenizer.encode(question))
    begins = _token_starts(sample, start, question, tokenizer)
    for place, (begin, end) in enumerate(zip(begins, [*begins[1:], len(question)], strict=True)):
        # a token that brings its space along begins before the name
        wanted[start + place] = begin < named.end() and end > named.start()
    return wanted


def _covered(sample: EncodedSample, cells: ObjectCells, objects: tuple[int, ...]) -> Tensor:
    """bool[L], the visual tokens of these objects; the first token alone where there are none.

    Empty for an object that others cover at every cell's middle.
    """
    owned = torch.isin(cells.owners, torch.tensor(objects)) if objects else None
    return tokens_over(sample, owned)
