# SPDX-License-Identifier: Apache-2.0
"""Refuses requests to host names that are not this server's.

A web page of an attacker can let its own name lead to 127.0.0.1 after it was loaded (DNS rebinding). The browser then
takes this server for the page's, and lets the page read its answers. Such requests have the attacker's name in `Host`.
A request to an address has that address there, which no page can choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from finesight.inputs import shown
from finesight.server.errors import HttpError, error_response

_LOCAL = "localhost"


class KnownHosts:
    """Lets requests to addresses, to `localhost` and to the given names pass.

    Args:
        app: the application.
        names: further names; `.example.com` has all names below it.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = (_LOCAL, f".{_LOCAL}", *(name.lower().rstrip(".") for name in names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with status 403."""
        if scope["type"] in ("http", "websocket"):
            host = Headers(scope=scope).get("host", "")
            if not self._is_known(host):
                await _refuse(host, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        name = _without_port(host).lower().rstrip(".")
        if not name or _is_address(name):  # browsers always send the header
            return True
        return any(name == each or (each[0] == "." and name.endswith(each)) for each in self._names)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() and ":" not in name else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(host: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # the client gets status 403
        return
    error = HttpError(
        403,
        f"the request is to the host {shown(host)}, which is not a name of this server",
        hint="start the server with --server-name and that name, or let clients in by --api-keys",
        code="unknown_host",
    )
    scope["app"].state.finesight.metrics.refused(error.code)
    await error_response(error, scope, is_read=False)(scope, receive, send)
