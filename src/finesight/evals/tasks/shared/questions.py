# SPDX-License-Identifier: Apache-2.0
"""Questions of benchmarks, and the prompts that turn them into conversations.

A task reads the rows of its copy into `Question`s; each `Prompt` turns the same questions into conversations. So a new
prompt changes neither the reading nor the truth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finesight.conversation import Conversation, ImagePart, Message, Part, TextPart, VideoPart
from finesight.evals.core.task import Answered, Budget, Extractor, Item, Prompt

Media = ImagePart | VideoPart
Piece = str | Media


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, independent of the prompt.

    Attributes:
        id: unique in its task.
        text: the question.
        truth: what scoring needs.
        oracle: a correct answer as text, for checking the task itself.
        media: pictures and videos in order, without a budget.
        choices: texts of the options; empty for an open question.
        hint: text that a prompt may add to the question.
        group: questions that are scored together.
        cluster: the picture or video shared with other questions.
        tags: to break scores down by.
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


Read = Callable[[Path], Iterable[Question | Item]]
"""Reads the questions of a local copy; unusable rows come as broken items."""
Ask = Callable[[Question], Sequence[Piece]]
"""The parts of the user's turn, in reading order."""


def template(form: str = "{text}") -> Ask:
    """Pictures and videos, then this text with `{text}` and `{hint}` of the question filled in."""
    return lambda asked: [*asked.media, form.format(text=asked.text, hint=asked.hint)]


@dataclass(frozen=True, slots=True)
class Way(ABC):
    """A way to ask questions, independent of the copy.

    Attributes:
        name: of the prompt.
        source: where its text comes from.
    """

    name: str
    source: str

    @abstractmethod
    def item(self, question: Question, budget: Budget) -> Item:
        """The conversation for a question, within a budget of pixels and frames."""


@dataclass(frozen=True, slots=True)
class Wording(Way):
    """A prompt of text and media, without tools.

    Attributes:
        ask: gives the parts of the user's turn.
        system: text of the system turn; None leaves the model's own.
    """

    ask: Ask
    system: str | None = None

    def item(self, question: Question, budget: Budget) -> Item:
        """See `Way.item`."""
        return as_item(question, conversation(self.ask(question), budget, system=self.system))


def prompts(read: Read, *ways: Way) -> tuple[Prompt, ...]:
    """One prompt per way to ask; the first is the default."""
    return tuple(_prompt(read, each) for each in ways)


def _prompt(read: Read, way: Way) -> Prompt:
    def items(folder: Path, budget: Budget) -> Iterator[Item]:
        for found in read(folder):
            yield way.item(found, budget) if isinstance(found, Question) else found

    return Prompt(way.name, way.source, items)


def conversation(
    pieces: Sequence[Piece], budget: Budget, *, system: str | None = None
) -> Conversation:
    """One user turn of these pieces; adjacent texts are joined, media get the budget."""
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
    """A picture or video with the limits of a budget; a budget of total video pixels leaves pictures unchanged."""
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
    """The item of a question and its conversation."""
    return Item(
        id=question.id,
        conversation=asked,
        truth={**question.truth, "oracle": question.oracle},
        group=question.group,
        cluster=question.cluster,
        tags=question.tags,
    )


def either(name: str, version: str, letter: Extractor, other: Extractor) -> Extractor:
    """An extractor that uses `letter` for questions with options and `other` for the rest."""

    def read(answered: Answered) -> Any:
        return (letter if answered.truth["choices"] else other).read(answered)

    return Extractor(name, version, read)
