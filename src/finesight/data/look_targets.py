# SPDX-License-Identifier: Apache-2.0
"""Which tokens of a sample the tokens of its answers should look at, as tensors, and how they are collected.

Legend: S samples, L tokens of a sample, R tokens of it that look, K different sets of tokens to look at.
Worked example: "none" as an answer of two tokens in places 20 and 21 gives `rows = [[19, 20]]`, `which = [[0, 0]]`, and
`wanted` of one set that is true at token 0 alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample
from finesight.errors import LayoutError

__all__ = ["Collected", "LookTargets", "Looks", "answer_starts", "check_tokens", "tokens_over"]


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
        asked: of an answer about a scene, at the name in the question.
        seen: of the same, at the object in the picture.
        written: of a transcription, at the character that was written last.
        read: of the same, at the character that is written next.
    """

    asked: LookTargets | None = None
    seen: LookTargets | None = None
    written: LookTargets | None = None
    read: LookTargets | None = None

    def to(self, device: torch.device | str) -> Looks:
        """Copy with every tensor on `device`."""
        parts = (self.asked, self.seen, self.written, self.read)
        return Looks(*(part.to(device) if part else None for part in parts))

    @classmethod
    def join(cls, parts: Sequence[Looks], starts: Sequence[int]) -> Looks:
        """Looks of a pack from those of its samples, which begin at `starts`."""
        return cls(
            asked=LookTargets.join([part.asked for part in parts], starts),
            seen=LookTargets.join([part.seen for part in parts], starts),
            written=LookTargets.join([part.written for part in parts], starts),
            read=LookTargets.join([part.read for part in parts], starts),
        )


@dataclass(slots=True)
class Collected:
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
        """What was collected, of one sample; None where nothing was."""
        if not self.rows:
            return None
        return LookTargets(
            rows=torch.tensor([self.rows]),
            which=torch.tensor([self.which]),
            wanted=torch.stack(self.sets)[None],
            boxes=torch.stack(self.boxes)[None],
            starts=torch.zeros(1, dtype=torch.int64),
        )


def answer_starts(sample: EncodedSample, number: int) -> list[int]:
    """Place of the first token of each answer: where a run of learned tokens begins.

    Raises:
        LayoutError: there are not `number` answers.
    """
    learned = sample.labels != IGNORE_INDEX
    begins = torch.nonzero(learned & ~torch.cat([learned.new_zeros(1), learned[:-1]]))
    if len(begins) != number:
        raise LayoutError(f"{number} turns were chosen, the sample has {len(begins)} answers")
    return [int(place) for place in begins]


def check_tokens(sample: EncodedSample, start: int, ids: Sequence[int], text: str) -> None:
    """Raise `LayoutError` unless the sample's tokens from `start` on are `ids`, the tokens of `text`."""
    if sample.input_ids[start : start + len(ids)].tolist() != list(ids):
        raise LayoutError(f"the sample's tokens from {start} on are not {text!r}")


def tokens_over(sample: EncodedSample, cells: Tensor | None) -> Tensor:
    """bool[L], the visual tokens of these cells in each frame pair; the first token alone for None, "nowhere".

    Args:
        sample: with one picture or video.
        cells: bool[M], over the cells of a frame.
    """
    wanted = torch.zeros(sample.input_ids.numel(), dtype=torch.bool)
    if cells is None:
        wanted[0] = True
        return wanted
    wanted[sample.visual_index[cells.repeat(len(sample.visual_index) // len(cells))]] = True
    return wanted
