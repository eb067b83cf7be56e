# SPDX-License-Identifier: Apache-2.0
"""Answers a request with a loaded model: whole or piece by piece, cancelled when its client is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

from fastapi import Request as HttpRequest

from finesight.batch import EncodedSample
from finesight.conversation import Reply, StreamEvent
from finesight.engine.request import Request
from finesight.engine.worker import AsyncTicket
from finesight.server.errors import HttpError, client_gone
from finesight.server.metrics import Metrics
from finesight.server.models import Served
from finesight.server.slots import Slots

Result = TypeVar("Result")


class Answers:
    """The answers to one request: one for each of its choices.

    Args:
        served: the model.
        requests: one for each choice; they share their conversation.
        metrics: counts times and tokens.
        slots: places for the encoding of conversations.
    """

    def __init__(
        self, served: Served, requests: Sequence[Request], metrics: Metrics, slots: Slots
    ) -> None:
        self._served, self._requests, self._metrics = served, requests, metrics
        self._slots = slots
        self._starting: asyncio.Future[None] | None = None
        self._tickets: list[AsyncTicket] = []
        self._started_at = time.monotonic()
        self._first_at: dict[int, float] = {}
        self._is_ended = self._is_stopped = False

    async def start(self, sample: EncodedSample | None = None) -> None:
        """Encode the conversation once, unless `sample` is given, and let all choices be answered.

        Raises:
            FinesightError: the conversation cannot be encoded, is too long, too many requests wait, or the server
                stops.
        """
        self._starting = asyncio.ensure_future(self._slots.run(lambda: self._start(sample)))
        try:
            await self._starting
        except asyncio.CancelledError:
            if self._is_stopped:
                raise _stopped("before the answer began") from None
            raise

    async def _start(self, sample: EncodedSample | None) -> None:
        engine = self._served.engine
        if sample is None:
            # In the same slot as what follows: encoded pictures that wait for memory would be without a limit.
            sample = await asyncio.to_thread(self._requests[0].encode, engine.processor)
        for request in self._requests:
            if self._is_ended:
                return
            self._tickets.append(await engine.start(request, sample))
        if self._is_ended:
            self.cancel()

    async def events(self) -> AsyncIterator[tuple[int, StreamEvent]]:
        """Number of a choice with the next piece of its answer, in the order in which they come.

        Raises:
            FinesightError: a choice failed; the others are cancelled.
        """
        ready: asyncio.Queue[tuple[int, StreamEvent | BaseException]] = asyncio.Queue()

        async def read(choice: int, ticket: AsyncTicket) -> None:
            try:
                async for event in ticket:
                    ready.put_nowait((choice, event))
            except Exception as error:  # noqa: BLE001  # raised again by the reader of the queue
                ready.put_nowait((choice, error))

        readers = [asyncio.create_task(read(*each)) for each in enumerate(self._tickets)]
        unfinished = len(readers)
        try:
            while unfinished:
                choice, event = await ready.get()
                if isinstance(event, BaseException):
                    raise event
                self._count(choice, event)
                unfinished -= event.reply is not None
                yield choice, event
        finally:
            self.cancel()
            for reader in readers:
                reader.cancel()

    async def replies(self) -> list[Reply]:
        """The whole answers; errors as in `events`."""
        found: dict[int, Reply] = {}
        async for choice, event in self.events():
            if event.reply is not None:
                found[choice] = event.reply
        return [found[choice] for choice in range(len(self._tickets))]

    def cancel(self) -> None:
        """End the choices that are not finished."""
        self._is_ended = True
        for ticket in self._tickets:
            ticket.cancel()

    def stop(self) -> None:
        """Let the unfinished choices fail, because the server stops."""
        self._is_stopped = True
        if self._starting is not None:
            self._starting.cancel()
        self.cancel()

    def _count(self, choice: int, event: StreamEvent) -> None:
        now = time.monotonic()
        if choice not in self._first_at:
            self._first_at[choice] = now
            self._metrics.first_token(self._served.name, now - self._started_at)
        if event.reply is None:
            return
        if event.reply.finish_reason == "cancelled" and self._is_stopped:
            raise _stopped(f"after {event.reply.usage.completion_tokens} tokens of the answer")
        usage, first = event.reply.usage, self._first_at[choice]
        self._metrics.answer(self._served.name, usage, now - self._started_at, now - first)


def _stopped(when: str) -> HttpError:
    return HttpError(
        503, f"the server stopped {when}", hint="send the request again", code="stopping"
    )


async def unless_gone(http: HttpRequest, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled when the client closes the connection.

    Args:
        http: the request; its body has been read.
        work: what the client waits for.

    Raises:
        HttpError: the client is gone; nobody reads it.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(_disconnect(http))
    try:
        await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise client_gone()
    finally:
        task.cancel()
        watch.cancel()


async def _disconnect(http: HttpRequest) -> None:
    """Return when the client closes the connection."""
    while (await http.receive())["type"] != "http.disconnect":
        pass
