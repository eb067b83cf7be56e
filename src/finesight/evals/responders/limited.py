# SPDX-License-Identifier: Apache-2.0
"""An endpoint that is not asked any more after several failures in a row, because each attempt takes minutes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from finesight.conversation import Conversation, Reply, Sampling
from finesight.errors import RemoteError
from finesight.evals.core.responders import RunStopped
from finesight.responder import Responder

MOST_FAILURES = 5
"""Consecutive failures of an endpoint after which it is not asked any more."""


class NotAsked(RunStopped):
    """The endpoint failed too often."""


@dataclass(slots=True)
class LimitedFailures:
    """A responder that refuses requests after `MOST_FAILURES` consecutive failures of its endpoint; thread-safe.

    Attributes:
        inner: an endpoint.
        name: of the endpoint, for the message.
    """

    inner: Responder
    name: str
    _num_failed: int = 0
    _last: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Replies of the endpoint.

        Raises:
            NotAsked: it had failed too often.
            FinesightError: it fails now.
        """
        with self._lock:
            if self._num_failed >= MOST_FAILURES:
                raise NotAsked(
                    f"{self.name} had failed {MOST_FAILURES} times in a row; the last: {self._last}",
                    hint="when it answers again, run the same command; --retry-errors also asks failed items again",
                )
        try:
            replies = self.inner.respond(conversations, sampling)
        except RemoteError as error:
            with self._lock:
                self._num_failed += 1
                self._last = error.message
            raise
        with self._lock:
            self._num_failed = 0
        return replies
