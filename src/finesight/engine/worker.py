# SPDX-License-Identifier: Apache-2.0
"""The engine thread, and the tickets by which other threads follow their requests."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from finesight.conversation import Reply, StreamEvent
from finesight.engine.core import Core, Outcome
from finesight.engine.sequence import Sequence
from finesight.errors import DeadlineExceeded, EngineError, FinesightError, QueueFull

_CLOSING_SECONDS = 5.0

Sink = Callable[[Outcome], None]
"""Takes the events of one request, on the engine thread; must not block."""


@dataclass(slots=True)
class _Job:
    """A request at work.

    Attributes:
        sequence: its state.
        sink: takes its events.
        deadline: time at which it fails, on the monotonic clock; None if it may take any time.
        allowed: seconds that it was given.
    """

    sequence: Sequence
    sink: Sink
    deadline: float | None = None
    allowed: float | None = None


class Worker:
    """A thread that runs a `Core` while there is something to do.

    Args:
        core: the sequences; used by this thread only.
        max_sequences: requests that are answered at the same time.
        max_waiting: further requests that may wait; more are refused.
    """

    def __init__(self, core: Core, max_sequences: int, max_waiting: int) -> None:
        self._core = core
        self._max_sequences = max_sequences
        self._max_waiting = max_waiting
        self._condition = threading.Condition()
        self._new: list[_Job] = []
        self._cancelled: list[Sequence] = []
        self._jobs: dict[Sequence, _Job] = {}
        self._is_stopped = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="finesight-engine", daemon=True)
        self._thread.start()

    def add(self, sequence: Sequence, sink: Sink, deadline_seconds: float | None = None) -> None:
        """Let a sequence be answered.

        Raises:
            QueueFull: too many requests wait.
            EngineError: the engine was closed.
        """
        deadline = None if deadline_seconds is None else time.monotonic() + deadline_seconds
        with self._condition:
            if self._is_stopped:
                raise EngineError("the engine is closed", hint="make another one")
            num_waiting = len(self._jobs) + len(self._new) - self._max_sequences
            if num_waiting >= self._max_waiting:
                raise QueueFull(
                    f"{num_waiting} requests wait already; max_waiting is {self._max_waiting}",
                    hint="try again later, or raise max_waiting",
                )
            self._new.append(_Job(sequence, sink, deadline, deadline_seconds))
            self._condition.notify()

    def cancel(self, sequence: Sequence) -> None:
        """End a sequence with the answer so far, unless it is finished; returns at once."""
        if self._is_of_parent:
            return
        with self._condition:
            self._cancelled.append(sequence)
            self._condition.notify()

    def close(self) -> None:
        """End the thread after its current step; unfinished requests end with an error.

        A step that takes longer than some seconds is not waited for.
        """
        if self._is_of_parent:
            return
        with self._condition:
            self._is_stopped = True
            self._condition.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_SECONDS)

    @property
    def num_unfinished(self) -> int:
        """Requests that are computed or wait."""
        return len(self._jobs) + len(self._new)

    @property
    def _is_of_parent(self) -> bool:
        """Whether this process was forked: the thread does not exist here, and a lock may be held for ever."""
        return self._process != os.getpid()

    def _run(self) -> None:
        try:
            while self._take():
                try:
                    outcomes = self._core.step()
                except BaseException as error:  # noqa: BLE001  # a fault of the engine, or SystemExit of a callback
                    outcomes = self._all_failed(error)
                self._tell(outcomes)
        finally:
            with self._condition:
                self._is_stopped = True
            closed = EngineError("the engine was closed before the answer was finished")
            self._tell([(sequence, closed) for sequence in list(self._jobs)])
            self._tell_new(closed)

    def _take(self) -> bool:
        """Take over new and cancelled requests; waits while there is nothing to do. False once it is stopped."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._new or self._cancelled or self._jobs or self._is_stopped
            )
            new, self._new = self._new, []
            cancelled, self._cancelled = self._cancelled, []
            is_stopped = self._is_stopped
        for job in new:
            self._jobs[job.sequence] = job
            self._core.scheduler.add(job.sequence)
        for sequence in cancelled:
            if sequence in self._jobs:
                self._tell([(sequence, self._core.cancel(sequence))])
        self._expire()
        return not is_stopped

    def _expire(self) -> None:
        now = time.monotonic()
        for sequence, job in list(self._jobs.items()):
            if job.deadline is not None and now >= job.deadline:
                self._core.scheduler.remove(sequence)
                number = len(sequence.transcript.token_ids)
                late = DeadlineExceeded(
                    f"the answer was not finished within {job.allowed:g} s; it has {number} tokens",
                    hint="raise deadline_seconds, or lower max_new_tokens",
                )
                self._tell([(sequence, late)])

    def _tell(self, outcomes: list[tuple[Sequence, Outcome]]) -> None:
        for sequence, outcome in outcomes:
            job = self._jobs[sequence]
            if isinstance(outcome, FinesightError) or outcome.reply is not None:
                del self._jobs[sequence]
                sequence.end()
            try:
                job.sink(outcome)
            except Exception:  # noqa: BLE001  # nobody listens any more: a closed event loop
                self.cancel(sequence)

    def _tell_new(self, error: EngineError) -> None:
        with self._condition:
            new, self._new = self._new, []
        for job in new:
            job.sequence.end()
            job.sink(error)

    def _all_failed(self, error: BaseException) -> list[tuple[Sequence, Outcome]]:
        failure = EngineError(
            f"the engine failed with {type(error).__name__}: {str(error)[:300]}",
            hint="this is an error of finesight: please report it with the request",
        )
        found: list[tuple[Sequence, Outcome]] = []
        for sequence in list(self._jobs):
            self._core.scheduler.remove(sequence)
            found.append((sequence, failure))
        return found


class Ticket:
    """The events of one request, in order; ends after the event with the reply.

    A ticket that is thrown away cancels its request.

    Args:
        worker: the engine thread.
        sequence: the request's state.
        deadline_seconds: time that it may take.
        owner: kept alive until the ticket is thrown away: the engine, which closes its thread when it is collected.
    """

    def __init__(
        self, worker: Worker, sequence: Sequence, deadline_seconds: float | None, owner: object
    ) -> None:
        self._worker, self._sequence, self._owner = worker, sequence, owner
        self._events: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._reply: Reply | None = None
        self._is_over = True  # until it is accepted; `__del__` runs in any case
        worker.add(sequence, self._events.put, deadline_seconds)
        self._is_over = False

    def __iter__(self) -> Iterator[StreamEvent]:
        """The events.

        Raises:
            FinesightError: the request failed.
        """
        return self

    def __next__(self) -> StreamEvent:
        """The next event; waits for it."""
        if self._is_over:
            raise StopIteration
        outcome = self._events.get()
        self._is_over = isinstance(outcome, FinesightError) or outcome.reply is not None
        if isinstance(outcome, FinesightError):
            raise outcome
        self._reply = outcome.reply
        return outcome

    def reply(self) -> Reply:
        """Wait for the whole answer.

        Raises:
            FinesightError: the request failed.
        """
        for _ in self:
            pass
        if self._reply is None:
            raise EngineError("the request failed before, so it has no reply")
        return self._reply

    def cancel(self) -> None:
        """End the answer; the last event then has the text so far and the finish reason "cancelled"."""
        if not self._is_over:
            self._worker.cancel(self._sequence)

    def __del__(self) -> None:
        """Cancel the request if it is unfinished."""
        self.cancel()


class AsyncTicket:
    """The events of one request, in order, for the event loop that runs while it is made.

    One that is thrown away cancels its request. Arguments as in `Ticket`.
    """

    def __init__(
        self, worker: Worker, sequence: Sequence, deadline_seconds: float | None, owner: object
    ) -> None:
        self._worker, self._sequence, self._owner = worker, sequence, owner
        self._events: asyncio.Queue[Outcome] = asyncio.Queue()
        self._is_over = True  # until it is accepted; `__del__` runs in any case
        loop, events = asyncio.get_running_loop(), self._events

        def put(outcome: Outcome) -> None:  # does not hold the ticket, which may be thrown away
            loop.call_soon_threadsafe(events.put_nowait, outcome)

        worker.add(sequence, put, deadline_seconds)
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """The events.

        Raises:
            FinesightError: the request failed.
        """
        return self

    async def __anext__(self) -> StreamEvent:
        """The next event."""
        if self._is_over:
            raise StopAsyncIteration
        outcome = await self._events.get()
        self._is_over = isinstance(outcome, FinesightError) or outcome.reply is not None
        if isinstance(outcome, FinesightError):
            raise outcome
        return outcome

    def cancel(self) -> None:
        """End the answer; the last event then has the text so far and the finish reason "cancelled"."""
        if not self._is_over:
            self._worker.cancel(self._sequence)

    def __del__(self) -> None:
        """Cancel the request if it is unfinished."""
        self.cancel()
