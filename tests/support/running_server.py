# SPDX-License-Identifier: Apache-2.0
"""`finesight serve` as a program of its own, on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_READY = re.compile(r"ready: (http://[^/]+)/v1")
_END_SECONDS = 60


@contextmanager
def running_server(log: Path, *words: str) -> Iterator[str]:
    """The URL of a server of the tiny model.

    Args:
        log: file for what it logs.
        words: further words of its command line.
    """
    command = [sys.executable, "-m", "finesight", "serve", "--model", "tiny", "--port", "0", *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=dict(os.environ)
    ) as server:
        assert server.stderr is not None
        lines = []
        for line in server.stderr:
            lines.append(line)
            if found := _READY.match(line):
                break
        else:
            raise AssertionError("".join(lines))
        # From here on the server writes to the pipe, which holds the few lines of a test's requests.
        try:
            yield found[1]
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.communicate(timeout=_END_SECONDS)[1]
            log.write_text("".join(lines) + rest)


def metric(url: str, name: str) -> list[float]:
    """The values of one metric of a server."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(name)]


def wait_until_free(url: str) -> None:
    """Ask until no request is being answered."""
    while metric(url, "finesight_active_requests") != [0.0]:
        pass
