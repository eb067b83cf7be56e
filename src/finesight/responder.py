# SPDX-License-Identifier: Apache-2.0
"""What a model can be asked for, as protocols. Code above the engine knows a model only through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from finesight.conversation import Conversation, Reply, Sampling, StreamEvent


class Responder(Protocol):
    """Answers conversations: the engine, an HTTP endpoint, a scripted fake."""

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Answer each conversation; replies come in the order of the conversations."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Computes log-probabilities of given assistant turns."""

    def score(self, conversations: Sequence[Conversation]) -> list[list[float]]:
        """Log-probability of each target token of each conversation."""
        ...


class Embedder(Protocol):
    """Computes a vector for each conversation, for search by similarity."""

    def embed(
        self, conversations: Sequence[Conversation], *, pooling: Literal["last", "mean"] = "last"
    ) -> list[list[float]]:
        """Vectors of unit length: of the last token's state, or of the mean over all tokens."""
        ...


class Streamer(Protocol):
    """Streams answers."""

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[StreamEvent]:
        """Yield pieces as they are generated; the last event has the complete reply."""
        ...
