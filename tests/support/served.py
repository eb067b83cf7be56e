# SPDX-License-Identifier: Apache-2.0
"""`finesight serve` in a process of its own, on a free port."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running_server(*words: str) -> Iterator[str]:
    """Start the server with the embedded model, give its address, and stop it at the end."""
    command = [sys.executable, "-m", "finesight", "serve", "--model", "tiny", "--port", "0", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.match(r"ready: (http://\S+)/v1", line):
                break
        else:
            raise AssertionError(f"the server did not start: {''.join(lines)}")
        yield found[1]
    finally:
        process.terminate()
        # Read on, or a server whose pipe is full would not end.
        process.communicate(timeout=60)
