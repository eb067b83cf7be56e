# SPDX-License-Identifier: Apache-2.0
"""What a request has to pass before it is read: API key, rate, number of requests, size and speed of its body."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import Request
from fastapi.requests import HTTPConnection
from starlette.requests import ClientDisconnect

from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.remote.labels import labels_in
from finesight.server.errors import HttpError, client_gone, log
from finesight.server.keys import Key, Keys
from finesight.server.settings import ServerSettings

_BYTES_PER_MB = 10**6
_RETRY_SECONDS = 1
_MINUTE = 60.0
_JSON, _PLAIN = "application/json", "identity"
"""Types of a body and its compression that need no word."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character in UTF-16 as JSON escapes it; half of a pair, or alone and then no text."""
_MOST_CLIENTS = 10_000
"""Clients whose requests are counted; the one that was quiet the longest is forgotten."""


class Gate:
    """Refuses requests that exceed a limit, and counts those that are being answered.

    Args:
        settings: the limits.

    Attributes:
        num_active: requests that are being read or answered, or wait.
        num_body_bytes: bytes of their bodies.
        is_draining: whether further requests are refused, because the server stops.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._keys = None if settings.keys_file is None else Keys(settings.keys_file)
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self.num_body_bytes = 0
        self.num_active = 0
        self.is_draining = False

    def check_key(self, request: HTTPConnection, sent: str = "") -> Key | None:
        """The key of a request; None where the server has no keys.

        Args:
            request: has the key in a header.
            sent: the key, if it was sent otherwise.

        Raises:
            HttpError: no key, or an unknown one (401), or the file of keys cannot be read now (503).
        """
        if self._keys is None:
            return None
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        secret = sent or secret
        if not secret:
            raise HttpError(
                401, "the request has no API key", hint="send it as Authorization: Bearer KEY"
            )
        try:
            key = self._keys.find(secret.strip())
        except ConfigError as error:  # names a file of the server, which is not for clients
            log.error("%s", error)
            raise HttpError(
                503,
                "the server cannot read its API keys now",
                hint="its log says why",
                code="keys_unreadable",
                retry_after=_MINUTE,
            ) from error
        if key is None:
            raise HttpError(
                401,
                "the API key is not known to this server",
                hint="ask its operator: finesight serve --new-key NAME makes one",
                code="invalid_api_key",
            )
        return key

    def _check(self, request: HTTPConnection, sent: str) -> None:
        """Raise `HttpError` without a known key, for too many requests of a client, or while the server stops."""
        if self.is_draining:
            raise HttpError(503, "the server is stopping", code="stopping", retry_after=_MINUTE)
        self._check_page(request)
        key = self.check_key(request, sent)
        limit = self._settings.requests_per_minute
        if key is not None and key.requests_per_minute is not None:
            limit = key.requests_per_minute
        client = request.client.host if request.client else ""
        if limit is not None:
            self._count(f"key {key.name}" if key else client, limit)

    def _check_page(self, request: HTTPConnection) -> None:
        """Raise `HttpError` if a browser sends the request for a page of another server that is not allowed.

        Browsers send simple requests of any page at once, and only hide the answer from it. Programs and this server's
        own page do not send such a `Sec-Fetch-Site`.
        """
        origin, allowed = request.headers.get("origin", ""), self._settings.origins
        site = request.headers.get("sec-fetch-site", "")
        if site in ("cross-site", "same-site") and not {origin, "*"} & set(allowed):
            raise HttpError(
                403,
                f"the request is from a page of {shown(origin)}; allowed: {', '.join(allowed) or 'none'}",
                hint="start the server with --allow-origin and that origin",
                code="unknown_origin",
            )

    def _count(self, client: str, limit: int) -> None:
        now = time.monotonic()
        times = self._times.setdefault(client, deque())
        self._times.move_to_end(client)
        if len(self._times) > _MOST_CLIENTS:
            self._times.popitem(last=False)
        while times and times[0] <= now - _MINUTE:
            times.popleft()
        if len(times) >= limit:
            raise HttpError(
                429,
                f"{limit} requests a minute are allowed",
                code="rate_limit_exceeded",
                retry_after=times[0] + _MINUTE - now,
            )
        times.append(now)

    @asynccontextmanager
    async def admit(self, request: Request) -> AsyncIterator[Any]:
        """The JSON of a request's body; the request counts as being answered until the context ends.

        Raises:
            HttpError: no key or an unknown one (401), too many requests (429), a body that is too large (413) or too
                slow (408), no memory for it, or the server is stopping (503).
            ConfigError: the body is no JSON.
        """
        body, num_bytes = bytearray(), 0
        with self.counted(request):
            try:
                try:
                    await self._read(request, body)
                finally:
                    num_bytes = len(body)
                kind = request.headers.get("content-type", _JSON)
                parsed, request.state.labels = await _parsed(body, kind)
                if isinstance(
                    parsed, dict
                ):  # errors name the field that was given, of several with one meaning
                    request.state.fields = tuple(parsed)
                body.clear()  # its texts are now in `parsed`, and still count
                yield parsed
            finally:
                self.num_body_bytes -= num_bytes

    @contextmanager
    def counted(self, request: HTTPConnection, sent: str = "") -> Iterator[None]:
        """Count a request as being answered until the context ends.

        Args:
            request: has the key in a header.
            sent: the key, if it was sent otherwise.

        Raises:
            HttpError: no key or an unknown one (401), too many requests (429), or the server is stopping (503).
        """
        self._check(request, sent)
        if self.num_active >= self._settings.max_requests:
            raise HttpError(
                429,
                f"{self.num_active} requests are being answered or wait; at most {self._settings.max_requests} may",
                code="queue_full",
                retry_after=_RETRY_SECONDS,
            )
        self.num_active += 1
        try:
            yield
        finally:
            self.num_active -= 1

    async def _read(self, request: Request, body: bytearray) -> None:
        """Add the body of a request to `body`."""
        most = int(self._settings.max_body_mb * _BYTES_PER_MB)
        if (coding := request.headers.get("content-encoding", _PLAIN).lower()) != _PLAIN:
            raise HttpError(
                415,
                f"the body has Content-Encoding {shown(coding)}; it is read without compression only",
                hint="send it as it is",
            )
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise _too_large(int(declared), most)
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    self.num_body_bytes += len(chunk)
                    if len(body) > most:
                        raise _too_large(len(body), most)
                    self._check_bodies(len(body))
            request.state.is_read = True
        except ClientDisconnect:
            raise client_gone() from None
        except TimeoutError:
            raise HttpError(
                408,
                f"the body did not arrive within {self._settings.body_seconds:g} s; {len(body):,} bytes of it did",
                code="body_timeout",
            ) from None

    def _check_bodies(self, num_bytes: int) -> None:
        most = self._settings.max_bodies_mb * _BYTES_PER_MB
        if (
            self.num_body_bytes > most and self.num_body_bytes > num_bytes
        ):  # a single body has its own limit
            raise HttpError(
                503,
                f"the requests that are being answered have {self.num_body_bytes:,} bytes; at most {most:,.0f} may",
                code="no_memory",
                retry_after=_RETRY_SECONDS,
            )


async def _parsed(body: bytearray, content_type: str) -> tuple[Any, tuple[str, ...]]:
    """The JSON of a body, and its labels."""
    try:
        # Bodies of many megabytes, or of millions of messages, would stop all other requests.
        parsed = await asyncio.to_thread(read_json, body)
        return parsed, await asyncio.to_thread(labels_in, parsed)
    except ConfigError:  # of a repeated field, which JSON allows
        raise
    except (ValueError, RecursionError) as error:
        said = (
            "" if _JSON in content_type.lower() else f"; its Content-Type is {shown(content_type)}"
        )
        raise ConfigError(
            f"the body is not JSON: {str(error)[:200]}{said}", hint="send one JSON object, in UTF-8"
        ) from error


def read_json(body: bytes | bytearray) -> Any:
    """Plain JSON; repeated keys, numbers that JSON does not have, and halves of characters are a `ValueError`."""
    parsed = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_unrepeated)
    if _HALF.search(body):
        json.dumps(parsed, ensure_ascii=False).encode()
    return parsed


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of an object; of a repeated one all but the last value would be ignored."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        (name, times), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ConfigError(
            f"{shown(name)} is given {times} times in one object", hint="give it once"
        )
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _too_large(num_bytes: int, most: int) -> HttpError:
    return HttpError(
        413,
        f"the body has at least {num_bytes:,} bytes; at most {most:,} are accepted",
        hint="send smaller pictures or shorter videos",
        code="body_too_large",
    )
