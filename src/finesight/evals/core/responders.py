# SPDX-License-Identifier: Apache-2.0
"""Interface of the sources of answers: a model, stored outputs, or a baseline.

Unlike a `Responder`, an `ItemResponder` gets the item: stored outputs are found by its id, and a baseline may use its
truth. Models and stored outputs are in `finesight.evals.responders`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from finesight.conversation import FinishReason, MediaRecord, Reply, Sampling, Usage
from finesight.errors import EvalError, FinesightError
from finesight.evals.core.task import Item, Space

ANSWER_ERRORS = (FinesightError, MemoryError, RuntimeError)
"""Errors that fail one item; torch reports a lack of memory as a `RuntimeError`."""

Value = TypeVar("Value")


class RunStopped(EvalError):
    """Ends a run, instead of failing one item."""


class ItemResponder(Protocol):
    """A source of answers to items."""

    @property
    def name(self) -> str:
        """Name in results and caches; differs whenever answers may differ."""

    @property
    def reads_media(self) -> bool:
        """Whether it needs the media of the item."""

    @property
    def declares_resize(self) -> bool:
        """Whether its replies state the size that the model saw."""

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """Answer one item.

        Raises:
            FinesightError: there is no answer; the run counts the item as failed and continues.
        """


@runtime_checkable
class BatchResponder(ItemResponder, Protocol):
    """An `ItemResponder` that answers several items in one call."""

    def answer_many(self, items: Sequence[Item], sampling: Sampling) -> list[Reply | Exception]:
        """One reply or error per item, in order; an error of one item does not affect the others."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Answers computed from the item, which may use its truth; no model.

    Attributes:
        name: see `ItemResponder`.
        text_of: computes the answer.
    """

    reads_media: ClassVar[bool] = False
    declares_resize: ClassVar[bool] = False

    name: str
    text_of: Callable[[Item], str]

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The text of `text_of`."""
        del sampling
        return canned(self.text_of(item))


def canned(text: str, reason: FinishReason = "stop", media: tuple[MediaRecord, ...] = ()) -> Reply:
    """A reply without a model; token counts are 0."""
    return Reply(text=text, token_ids=(), finish_reason=reason, usage=Usage(0, 0, 0), media=media)


def check_space(responder: ItemResponder, space: Space) -> None:
    """Raise `EvalError` if coordinates are in resized pixels and the responder does not state resized sizes."""
    if space == "resized" and not responder.declares_resize:
        raise EvalError(
            f"the space of answers is resized, but {responder.name} does not state the resized sizes",
            hint="state another space, or have pictures resized before they are sent",
        )


def attempt(call: Callable[[], Value]) -> Value | Exception:
    """The value of a call, or its error if it is one of `ANSWER_ERRORS` but not `RunStopped`."""
    try:
        return call()
    except RunStopped:
        raise
    except ANSWER_ERRORS as error:
        return error
