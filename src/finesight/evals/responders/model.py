# SPDX-License-Identifier: Apache-2.0
"""A model as a source of answers: in batches, with an optional cache, optionally on blank pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from finesight.conversation import Conversation, Reply, Sampling
from finesight.errors import EngineError
from finesight.evals.core.responders import attempt
from finesight.evals.core.task import Item
from finesight.evals.responders.blind import blanked
from finesight.evals.responders.cache import read_reply, reply_path, write_reply
from finesight.responder import Responder


@dataclass(frozen=True, slots=True)
class FromModel:
    """Answers items with a `Responder`.

    Attributes:
        responder: an engine, an endpoint, or a fake.
        name: model and digest of its weights, or model and address of an endpoint.
        declares_resize: whether its replies hold media records.
        cache: folder for its replies at temperature 0; None caches nothing.
        is_blind: pictures and videos are replaced by blank ones.
    """

    reads_media: ClassVar[bool] = True

    responder: Responder
    name: str
    declares_resize: bool = True
    cache: Path | None = None
    is_blind: bool = False

    def blind(self) -> FromModel:
        """The same model on blank pictures."""
        return replace(self, name=f"{self.name}, blank pictures", is_blind=True)

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The model's reply, or the cached one."""
        (found,) = self.answer_many([item], sampling)
        if isinstance(found, Exception):
            raise found
        return found

    def answer_many(self, items: Sequence[Item], sampling: Sampling) -> list[Reply | Exception]:
        """One reply or error per item; items that are not cached are asked in one call of the model.

        If that call fails, each item is asked alone, so that only the items at fault have no reply.
        """
        cache = self.cache if sampling.temperature == 0 else None
        found: list[Reply | Exception | None] = []
        asked: list[tuple[int, Conversation, Path | None]] = []
        for place, item in enumerate(items):
            ready = attempt(partial(self._prepared, item, sampling, cache))
            if isinstance(ready, Exception):
                found.append(ready)
                continue
            conversation, path = ready
            found.append(None if path is None else read_reply(path))
            if found[-1] is None:
                asked.append((place, conversation, path))
        replies = self._replies([conversation for _, conversation, _ in asked], sampling)
        for (place, _, path), reply in zip(asked, replies, strict=True):
            found[place] = reply
            if path is not None and isinstance(reply, Reply):
                write_reply(path, reply)
        return [each for each in found if each is not None]

    def _prepared(
        self, item: Item, sampling: Sampling, cache: Path | None
    ) -> tuple[Conversation, Path | None]:
        """The conversation to ask, and the path of its cached reply."""
        shown = blanked(item.conversation) if self.is_blind else item.conversation
        return shown, cache and reply_path(cache, self.name, shown, sampling)

    def _replies(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Reply | Exception]:
        if not conversations:
            return []
        together = attempt(partial(self._respond, conversations, sampling))
        if not isinstance(together, Exception):
            return [*together]
        if len(conversations) == 1:
            return [together]
        return [each for one in conversations for each in self._replies([one], sampling)]

    def _respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        replies = self.responder.respond(conversations, sampling)
        if len(replies) != len(conversations):
            raise EngineError(
                f"{self.name} gave {len(replies)} replies to {len(conversations)} questions"
            )
        return replies
