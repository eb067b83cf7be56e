# SPDX-License-Identifier: Apache-2.0
"""Whoever answers the items of a benchmark: a model, stored outputs, or a baseline that knows a little too much.

The runner sees `ItemResponder` and nothing else. It differs from `Responder` in one point, the item: stored outputs
are found by its id, and an oracle looks at its truth. `FromModel` puts any `Responder` behind it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, get_args

from finesight.conversation import FinishReason, Reply, Responder, Sampling, Usage
from finesight.errors import EvalError
from finesight.evals.layout import rows
from finesight.evals.task import Item

STORED_COLUMNS = {
    "id": ("id", "pid", "question_id", "sample_id", "index", "_key"),
    "text": ("text", "response", "prediction", "output", "model_answer", "answer"),
    "reason": ("finish_reason",),
}
"""What files of stored outputs call an item's id, its raw answer, and why it ended; the best name first."""


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


@dataclass(frozen=True, slots=True)
class FromModel:
    """A `Responder` asked item by item.

    Attributes:
        responder: an engine, an endpoint, or a fake.
        name: model and digest of its weights, or model and address of an endpoint.
        declares_resize: whether its replies hold media records.
    """

    responder: Responder
    name: str
    declares_resize: bool = True

    @property
    def reads_media(self) -> bool:
        """A model looks at its pictures."""
        return True

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The model's reply."""
        return self.responder.respond([item.conversation], sampling)[0]


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What all that never look at a picture have in common."""

    name: str

    @property
    def reads_media(self) -> bool:
        """Never."""
        return False

    @property
    def declares_resize(self) -> bool:
        """There is none."""
        return False


@dataclass(frozen=True, slots=True)
class Replay(_Baseline):
    """Answers that were given before.

    Attributes:
        stored: raw answer by item id.
        reasons: how answers ended, where that is known; the others count as ended by themselves.
    """

    stored: Mapping[str, str]
    reasons: Mapping[str, FinishReason]

    @classmethod
    def load(cls, path: Path) -> Replay:
        """Read stored outputs: JSON, JSONL, TSV, CSV or parquet; `samples.jsonl` of a run is one of them.

        Raises:
            EvalError: there is no such file, a row is broken, or an id stands twice.
        """
        stored: dict[str, str] = {}
        reasons: dict[str, FinishReason] = {}
        optional = {name: STORED_COLUMNS[name] for name in ("text", "reason")}
        for row in rows(path, columns={"id": STORED_COLUMNS["id"]}, optional=optional):
            if row.error is not None or "text" not in row.values:
                lacks = f"no column for the answer, such as {', '.join(optional['text'][:3])}"
                raise EvalError(f"{row.where}: {row.error or lacks}")
            item_id = str(row["id"])
            if item_id in stored:
                raise EvalError(f"{row.where}: a second output for item {item_id!r}")
            if row["text"] is not None:  # a run notes its failed items so
                stored[item_id] = str(row["text"])
            if row.get("reason") in get_args(FinishReason):
                reasons[item_id] = cast("FinishReason", row["reason"])
        return cls(f"replay of {path.name}", stored, reasons)

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The stored output of the item."""
        del sampling
        if item.id not in self.stored:
            raise EvalError(f"item {item.id} has no stored output; there are {len(self.stored)}")
        return canned(self.stored[item.id], self.reasons.get(item.id, "stop"))


@dataclass(frozen=True, slots=True)
class Oracle(_Baseline):
    """Answers made from the item itself, its truth included.

    Attributes:
        text_of: gives the answer.
    """

    text_of: Callable[[Item], str]

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """What `text_of` makes of the item."""
        del sampling
        return canned(self.text_of(item))


@dataclass(frozen=True, slots=True)
class Constant(_Baseline):
    """The same answer to everything.

    Attributes:
        text: the answer.
    """

    text: str

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """Always the same."""
        del item, sampling
        return canned(self.text)


@dataclass(frozen=True, slots=True)
class RandomChoice(_Baseline):
    """One of an item's choices, drawn anew for each item and equal in every order of items.

    Attributes:
        choices_of: gives the answers to choose from, such as letters.
        seed: another one draws other answers.
    """

    choices_of: Callable[[Item], Sequence[str]]
    seed: int = 0

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """A drawn choice; nothing where there are no choices."""
        del sampling
        choices = self.choices_of(item)
        draw = random.Random(f"{self.seed}/{item.id}")
        return canned(draw.choice(choices) if choices else "")


def canned(text: str, reason: FinishReason = "stop") -> Reply:
    """A reply that no model gave: no tokens were counted and no picture was seen."""
    return Reply(text=text, token_ids=(), finish_reason=reason, usage=Usage(0, 0, 0))
