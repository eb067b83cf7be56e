# SPDX-License-Identifier: Apache-2.0
"""Which addresses a page may load from, and a proxy outside the browser that enforces it.

A browser knows only the first address of a chain of redirects when it asks whether to load it. The proxy sees every
connection: those of redirects, of web sockets, of workers, and of the browser itself. It connects to nothing but the
allowed origins, and the browser is told to resolve no names and to use no other way out.
"""

from __future__ import annotations

import http.client
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from finesight.errors import ConfigError

__all__ = ["OriginProxy", "Reach", "origin_of"]

_LOCAL = ("data:", "about:", "blob:")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_WEB = {"ws": "http", "wss": "https"}
_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers between two neighbours, which a proxy does not pass on."""
_OWN = ("google.com:443", "googleapis.com:443", "gvt1.com:443", "gstatic.com:443")
"""Services that Chromium calls by itself. They are refused, but not reported: requests of a page to them are reported
before they get here."""
_CHUNK = 65536
_SECONDS = 30.0
"""Time limit of a connection to a site."""


def origin_of(address: str) -> str:
    """Scheme, host and port of an address, such as `http://127.0.0.1:8000`; empty for local ones and for no address.

    Web sockets have the origin of their page: `ws:` counts as `http:`.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # a page may write any text as the address of a form
        return ""
    if parts.scheme not in _PORTS or not parts.hostname:
        return ""
    scheme = _WEB.get(parts.scheme, parts.scheme)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}:{port or _PORTS[scheme]}"


@dataclass(frozen=True, slots=True)
class Reach:
    """What pages may load.

    Attributes:
        origins: such as "https://shop.example" or "http://127.0.0.1:8000"; none means no network.
        folder: files below it may be loaded; None allows all files.
    """

    origins: tuple[str, ...] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        for each in self.origins:
            if not origin_of(each):
                raise ConfigError(
                    f"{each!r} is not an origin", hint="write it as https://shop.example"
                )
        object.__setattr__(self, "origins", tuple(origin_of(each) for each in self.origins))

    def allows(self, address: str) -> bool:
        """Whether a page may load this address."""
        if address.startswith(_LOCAL):
            return True
        if not address.startswith("file:"):
            return origin_of(address) in self.origins
        if self.folder is None:
            return True
        path = Path(unquote(urlsplit(address).path))
        return path.resolve().is_relative_to(self.folder.resolve())

    def allows_host(self, host: str) -> bool:
        """Whether a tunnel may lead to `host:port`; it carries https or a web socket."""
        return any(origin.split("://")[1] == host for origin in self.origins)


class OriginProxy:
    """A proxy on the loopback interface, in its own threads, that reaches nothing but allowed origins.

    Args:
        reach: the allowed origins.
        on_blocked: called with the address of each refused connection.
    """

    def __init__(self, reach: Reach, on_blocked: Callable[[str], None]) -> None:
        self._server = _Server(reach, on_blocked)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, reach: Reach, on_blocked: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reach, self.on_blocked = reach, on_blocked


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SECONDS

    def do_CONNECT(self) -> None:
        if not self.server.reach.allows_host(self.path):
            self._refuse(f"https://{self.path}")
            return
        host, _, port = self.path.rpartition(":")
        try:
            site = socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS)
        except (OSError, ValueError) as error:
            self.send_error(502, str(error))
            return
        with site:
            self.send_response(200)
            self.end_headers()
            _tunnel(self.connection, site)
        self.close_connection = True

    def _pass_on(self) -> None:
        if not self.server.reach.allows(self.path):
            self._refuse(self.path)
            return
        parts = urlsplit(self.path)
        place = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        site = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_SECONDS)
        sent = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        try:
            site.request(self.command, place, body or None, {**sent, "Connection": "close"})
            self._answer(site.getresponse())
        except (OSError, http.client.HTTPException) as error:
            self.send_error(502, str(error))
        finally:
            site.close()
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815  # names of http.server

    def _answer(self, found: http.client.HTTPResponse) -> None:
        self.send_response_only(found.status, found.reason)
        for name, value in found.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while chunk := found.read(_CHUNK):
            self.wfile.write(chunk)

    def _refuse(self, address: str) -> None:
        if not address.endswith(_OWN):
            self.server.on_blocked(address)
        self.send_error(403, "this origin is not allowed")

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def _tunnel(first: socket.socket, second: socket.socket) -> None:
    """Pass bytes both ways until one side ends."""
    other = {first: second, second: first}
    while True:
        ready, _, _ = select.select([first, second], [], [], _SECONDS)
        if not ready:
            return
        for each in ready:
            data = each.recv(_CHUNK)
            if not data:
                return
            other[each].sendall(data)
