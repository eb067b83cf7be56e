# SPDX-License-Identifier: Apache-2.0
"""Cold start of help and of a first answer, against bare Python and `import torch`; decoding on a busy machine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.comparison import Comparison

_RUN = "import sys; from finesight.cli.main import main; sys.exit(main(sys.argv[1:]))"
_ROUNDS = 7


def bench_start(*, model: str = "tiny", rounds: int = _ROUNDS) -> list[Comparison]:
    """Alternating cold starts: help, bare Python, a question about one picture, `import torch`; the medians count."""
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        picture = Path(folder) / "picture.png"
        Image.new("RGB", (112, 84), (200, 180, 160)).save(picture)
        question = ("ask", "What is this?", "--image", str(picture), "--model", model)
        _seconds("import torch")  # warm-up: reads the files from disk
        taken: dict[str, list[float]] = {"python": [], "help": [], "torch": [], "ask": []}
        for _ in range(rounds):
            taken["python"].append(_seconds("pass"))
            taken["help"].append(_seconds(_RUN, "--help"))
            taken["torch"].append(_seconds("import torch"))
            taken["ask"].append(_seconds(_RUN, *question, "--max-new-tokens", "16"))
    median = {name: statistics.median(values) for name, values in taken.items()}
    return [
        Comparison(
            "seconds of --help against a bare Python",
            median["help"],
            median["python"],
            5.0,
            at_least=False,
        ),
        Comparison(
            "seconds of a cold ask, one picture, against import torch",
            median["ask"],
            median["torch"],
            3.0,
            at_least=False,
        ),
    ]


def bench_busy(*, model: str = "tiny", rounds: int = _ROUNDS) -> Comparison:
    """Median seconds per token with the default threads and with one thread, while other processes use every core."""
    from PIL import Image, ImageDraw

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder, _busy_cores():
        path = Path(folder) / "circles.png"
        picture = Image.new("RGB", (280, 196), "white")
        for x, y in ((44, 125), (144, 57), (48, 61)):
            ImageDraw.Draw(picture).ellipse((x, y, x + 48, y + 48), fill=(210, 30, 40))
        picture.save(path)
        words = ("locate", "red circle", "--all", "--image", str(path), "--model", model, "--json")
        taken: dict[str, list[float]] = {"default": [], "one": []}
        for _ in range(rounds):
            taken["default"].append(_seconds_per_token(*words))
            taken["one"].append(_seconds_per_token(*words, "--threads", "1"))
    median = {name: statistics.median(values) for name, values in taken.items()}
    name = "seconds a token on a busy machine, against one thread"
    return Comparison(name, median["default"], median["one"], 0.7, at_least=True)


@contextmanager
def _busy_cores() -> Iterator[None]:
    """One busy-looping process per logical processor."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _seconds_per_token(*words: str) -> float:
    """Seconds per decoded token of a process that does not inherit the thread settings of this one."""
    own = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words],
        check=True,
        capture_output=True,
        timeout=600,
        env=environment,
    )
    found = json.loads(done.stdout)
    seconds, tokens = found["seconds"]["decode"], found["usage"]["completion_tokens"]
    return float(seconds / (tokens - 1))


def _seconds(code: str, *words: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, timeout=600
    )
    return time.perf_counter() - start
