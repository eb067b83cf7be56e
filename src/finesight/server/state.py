# SPDX-License-Identifier: Apache-2.0
"""What the endpoints of one server share."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from fastapi.requests import HTTPConnection

from finesight.conversation import Conversation, Sampling
from finesight.engine import request as engine_request
from finesight.errors import ConfigError
from finesight.server.answering import Answers
from finesight.server.asking import Asking
from finesight.server.gate import Gate
from finesight.server.media import MediaAccess, fetch_policy, is_fetched, names_address
from finesight.server.metrics import Metrics
from finesight.server.models import Models, Served
from finesight.server.settings import ServerSettings
from finesight.server.slots import Slots

Result = TypeVar("Result")

_FETCHES = 8
_APPLICATIONS = 8


class ServerState:
    """The shared state.

    Args:
        models: the models.
        settings: limits and permissions.

    Attributes:
        models: the models.
        settings: limits and permissions.
        gate: decides which requests are read.
        access: decides which files may be opened.
        metrics: numbers for Prometheus.
        encoding: places for reading media that a request brings with it.
        fetching: places for reading media that are fetched, so that a slow host delays no other requests.
        applications: places for applications, which hold a thread until they are finished.
        num_live: connections of live video.
    """

    def __init__(self, models: Models, settings: ServerSettings) -> None:
        settings.check()
        self.models, self.settings = models, settings
        self.gate = Gate(settings)
        self.access = MediaAccess(fetch_policy(settings.hosts), settings.folders)
        self.metrics = Metrics(
            {
                ("active_requests", "Requests that are read or answered, or wait"): lambda: (
                    self.gate.num_active
                ),
                ("running_answers", "Answers that the engines compute"): lambda: self._num(0),
                ("waiting_answers", "Answers that wait for an engine"): lambda: self._num(1),
                ("body_bytes", "Bytes of the requests in memory"): lambda: self.gate.num_body_bytes,
            }
        )
        self.encoding = Slots(max(2, os.cpu_count() or 1))
        self.fetching = Slots(_FETCHES)
        self.applications = Slots(_APPLICATIONS)
        self.num_live = 0
        self._active: set[Answers | Asking] = set()

    def answers(
        self, served: Served, conversation: Conversation, samplings: Sequence[Sampling]
    ) -> Answers:
        """The answers to a conversation, one for each sampling; `forget` ends them.

        Raises:
            ConfigError: there are more samplings than this server answers at all.
        """
        if len(samplings) > self.settings.max_requests:
            raise ConfigError(
                f"n is {len(samplings)}; this server answers at most {self.settings.max_requests} at a time",
                hint="lower n",
            )
        requests = [
            engine_request.Request(
                conversation=conversation,
                sampling=sampling,
                deadline_seconds=self.settings.answer_seconds,
                adapter=served.adapter,
            )
            for sampling in samplings
        ]
        slots = self.fetching if is_fetched(conversation) else self.encoding
        answers = Answers(served, requests, self.metrics, slots)
        self._active.add(answers)
        return answers

    async def read(
        self, body: Any, work: Callable[[], Result], *, slots: Slots | None = None
    ) -> Result:
        """The result of work on a thread that may fetch files which a request names.

        Args:
            body: of the request.
            work: it.
            slots: places for it if nothing is fetched; None needs none.
        """

        async def run() -> Result:
            return await asyncio.to_thread(work)

        if await asyncio.to_thread(names_address, body):
            slots = self.fetching
        return await (run() if slots is None else slots.run(run))

    def asking(self, served: Served) -> Asking:
        """A model as the responder of an application; `forget` ends its questions."""
        asking = Asking(served, self.metrics, self.settings.answer_seconds)
        self._active.add(asking)
        return asking

    def forget(self, answers: Answers | Asking) -> None:
        """Cancel what is not finished of some answers."""
        self._active.discard(answers)
        answers.cancel()

    def _num(self, index: int) -> int:
        """Answers of all engines that are computed (0), or wait (1)."""
        return sum(served.engine.num_requests()[index] for served in self.models.loaded())

    def drain(self) -> None:
        """Let no further request in."""
        self.gate.is_draining = True

    def stop_answers(self) -> None:
        """Let the requests fail that are still being answered."""
        for answers in list(self._active):
            answers.stop()


def state_of(request: HTTPConnection) -> ServerState:
    """The state of the server that got a request."""
    return cast("ServerState", request.app.state.finesight)


def new_id(kind: str) -> str:
    """A new id of a response."""
    return f"{kind}-{secrets.token_hex(16)}"
