# SPDX-License-Identifier: Apache-2.0
"""Errors as responses: OpenAI's error body, with the words of the command line."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from contextlib import suppress
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from finesight.errors import DeadlineExceeded, FinesightError, QueueFull
from finesight.remote import wording
from finesight.remote.completions import error_body, status_of, type_of

log = logging.getLogger("finesight.server")

_DIALECTS = (
    ("/api/", wording.OLLAMA),
    ("/v1/responses", wording.RESPONSES),
    ("/v1/apps/", wording.APPS),
    ("", wording.CHAT),
)
"""Start of a path -> dialect of its requests; the first one counts."""
_RETRY_SECONDS = 1
_LINGER_SECONDS, _PIECE_SECONDS = 30.0, 5.0
"""Longest time for the rest of a body that is dropped, and for its next piece."""
CLIENT_GONE = 499
"""Status in the log and the metrics for a request whose client closed the connection."""
_DATA = re.compile(r"data:\S*|[\w/+=-]{40,}")
"""`data:` addresses, base64 and keys, which may be in the message of an exception."""


class HttpError(FinesightError):
    """An error with a status of its own.

    Args:
        status: HTTP status.
        message: what happened.
        hint: what the client can do about it.
        code: name of the error for programs.
        retry_after: seconds after which to try again; None says nothing about it.
        param: field of the request that is at fault.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        retry_after: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code or type_of(status)
        self.retry_after = retry_after
        self.param = param


def http_status(error: FinesightError) -> int:
    """HTTP status of an error."""
    return error.status if isinstance(error, HttpError) else status_of(error)


def reason_of(error: FinesightError) -> str:
    """Name of an error for programs: in error bodies and metrics."""
    return error.code if isinstance(error, HttpError) else type(error).__name__


def error_object(error: FinesightError, scope: Scope) -> dict[str, Any]:
    """The body of an error response, in the form of OpenAI, or in Ollama's plain one for paths below `/api/`.

    Args:
        error: the error.
        scope: of the connection; the gate notes there which fields the body has.
    """
    path, given = scope["path"], scope.get("state", {}).get("fields", ())
    dialect = next(each for start, each in _DIALECTS if path.startswith(start))
    if dialect is wording.OLLAMA:
        return {"error": wording.worded(error, dialect, given)}
    found = error_body(error, dialect, given)
    if isinstance(error, HttpError):
        found["error"] |= {"type": type_of(error.status), "code": error.code}
        found["error"]["param"] = error.param or found["error"]["param"]
    return found


class _Lingering(JSONResponse):
    """A response to a request whose body has not been read.

    A connection that is closed while a client still sends is reset, and the client may never see the response. The rest
    of the body is therefore received for a while, and dropped.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await asyncio.wait_for(receive(), _PIECE_SECONDS)).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_response(error: FinesightError, scope: Scope, *, is_read: bool = True) -> JSONResponse:
    """The response to a request that failed.

    Args:
        error: why it failed.
        scope: of the request.
        is_read: whether its body has been read.
    """
    wait = error.retry_after if isinstance(error, HttpError) else None
    if isinstance(error, QueueFull):
        wait = _RETRY_SECONDS
    headers = {} if wait is None else {"Retry-After": str(max(1, round(wait)))}
    if isinstance(error, DeadlineExceeded):
        # Clients of OpenAI repeat every request with a status from 500: this one would take as long again.
        headers["X-Should-Retry"] = "false"
    status = http_status(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    kind = JSONResponse if is_read else _Lingering
    return kind(error_object(error, scope), status_code=status, headers=headers)


def client_gone() -> HttpError:
    """The error that ends the work of a request whose client closed the connection; nobody reads it."""
    return HttpError(CLIENT_GONE, "the client closed the connection", code="client_gone")


def unexpected(error: BaseException, request_id: str) -> HttpError:
    """The error for a fault of the server; its cause is logged without data of the request, and not sent."""
    trace = "".join(map(_without_data, traceback.format_exception(error)))
    log.error("request %s failed\n%s", request_id, trace.rstrip())
    return HttpError(
        500,
        f"the server failed to answer request {request_id}",
        hint="its log says why; this is an error of finesight, please report it",
        code="internal_error",
    )


def _without_data(entry: str) -> str:
    """An entry of a stack trace; places in source files are unchanged, as their paths look like base64."""
    return entry if entry.lstrip(" |+-").startswith("File ") else _DATA.sub("[...]", entry)
