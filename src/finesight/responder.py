# SPDX-License-Identifier: Apache-2.0
"""What a model can be asked for, as protocols. Code above the engine knows a model only through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from finesight.conversation import Conversation, Reply, Sampling


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
