# SPDX-License-Identifier: Apache-2.0
"""The served model as the responder of an application, which works on a thread.

An application asks one question after another, and takes a failed one as a part that it could not read. What ends the
whole request is therefore raised as `Ended`, which no application catches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from finesight.conversation import Conversation, Reply, Sampling
from finesight.engine.request import Request
from finesight.engine.worker import Ticket
from finesight.errors import DeadlineExceeded, FinesightError, QueueFull
from finesight.server.errors import HttpError, client_gone
from finesight.server.metrics import Metrics
from finesight.server.models import Served


class Ended(Exception):
    """Carries the error that ends the request of an application.

    Args:
        error: the response.
    """

    def __init__(self, error: FinesightError) -> None:
        super().__init__(str(error))
        self.error = error


class Asking:
    """Answers the questions of one application; they are computed together with those of other requests.

    Args:
        served: the model.
        metrics: counts times and tokens.
        seconds: time for all questions together.
    """

    def __init__(self, served: Served, metrics: Metrics, seconds: float) -> None:
        self._served, self._metrics, self._seconds = served, metrics, seconds
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._tickets: list[Ticket] = []
        self._reason: FinesightError | None = None

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Answer each conversation.

        Raises:
            Ended: the client is gone, the server stops, the time is over, or too many requests wait.
            FinesightError: a conversation cannot be answered; the others are cancelled.
        """
        tickets: list[Ticket] = []
        try:
            for conversation in conversations:
                tickets.append(self._ticket(conversation, sampling))
            return [self._reply(ticket) for ticket in tickets]
        except (QueueFull, DeadlineExceeded) as error:
            raise Ended(self._late() if isinstance(error, DeadlineExceeded) else error) from error
        finally:
            with self._lock:
                self._tickets = [each for each in self._tickets if each not in tickets]
            for ticket in tickets:
                ticket.cancel()

    def check(self) -> None:
        """Raise `Ended` if the request has ended or its time is over."""
        if self._reason is not None:
            raise Ended(self._reason)
        if time.monotonic() >= self._deadline:
            raise Ended(self._late())

    def cancel(self) -> None:
        """End the questions because nobody waits for the result any more."""
        self._end(client_gone())

    def stop(self) -> None:
        """End the questions because the server stops."""
        self._end(
            HttpError(
                503,
                "the server stopped before the application was finished",
                hint="send the request again",
                code="stopping",
            )
        )

    def _end(self, reason: FinesightError) -> None:
        with self._lock:
            self._reason = self._reason or reason
            tickets = list(self._tickets)
        for ticket in tickets:
            ticket.cancel()

    def _ticket(self, conversation: Conversation, sampling: Sampling) -> Ticket:
        self.check()
        request = Request(
            conversation=conversation,
            sampling=sampling,
            deadline_seconds=max(self._deadline - time.monotonic(), 0.001),
            adapter=self._served.adapter,
        )
        ticket = self._served.engine.submit(request)
        with self._lock:
            self._tickets.append(ticket)
        return ticket

    def _reply(self, ticket: Ticket) -> Reply:
        self.check()  # `cancel` may have come before this ticket was among those that it ends
        started_at, first_at = time.monotonic(), None
        reply = None
        for event in ticket:
            if first_at is None:
                first_at = time.monotonic()
                self._metrics.first_token(self._served.name, first_at - started_at)
            reply = event.reply
        self.check()
        assert reply is not None  # a ticket ends with a reply or raises
        assert first_at is not None
        now = time.monotonic()
        self._metrics.answer(self._served.name, reply.usage, now - started_at, now - first_at)
        return reply

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the application was not finished within {self._seconds:g} s",
            hint="ask about fewer pages or a smaller picture",
        )
