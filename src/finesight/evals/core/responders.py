# SPDX-License-Identifier: Apache-2.0
"""Sources of answers as the runner sees them: a model, stored outputs, or a baseline.

`ItemResponder` differs from `Responder` in one point, the item: stored outputs are found by its id, and a baseline may
look at its truth. Models and stored outputs are in `finesight.evals.responders`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from finesight.conversation import FinishReason, MediaRecord, Reply, Sampling, Usage
from finesight.errors import FinesightError
from finesight.evals.core.task import Item

ANSWER_ERRORS = (FinesightError, MemoryError, RuntimeError)
"""What a source of answers may raise; torch reports a lack of memory as a `RuntimeError`."""

Value = TypeVar("Value")


class ItemResponder(Protocol):
    """Anything that answers items."""

    @property
    def name(self) -> str:
        """What results and caches call it; differs whenever answers may differ."""

    @property
    def reads_media(self) -> bool:
        """Whether pictures must be there for it to answer."""

    @property
    def declares_resize(self) -> bool:
        """Whether its replies say which size the model saw."""

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """Answer one item.

        Raises:
            FinesightError: it cannot; the run counts this under a reason and goes on.
        """


@runtime_checkable
class BatchResponder(ItemResponder, Protocol):
    """An `ItemResponder` that takes several items at once."""

    def answer_many(self, items: Sequence[Item], sampling: Sampling) -> list[Reply | Exception]:
        """One reply per item, in order, or the error of that item; an error loses no other reply."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Answers made from the item itself without a model; its truth may be used.

    Attributes:
        name: see `ItemResponder`.
        text_of: gives the answer.
    """

    reads_media: ClassVar[bool] = False
    declares_resize: ClassVar[bool] = False

    name: str
    text_of: Callable[[Item], str]

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """What `text_of` makes of the item."""
        del sampling
        return canned(self.text_of(item))


def canned(text: str, reason: FinishReason = "stop", media: tuple[MediaRecord, ...] = ()) -> Reply:
    """A reply that no model gave: no tokens were counted."""
    return Reply(text=text, token_ids=(), finish_reason=reason, usage=Usage(0, 0, 0), media=media)


def attempt(call: Callable[[], Value]) -> Value | Exception:
    """What a call gives, or the error it ended with if it is one of `ANSWER_ERRORS`."""
    try:
        return call()
    except ANSWER_ERRORS as error:
        return error
