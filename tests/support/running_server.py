# SPDX-License-Identifier: Apache-2.0
"""`finesight serve` as a program of its own, on a free port, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.serving import program


@contextmanager
def running_server(*words: str, log: Path | None = None) -> Iterator[str]:
    """The URL of a server of the tiny model, which is told to stop at the end.

    Args:
        words: further words of its command line.
        log: file for what it logs.
    """
    with program(*words) as server:
        try:
            yield server.url
        finally:
            server.stop()
    if log is not None:
        log.write_text(server.log())


def metric(url: str, name: str) -> list[float]:
    """The values of one metric of a server."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(name)]


def wait_until_free(url: str) -> None:
    """Ask until no request is being answered."""
    while metric(url, "finesight_active_requests") != [0.0]:
        pass
