# SPDX-License-Identifier: Apache-2.0
"""Where to look while writing: the question's words that say what is meant, and the cells where it stands.

A scene's record knows which objects an answer names, in order. So each token of the answer can be told which tokens it
follows from: first the name in its own question, then the visual tokens of the object. Heads of the decoder's attention
are told to look there: `finesight.train.looks`. What is not in the picture is looked for at the first token, which
stands for "nowhere".

Legend: S samples, L tokens of a sample, R tokens of it that look, K different sets of tokens to look at.
Worked example: "none" as an answer of two tokens in places 20 and 21 gives `rows = [[19, 20]]`, `which = [[0, 0]]`, and
`wanted` of one set that is true at token 0 alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample
from finesight.data.dense import ObjectCells
from finesight.data.record import Record
from finesight.errors import LayoutError
from finesight.text.tokenizer import Tokenizer

__all__ = ["Look", "LookTargets", "Looks", "looks_of_answer", "looks_of_sample"]

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


@dataclass(frozen=True, slots=True)
class LookTargets:
    """Where the tokens of a sample look, or of several samples side by side, filled up to the longest.

    Attributes:
        rows: int64[S, R], tokens that look; each looks for the sake of the token after it.
        which: int64[S, R], row of `wanted` for each; -1 where the place is only filled up.
        wanted: bool[S, K, L], the tokens to look at, counted from the sample's first.
        boxes: float32[S, K, 4], edges of the object looked at, in cells; NaN where it is not one object.
        starts: int64[S], first token of each sample in its pack; `rows` count from there too.
    """

    rows: Tensor
    which: Tensor
    wanted: Tensor
    boxes: Tensor
    starts: Tensor

    def to(self, device: torch.device | str) -> LookTargets:
        """Copy with every tensor on `device`."""
        parts = (self.rows, self.which, self.wanted, self.boxes, self.starts)
        return LookTargets(*(part.to(device) for part in parts))

    @classmethod
    def join(cls, parts: Sequence[LookTargets | None], starts: Sequence[int]) -> LookTargets | None:
        """Targets of a pack.

        Args:
            parts: targets of each sample on its own, None where there are none.
            starts: first token of each sample.
        """
        known = [(part, start) for part, start in zip(parts, starts, strict=True) if part]
        if not known:
            return None
        num_rows = max(part.rows.shape[1] for part, _ in known)
        num_sets, length = (max(part.wanted.shape[axis] for part, _ in known) for axis in (1, 2))
        rows = torch.zeros(len(known), num_rows, dtype=torch.int64)
        which = torch.full_like(rows, -1)
        wanted = torch.zeros(len(known), num_sets, length, dtype=torch.bool)
        boxes = torch.full((len(known), num_sets, 4), torch.nan)
        for place, (part, _) in enumerate(known):
            rows[place, : part.rows.shape[1]] = part.rows
            which[place, : part.which.shape[1]] = part.which
            wanted[place, : part.wanted.shape[1], : part.wanted.shape[2]] = part.wanted
            boxes[place, : part.boxes.shape[1]] = part.boxes
        return cls(rows, which, wanted, boxes, torch.tensor([start for _, start in known]))


@dataclass(frozen=True, slots=True)
class Looks:
    """All looks of a sample or a pack; None for a kind that has none there.

    Attributes:
        asked: at the name in the question.
        seen: at the object in the picture.
    """

    asked: LookTargets | None = None
    seen: LookTargets | None = None

    def to(self, device: torch.device | str) -> Looks:
        """Copy with every tensor on `device`."""
        parts = (self.asked, self.seen)
        return Looks(*(part.to(device) if part else None for part in parts))

    @classmethod
    def join(cls, parts: Sequence[Looks], starts: Sequence[int]) -> Looks:
        """Looks of a pack from those of its samples, which begin at `starts`."""
        return cls(
            asked=LookTargets.join([part.asked for part in parts], starts),
            seen=LookTargets.join([part.seen for part in parts], starts),
        )


@dataclass(slots=True)
class _Collected:
    """Rows and sets of one kind of look, while the turns are gone through."""

    rows: list[int] = field(default_factory=list)
    which: list[int] = field(default_factory=list)
    sets: list[Tensor] = field(default_factory=list)
    boxes: list[Tensor] = field(default_factory=list)

    def add(self, rows: Iterable[int], wanted: Tensor, box: Tensor | None = None) -> None:
        """Let `rows` look at the tokens of `wanted`, bool[L], of an object with `box`; nothing where it is empty."""
        before = len(self.rows)
        if wanted.any():
            self.rows += rows
            self.which += [len(self.sets)] * (len(self.rows) - before)
            self.sets.append(wanted)
            self.boxes.append(torch.full((4,), torch.nan) if box is None else box)

    def targets(self) -> LookTargets | None:
        if not self.rows:
            return None
        return LookTargets(
            rows=torch.tensor([self.rows]),
            which=torch.tensor([self.which]),
            wanted=torch.stack(self.sets)[None],
            boxes=torch.stack(self.boxes)[None],
            starts=torch.zeros(1, dtype=torch.int64),
        )


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


def looks_of_sample(
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
    starts = _answer_starts(sample)
    if len(starts) != len(chosen):
        raise LayoutError(f"{len(chosen)} turns were chosen, the sample has {len(starts)} answers")
    asked, seen = _Collected(), _Collected()
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
    found = sample.input_ids[start : start + len(ids)].tolist()
    if found != ids:
        raise LayoutError(f"the sample's tokens from {start} on are not {text!r}")
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


def _answer_starts(sample: EncodedSample) -> list[int]:
    """Place of the first token of each answer: where a run of learned tokens begins."""
    learned = sample.labels != IGNORE_INDEX
    begins = learned & ~torch.cat([learned.new_zeros(1), learned[:-1]])
    return [int(place) for place in torch.nonzero(begins)]


def _covered(sample: EncodedSample, cells: ObjectCells, objects: tuple[int, ...]) -> Tensor:
    """bool[L], the visual tokens of these objects; the first token alone where there are none.

    Empty for an object that others cover at every cell's middle.
    """
    wanted = torch.zeros(sample.input_ids.numel(), dtype=torch.bool)
    if not objects:
        wanted[0] = True
        return wanted
    frame = torch.isin(cells.owners, torch.tensor(objects))
    wanted[sample.visual_index[frame.repeat(len(sample.visual_index) // len(frame))]] = True
    return wanted
