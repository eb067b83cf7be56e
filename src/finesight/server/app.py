# SPDX-License-Identifier: Apache-2.0
"""The application: all endpoints, their errors, and what is said about each request in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finesight.errors import FinesightError
from finesight.server import (
    applications,
    chat,
    completions,
    embeddings,
    live,
    ollama,
    ollama_models,
    page,
    responses,
    tokens,
)
from finesight.server.errors import (
    CLIENT_GONE,
    HttpError,
    error_response,
    http_status,
    log,
    reason_of,
    unexpected,
)
from finesight.server.hosts import KnownHosts
from finesight.server.models import Models
from finesight.server.settings import ServerSettings
from finesight.server.state import ServerState, new_id, state_of

_THREADS = 32
"""Threads for reading bodies and media, and for loading models; few of them compute at the same time."""


def create_app(models: Models, settings: ServerSettings) -> FastAPI:
    """The application of a server.

    Args:
        models: the models that it offers.
        settings: limits and permissions.

    Raises:
        ConfigError: a setting is wrong, or the file of keys cannot be read.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threads = ThreadPoolExecutor(_THREADS, "finesight-server")
        asyncio.get_running_loop().set_default_executor(threads)
        yield
        models.close()

    app = FastAPI(
        title="finesight",
        version=version("finesight"),
        description="Qwen2.5-VL behind the OpenAI API",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from another server
        redoc_url=None,
    )
    state = app.state.finesight = ServerState(models, settings)
    for part in (
        *(chat, responses, completions, embeddings, tokens, applications),
        *(ollama, ollama_models, live, page),
    ):
        app.include_router(part.router)
    app.get("/health")(health)
    app.head("/health", include_in_schema=False)(health)
    app.get("/metrics")(metrics)
    if settings.server_names is not None:
        app.add_middleware(KnownHosts, names=settings.server_names)
    app.add_middleware(_Logged, state=state)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
        )
    app.exception_handler(FinesightError)(_on_error)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(RequestValidationError)(_on_http_exception)
    return app


async def health(request: Request) -> Response:
    """200 while requests are accepted, 503 while the server stops."""
    is_draining = state_of(request).gate.is_draining
    return PlainTextResponse("stopping" if is_draining else "ok", 503 if is_draining else 200)


async def metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    state = state_of(request)
    state.gate.check_key(request)
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Logged:
    """Logs the method, path, status and time of each request, but nothing that it contains."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app, self._state = app, state
        self._warned: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, identity = time.monotonic(), 0, new_id("req")
        scope.setdefault("state", {}).update(id=identity, is_read=False)

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = identity
                headers["X-Content-Type-Options"] = "nosniff"
                if labels := scope["state"].get("labels"):
                    headers["X-Without-Effect"] = ", ".join(labels)
                    self._warn_once(labels)
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception as error:  # noqa: BLE001  # logged with its trace; the client gets a body
            failure = unexpected(error, identity)
            if not status:
                await error_response(failure, scope)(scope, receive, named)
        finally:
            # Paths of unknown endpoints are not named: anyone could fill the metrics with them.
            route = scope.get("route")
            path = route.path if isinstance(route, Route) else "other"
            self._state.metrics.request(path, status)
            seconds = time.monotonic() - start
            log.info("%s %s %s %d %.3f s", identity, scope["method"], path, status, seconds)

    def _warn_once(self, labels: Sequence[str]) -> None:
        for label in labels:
            if label not in self._warned:
                self._warned.add(label)
                log.warning("requests have %s, which has no effect; this is said once", label)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FinesightError)
    state_of(request).metrics.refused(reason_of(error))
    if http_status(error) == CLIENT_GONE:
        return Response(status_code=CLIENT_GONE)
    is_read = request.method in ("GET", "HEAD", "OPTIONS") or request.state.is_read
    return error_response(error, request.scope, is_read=is_read)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """An unknown path or method, in the same form as every other error."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    methods = headers.get("Allow", "")
    hints = {404: "the paths are in /openapi.json", 405: f"the path takes {methods}"}
    message = f"{request.method} {request.url.path[:200]} cannot be answered"
    response = await _on_error(request, HttpError(status, message, hint=hints.get(status, "")))
    response.headers.update(headers)
    return response
