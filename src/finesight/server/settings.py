# SPDX-License-Identifier: Apache-2.0
"""Limits and permissions of a server."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from finesight.errors import ConfigError

_HOST = re.compile(r"\.?[^\s/:*?#@.]+(\.[^\s/:*?#@.]+)*\.?|[\da-fA-F:]+")
"""A name or an address of a host, without scheme, port and path."""
_ORIGIN = re.compile(r"https?://[^\s/?#@]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Limits and permissions. The help of `finesight serve` quotes this list.

    Attributes:
        max_body_mb: largest body of a request, in MB; pictures in it are base64, a third larger than their files.
        max_bodies_mb: bodies of all requests that are being answered, in MB; more requests are refused.
        body_seconds: time in which the body of a request must have arrived, in seconds.
        answer_seconds: time in which an answer must be finished, in seconds.
        max_requests: requests that are being answered or wait; more are refused with status 429.
        max_live: connections of live video; more are refused.
        requests_per_minute: requests a minute of each API key, or of each client where there are no keys; None sets
            no limit.
        hosts: hosts from which pictures, videos and PDFs are fetched; `.example.com` has all names below it, `*` is
            every public host; without any, clients send files as data: addresses.
        folders: folders from which files are read by their path; without any, none is.
        origins: web pages of other servers that may call this one (CORS).
        server_names: host names to which requests may be, besides addresses and `localhost`; `.example.com` has all
            names below it; None allows every name.
        keys_file: file of API keys; None lets everyone in.
        drain_seconds: time that running answers have when the server is told to stop, in seconds.
    """

    max_body_mb: float = 64.0
    max_bodies_mb: float = 1024.0
    body_seconds: float = 60.0
    answer_seconds: float = 600.0
    max_requests: int = 1000
    max_live: int = 16
    requests_per_minute: int | None = None
    hosts: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    origins: tuple[str, ...] = ()
    server_names: tuple[str, ...] | None = None
    keys_file: Path | None = None
    drain_seconds: float = 30.0

    def check(self) -> None:
        """Raise `ConfigError` on a limit that is not above 0, and on folders that are not there."""
        for name in (
            *("max_body_mb", "max_bodies_mb", "body_seconds", "answer_seconds"),
            *("max_requests", "max_live", "requests_per_minute", "drain_seconds"),
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}; it must be a number above 0")
        for host in self.hosts:
            if host != "*" and not _HOST.fullmatch(host):
                raise ConfigError(
                    f"{host!r} is no host",
                    hint="give a name such as example.com, .example.com or *",
                )
        for name in self.server_names or ():
            if not _HOST.fullmatch(name):
                raise ConfigError(f"{name!r} is no host name", hint="give one such as example.com")
        for origin in self.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ConfigError(
                    f"{origin!r} is no origin", hint="give one such as https://app.example.com"
                )
        for folder in self.folders:
            if not folder.is_dir():
                raise ConfigError(f"{folder} is not a folder", hint="files are read from folders")
