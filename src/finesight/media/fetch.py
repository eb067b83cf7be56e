# SPDX-License-Identifier: Apache-2.0
"""Fetches one file over http or https, within limits, and never from a private network.

This prevents server-side request forgery: an address, a redirect or a name that resolves to
`127.0.0.1` or `169.254.169.254` would read what only the server may read. Every name is therefore resolved
here, every resulting address is checked, and the connection is made to the checked address. The time limit
applies to the whole transfer.

Proxies from the environment are not used, because behind a proxy the address cannot be checked.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import IO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httpcore
from pydantic import BaseModel, ConfigDict, Field

from finesight.errors import FetchRefused, MediaError, MediaTooLarge

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last four bytes
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")  # RFC 8215, not public; Python calls it global
_COMPATIBLE = ip_network("::/96")  # RFC 4291, 2.5.5.1, deprecated: as above
_NOT_FETCHED_HINT = "check the address in a browser, or download the file and give its path"


class FetchPolicy(BaseModel):
    """Limits of fetching."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(
        default=256 * 2**20, gt=0, description="largest picture or PDF, in bytes"
    )
    max_video_bytes: int = Field(default=4 * 2**30, gt=0, description="largest video, in bytes")
    timeout_seconds: float = Field(
        default=30.0, gt=0, description="time for a picture or PDF, in seconds"
    )
    video_timeout_seconds: float = Field(
        default=600.0, gt=0, description="time for a video, in seconds"
    )
    allow_private: bool = Field(
        default=False, description="also fetch from loopback, link-local and private addresses"
    )
    hosts: tuple[str, ...] | None = Field(
        default=None,
        description='only fetch from these hosts; ".example.com" has all names below it; none fetches from all',
    )

    def check_host(self, host: str, name: str) -> None:
        """Raise `FetchRefused` unless a host may be fetched from; `name` is the address for the message."""
        if self.hosts is None:
            return
        host = host.rstrip(".").lower()
        for allowed in self.hosts:
            known = allowed.rstrip(".").lower()
            if host == known or (known.startswith(".") and host.endswith(known)):
                return
        listed = ", ".join(self.hosts)[:200] or "none"
        raise FetchRefused(
            f"{name} leads to the host {host[:100]}, which is not allowed; allowed: {listed}",
            hint="send the file itself, as a data: address",
        )


def fetch_bytes(url: str, policy: FetchPolicy) -> bytes:
    """Fetch a picture or PDF into memory.

    Args:
        url: an `http:` or `https:` address.
        policy: limits; the time is that of name resolution, connection, redirects and transfer together.

    Raises:
        FetchRefused: a private address, another host than allowed, a redirect to something that is not http(s), too
            many redirects.
        MediaTooLarge: more bytes or more seconds than allowed.
        MediaError: the server does not answer with the file.
    """
    sink = io.BytesIO()
    fetch_into(url, sink, policy, policy.max_bytes, policy.timeout_seconds)
    return sink.getvalue()


def fetch_into(
    url: str, sink: IO[bytes], policy: FetchPolicy, max_bytes: int, timeout_seconds: float
) -> None:
    """Fetch an address into a file; errors as in `fetch_bytes`, with limits of its own."""
    name = address_name(url)
    deadline = time.monotonic() + timeout_seconds
    backend = _GuardedBackend(name, deadline, allow_private=policy.allow_private)
    try:
        with httpcore.ConnectionPool(network_backend=backend) as pool:
            _follow(pool, url, name, sink, max_bytes, policy)
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise MediaTooLarge(
            f"{name} was not fetched within {timeout_seconds:g} s",
            hint="download the file and give its path, or raise the time limit",
        ) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise MediaError(
            f"{name} could not be fetched: {error or type(error).__name__}", hint=_NOT_FETCHED_HINT
        ) from error


def address_name(url: str) -> str:
    """An address for messages: shortened, without password and query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url[:120]
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}"
    return shown if len(shown) <= 160 else shown[:157] + "..."


def _follow(
    pool: httpcore.ConnectionPool,
    url: str,
    name: str,
    sink: IO[bytes],
    max_bytes: int,
    policy: FetchPolicy,
) -> None:
    """Send the request, follow redirects, and write the body of the last response."""
    for _ in range(MAX_REDIRECTS + 1):
        parts = _checked_address(url, name)
        policy.check_host(parts.hostname or "", name)
        with ExitStack() as stack:
            response = stack.enter_context(
                pool.stream("GET", parts.geturl(), headers=_request_headers())
            )
            headers = {key.lower(): value for key, value in response.headers}
            if response.status in _REDIRECTS and b"location" in headers:
                url = _next_address(url, headers[b"location"].decode("latin-1"), name)
                continue
            _write_body(response, headers, name, sink, max_bytes)
            return
    raise FetchRefused(
        f"{name} redirects more than {MAX_REDIRECTS} times", hint="give the final address"
    )


def _next_address(url: str, location: str, name: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise MediaError(f"{name} redirects to an address that is not valid: {error}") from error


def _request_headers() -> list[tuple[bytes, bytes]]:
    # Identity, because a compressed response could expand to any size.
    return [(b"User-Agent", b"finesight"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity")]


def _checked_address(url: str, name: str) -> SplitResult:
    """Parse an address and refuse invalid or forbidden ones."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port  # reading the port raises on a bad one
    except ValueError as error:
        raise MediaError(f"{name} is not a valid address: {error}") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchRefused(
            f"{name} leads to {address_name(url)!r}, which is not http or https",
            hint="download the file and give its path",
        )
    if not host or port == 0:
        raise MediaError(f"{name} has no host")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused(
            f"{name} carries a user name or password", hint="download the file and give its path"
        )
    return _ascii_address(parts, name)


def _ascii_address(parts: SplitResult, name: str) -> SplitResult:
    """The address as sent: non-ASCII letters and spaces escaped, no fragment."""
    try:
        netloc = parts.netloc.encode("ascii" if parts.netloc.isascii() else "idna").decode()
    except UnicodeError as error:
        raise MediaError(f"{name} has a host name that cannot be encoded: {error}") from error
    marks = "/%:=&?~+!$,;'@()*[]|"  # allowed characters and escapes
    return parts._replace(
        netloc=netloc,
        path=quote(parts.path, safe=marks) or "/",
        query=quote(parts.query, safe=marks),
        fragment="",
    )


def _write_body(
    response: httpcore.Response,
    headers: dict[bytes, bytes],
    name: str,
    sink: IO[bytes],
    max_bytes: int,
) -> None:
    """Copy the body to `sink` and check its size."""
    if response.status != 200:
        raise MediaError(f"{name} was answered with status {response.status}, not 200")
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").lower()
    if encoding != "identity":
        raise MediaError(f"{name} was sent compressed ({encoding}) though that was declined")
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(name, int(declared), max_bytes)
    received = 0
    for chunk in response.iter_stream():
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(name, received, max_bytes)
        sink.write(chunk)


def _too_large(name: str, num_bytes: int, max_bytes: int) -> MediaTooLarge:
    return MediaTooLarge(
        f"{name} has at least {num_bytes:,} bytes; at most {max_bytes:,} are fetched",
        hint="download the file and give its path, or raise the byte limit",
    )


def is_public(address: str) -> bool:
    """Whether an IP address is public, also if embedded in IPv6."""
    found: IPv4Address | IPv6Address | None = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        # fec0::/10 are private networks before RFC 3879; Python calls them global.
        if found.is_site_local or found in _LOCAL_NAT64:
            return False
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and (found in _NAT64 or found in _COMPATIBLE):
            inner = IPv4Address(int(found) & 0xFFFF_FFFF)
        found = inner or found
    return found is not None and found.is_global and not found.is_multicast


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only, and limits each read to the remaining time."""

    def __init__(self, name: str, deadline: float, *, allow_private: bool) -> None:
        self._name = name
        self._deadline = deadline
        self._allow_private = allow_private
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check every address, connect to one of them."""
        del timeout  # the deadline is stricter
        failure: Exception | None = None
        for address in self._resolve(host, port):
            left = _seconds_left(self._deadline)
            try:
                stream = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
                continue
            self._check(host, stream.get_extra_info("server_addr")[0])
            return _TimedStream(stream, self._deadline)
        raise httpcore.ConnectError(str(failure)) from failure

    def _resolve(self, host: str, port: int) -> list[str]:
        """Addresses of a host, in the resolver's order; refused if any of them is not public."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the host name {host!r} is not known") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self._check(host, address)
        return addresses

    def _check(self, host: str, address: str) -> None:
        if self._allow_private or is_public(address):
            return
        raise FetchRefused(
            f"{self._name} leads to {host} at {address}, which is not a public address",
            hint="download the file and give its path, or allow private addresses",
        )


class _TimedStream(httpcore.NetworkStream):
    """A connection that ends at a deadline, even while bytes still arrive."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._inner.read(max_bytes, _seconds_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, _seconds_left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        left = _seconds_left(self._deadline)
        return _TimedStream(
            self._inner.start_tls(ssl_context, server_hostname, left), self._deadline
        )

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def _seconds_left(deadline: float) -> float:
    """Time until the deadline; raises `TimeoutError` after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time limit was reached")
    return left
