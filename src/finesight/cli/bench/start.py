# SPDX-License-Identifier: Apache-2.0
"""How soon help and a first answer come, beside bare Python and `import torch`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from finesight.cli.bench.comparison import Comparison

_RUN = "import sys; from finesight.cli.main import main; sys.exit(main(sys.argv[1:]))"
_ROUNDS = 7


def bench_start(*, model: str = "tiny", rounds: int = _ROUNDS) -> list[Comparison]:
    """Cold starts in turns: help, bare Python, a question about one picture, `import torch`.

    The median of the rounds counts on each side.
    """
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        picture = Path(folder) / "picture.png"
        Image.new("RGB", (112, 84), (200, 180, 160)).save(picture)
        question = ("ask", "What is this?", "--image", str(picture), "--model", model)
        _seconds("import torch")  # the first one reads the files from disk
        taken: dict[str, list[float]] = {"python": [], "help": [], "torch": [], "ask": []}
        for _ in range(rounds):
            taken["python"].append(_seconds("pass"))
            taken["help"].append(_seconds(_RUN, "--help"))
            taken["torch"].append(_seconds("import torch"))
            taken["ask"].append(_seconds(_RUN, *question, "--max-new-tokens", "16"))
    half = {name: statistics.median(values) for name, values in taken.items()}
    return [
        Comparison(
            "seconds of --help against a bare Python", half["help"], half["python"], 5.0, False
        ),
        Comparison(
            "seconds of a cold ask, one picture, against import torch",
            half["ask"],
            half["torch"],
            3.0,
            at_least=False,
        ),
    ]


def _seconds(code: str, *words: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, timeout=600
    )
    return time.perf_counter() - start
