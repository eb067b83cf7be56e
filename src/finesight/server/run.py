# SPDX-License-Identifier: Apache-2.0
"""Runs the application on a port until it is told to stop, and lets running answers end."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from finesight.errors import FinesightError
from finesight.server import live
from finesight.server.app import create_app
from finesight.server.errors import HttpError, error_object
from finesight.server.models import Models
from finesight.server.settings import ServerSettings
from finesight.server.state import ServerState

_END_SECONDS = 5.0
"""Time in which the last responses are written after all answers were stopped."""
_LOOK_SECONDS = 0.05
_HEADER_SECONDS = 30
"""Time in which the header of a request must arrive; also after the request before it."""
_BACKLOG = 2048
_INTERRUPTED = 130
"""Exit code after a second Ctrl-C."""


def serve(
    models: Models,
    settings: ServerSettings,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer requests until SIGINT or SIGTERM.

    After such a signal no request is let in. Answers that are not finished after `drain_seconds` end with an error. The
    process ends some seconds later, even if a thread still reads a picture or fetches a file.

    Args:
        models: the models.
        settings: limits and permissions.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        on_ready: called with the URL as soon as the port is open.

    Raises:
        FinesightError: a setting is wrong, or the port cannot be opened.
    """
    app = create_app(models, settings)
    _allow_connections()
    listener = _listener(host, port)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=live.MOST_MESSAGE_BYTES,
        timeout_keep_alive=_HEADER_SECONDS,
        timeout_graceful_shutdown=int(_END_SECONDS),
    )
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    state: ServerState = app.state.finesight
    server = _Server(config, state, partial(on_ready, url))
    try:
        server.run(sockets=[listener])
    finally:
        server.exit_timer.cancel()


def _allow_connections() -> None:
    """Let this process have as many connections as it may: systems often start with 1,024 open files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems name a limit that they do not accept
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        option = "--host" if isinstance(error, socket.gaierror) else "--port"
        raise FinesightError(
            f"port {port} of {host} cannot be opened: {error}", hint=f"choose another {option}"
        ) from error
    listener.set_inheritable(True)
    return listener


class _Protocol(H11Protocol):
    """A connection that is closed if no request arrives on it in time: else any number could be held open."""

    _wait: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self._limit_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait.cancel()

    def send_400_response(self, _msg: str) -> None:
        """Answer bytes that are no HTTP request, in the form of every other error."""
        error = HttpError(
            400,
            "the connection sent no valid HTTP request",
            hint="a request has one Host, a length that is a number, and a header of at most 64 KB",
            code="invalid_http",
        )
        body = json.dumps(error_object(error, {"path": ""}))
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
        is_within = self.cycle and self.cycle.response_started and not self.cycle.response_complete
        if not is_within:  # an answer that has begun is cut
            self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n\r\n{body}".encode())
        self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait.cancel()
        self._limit_wait()

    def _limit_wait(self) -> None:
        self._wait = self.loop.call_later(_HEADER_SECONDS, self._end_wait, self.cycle)

    def _end_wait(self, last: RequestResponseCycle | None) -> None:
        # A connection that became a WebSocket is no longer among them.
        if self.cycle is last and self in self.connections:
            self.timeout_keep_alive_handler()


class _Server(uvicorn.Server):
    """A server that stops answers which take longer than it waits."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._state, self._on_ready = state, on_ready
        self.exit_timer = threading.Timer(
            state.settings.drain_seconds + 2 * _END_SECONDS, os._exit, [1]
        )
        self.exit_timer.daemon = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal; a second Ctrl-C ends the process at once, whatever its threads are doing."""
        if self.should_exit and sig == signal.SIGINT:
            sys.stderr.write("interrupted again: ended at once, unfinished answers are cut\n")
            sys.stderr.flush()
            os._exit(_INTERRUPTED)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port; a signal that comes after `on_ready` ends the server in order."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let no request in, wait for those that are answered, then end.

        While some are answered, the port stays open: others learn that the server stops, and live video ends with
        an answer or an error.
        """
        self._state.drain()
        self.exit_timer.start()
        loop, seconds = asyncio.get_running_loop(), self._state.settings.drain_seconds
        timer = loop.call_later(seconds, self._state.stop_answers)
        end = (
            loop.time() + seconds + _END_SECONDS / 2
        )  # after it, also bodies that still arrive are cut off
        try:
            while self._state.gate.num_active and loop.time() < end and not self.force_exit:
                await asyncio.sleep(_LOOK_SECONDS)
            await super().shutdown(sockets)
        finally:
            timer.cancel()
            self._captured_signals.clear()  # uvicorn would send them again, which is no clean end
