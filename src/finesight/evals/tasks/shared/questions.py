# SPDX-License-Identifier: Apache-2.0
"""What every benchmark file needs: a question as its copy tells it, and ways to ask it.

Reading and asking are kept apart. A task reads the rows of its copy into `Question`s once; each `Prompt` then turns
the same questions into conversations. So a new way of asking never touches the reading, nor the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finesight.conversation import Conversation, ImagePart, Message, Part, TextPart, VideoPart
from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Answered, Budget, Extractor, Item, Prompt

Media = ImagePart | VideoPart
Piece = str | Media

TOKEN_PIXELS = 28 * 28
"""Pixels of one visual token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, before it is put into words for a model.

    Attributes:
        id: unique in its task.
        text: the question.
        truth: what scoring needs.
        oracle: an answer in words that is right, for checking the task itself.
        media: pictures and videos in order, without a budget.
        choices: texts of the options; empty for an open question.
        hint: what stands before the question.
        group: questions that are scored together.
        cluster: the picture or video shared with others.
        tags: columns to break scores down by.
    """

    id: str
    text: str
    truth: Mapping[str, Any]
    oracle: str
    media: tuple[Media, ...] = ()
    choices: tuple[str, ...] = ()
    hint: str = ""
    group: str | None = None
    cluster: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that could not be used.

    Attributes:
        where: file and row.
        reason: what is wrong with it.
    """

    where: str
    reason: str


Read = Callable[[Path], Iterable[Question | Broken]]
Ask = Callable[[Question], Sequence[Piece]]


def prompt(name: str, source: str, read: Read, ask: Ask, *, system: str | None = None) -> Prompt:
    """A `Prompt` that reads with one function and asks with another.

    Args:
        name: of the prompt.
        source: where its words come from.
        read: gives the questions of a local copy.
        ask: the parts of the user's turn, in reading order.
        system: text of the system turn; None leaves the model's own.
    """

    def items(folder: Path, budget: Budget) -> Iterator[Item]:
        for question in read(folder):
            if isinstance(question, Broken):
                yield broken_item(question.where, question.reason)
            else:
                yield as_item(question, conversation(ask(question), budget, system=system))

    return Prompt(name, source, items)


def conversation(
    pieces: Sequence[Piece], budget: Budget, *, system: str | None = None
) -> Conversation:
    """One user turn of these pieces; runs of text are joined, media are given the budget."""
    parts: list[Part] = []
    for piece in pieces:
        last = parts[-1] if parts else None
        if not isinstance(piece, str):
            parts.append(within(piece, budget))
        elif isinstance(last, TextPart):
            parts[-1] = TextPart(last.text + piece)
        elif piece:
            parts.append(TextPart(piece))
    turns = [] if system is None else [Message("system", (TextPart(system),))]
    return Conversation((*turns, Message("user", tuple(parts))))


def within(media: Media, budget: Budget) -> Media:
    """The same picture or video with the pixels and frames of a budget; one for frames leaves pictures alone."""
    if isinstance(media, ImagePart):
        if budget.total_pixels is not None:
            return media
        return replace(media, min_pixels=budget.min_pixels, max_pixels=budget.max_pixels)
    is_file = not media.is_frame_list
    return replace(
        media,
        fps=budget.fps if is_file else None,
        max_frames=budget.max_frames if is_file else None,
        min_pixels=budget.min_pixels,
        max_pixels=budget.max_pixels,
        total_pixels=budget.total_pixels,
    )


def as_item(question: Question, asked: Conversation) -> Item:
    """A question with the words it is asked in."""
    return Item(
        id=question.id,
        conversation=asked,
        truth={**question.truth, "oracle": question.oracle},
        group=question.group,
        cluster=question.cluster,
        tags=question.tags,
    )


def either(name: str, version: str, choose: Callable[[Mapping[str, Any]], Extractor]) -> Extractor:
    """An extractor that reads by one rule or another, as the kind of the question says."""

    def read(answered: Answered) -> Any:
        return choose(answered.truth).read(answered)

    return Extractor(name, version, read)
