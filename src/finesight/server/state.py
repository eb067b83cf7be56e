# SPDX-License-Identifier: Apache-2.0
"""What the endpoints of one server share."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import cast

from fastapi.requests import HTTPConnection

from finesight.conversation import Conversation, Sampling
from finesight.engine import request as engine_request
from finesight.server.answering import Answers
from finesight.server.gate import Gate
from finesight.server.media import MediaAccess, fetch_policy
from finesight.server.metrics import Metrics
from finesight.server.models import Models, Served
from finesight.server.settings import ServerSettings


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
        num_live: connections of live video.
    """

    def __init__(self, models: Models, settings: ServerSettings) -> None:
        settings.check()
        self.models, self.settings = models, settings
        self.gate = Gate(settings)
        self.access = MediaAccess(fetch_policy(settings.hosts), settings.folders)
        self.metrics = Metrics(lambda: self.gate.num_active)
        self.num_live = 0
        self._active: set[Answers] = set()

    def answers(
        self, served: Served, conversation: Conversation, samplings: Sequence[Sampling]
    ) -> Answers:
        """The answers to a conversation, one for each sampling; `forget` ends them."""
        requests = [
            engine_request.Request(
                conversation=conversation,
                sampling=sampling,
                deadline_seconds=self.settings.answer_seconds,
                adapter=served.adapter,
            )
            for sampling in samplings
        ]
        answers = Answers(served, requests, self.metrics)
        self._active.add(answers)
        return answers

    def forget(self, answers: Answers) -> None:
        """Cancel what is not finished of some answers."""
        self._active.discard(answers)
        answers.cancel()

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
