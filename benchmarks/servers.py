# SPDX-License-Identifier: Apache-2.0
"""64 clients at once against `finesight serve`, llama.cpp's `llama-server` and `transformers serve`, in turns.

All serve the embedded model, exported to their formats, and get the same requests: drawn pictures with questions about
them, and questions without pictures. `transformers serve` decodes pictures by torchvision's compiled extension, which
builds for CPUs lack, so it is compared on questions without pictures. Temperature 0, at most 32 tokens. One server runs
at a time.
Servers may give answers of different lengths, so tokens a second are printed beside requests a second.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison
from finesight.errors import FinesightError

NUM_CLIENTS = 64
REQUESTS_PER_CLIENT = 3
MAX_TOKENS = 32
_START_SECONDS = 180
_SIZES = ((224, 224), (448, 336), (336, 560), (672, 448))
_QUESTIONS = (
    "Read all the text in the image.",
    "Locate the red circle, output its bbox coordinates using JSON format.",
    "How many circles are there?",
)
_PLAIN = ("Hello, who are you?", "Name three colours.")


@dataclass(frozen=True)
class Peer:
    """A server that can be started.

    Attributes:
        name: for the output.
        command: with `{port}` for the port.
        model: name of the model in requests.
        ready: path that answers with 200 once it is ready.
    """

    name: str
    command: tuple[str, ...]
    model: str
    ready: str = "/health"


@dataclass(frozen=True)
class Load:
    """What 64 clients measured.

    Attributes:
        requests_per_second: finished requests.
        tokens_per_second: pieces of their answers.
        late_first_token: 99th percentile of the time to the first token, in seconds.
    """

    requests_per_second: float
    tokens_per_second: float
    late_first_token: float


def compare_servers(llama_server: Path, *, rounds: int = 2) -> Iterator[Comparison]:
    """Measure all servers in turns; the best round of each counts.

    Args:
        llama_server: llama.cpp's program of this name.
        rounds: number of rounds.

    Raises:
        FinesightError: a server does not start, or answers with an error.
    """
    mixed = _messages()
    plain = [each for each in mixed if isinstance(each[0]["content"], str)] * 4
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as place:
        ours, llama, transformers = _peers(Path(place), llama_server)
        for theirs, messages, bar in ((llama, mixed, 1.5), (transformers, plain, 3.0)):
            loads = [[_measured(each, messages) for each in (ours, theirs)] for _ in range(rounds)]
            first, second = (max(each, key=_speed) for each in zip(*loads, strict=True))
            yield _compared(first, second, theirs.name, bar)


def _speed(load: Load) -> float:
    return load.requests_per_second


def _compared(ours: Load, theirs: Load, name: str, bar: float) -> Comparison:
    note = "; ".join(
        f"{who}: {load.requests_per_second:.2f} requests/s, {load.tokens_per_second:.0f} tokens/s, "
        f"99 % of first tokens within {load.late_first_token:.2f} s"
        for who, load in (("ours", ours), ("theirs", theirs))
    )
    return Comparison(
        f"seconds a request of {NUM_CLIENTS} clients against {name}",
        1 / ours.requests_per_second,
        1 / theirs.requests_per_second,
        bar,
        at_least=True,
        note=note,
    )


def _peers(folder: Path, llama_server: Path) -> list[Peer]:
    """The servers, each with the embedded model in its format."""
    program = (sys.executable, "-m", "finesight")
    for kind, options in (("hf", ()), ("gguf", ("--weights", "bf16"))):
        target = str(folder / kind)
        subprocess.run([*program, "export", "tiny", target, "--to", kind, *options], check=True)
    (projector,) = (folder / "gguf").glob("*mmproj*.gguf")
    (decoder,) = (path for path in (folder / "gguf").glob("*.gguf") if path != projector)
    threads = str(len(os.sched_getaffinity(0)))
    hf = str(folder / "hf")
    return [
        Peer(
            "finesight",
            (*program, *f"serve --model tiny --concurrency {NUM_CLIENTS} --port {{port}}".split()),
            "tiny",
        ),
        Peer(
            "llama-server",
            (
                *(str(llama_server), "-m", str(decoder), "--mmproj", str(projector)),
                *f"-np {NUM_CLIENTS} -c {NUM_CLIENTS * 1024} -t {threads} --port {{port}}".split(),
            ),
            "tiny",
        ),
        Peer(
            "transformers serve",
            (
                *(sys.executable, "-m", "transformers.cli.transformers", "serve", hf),
                *(
                    "--device",
                    "cpu",
                    "--dtype",
                    "bfloat16",
                    "--continuous-batching",
                    "--port",
                    "{port}",
                ),
            ),
            hf,
        ),
    ]


def _measured(peer: Peer, messages: Sequence[list[dict[str, Any]]]) -> Load:
    with _running(peer) as url:
        asyncio.run(_ask(url, peer.model, messages[:4]))  # warm-up
        start = time.perf_counter()
        found = asyncio.run(_ask(url, peer.model, messages))
        seconds = time.perf_counter() - start
    first = sorted(each for each, _ in found)
    return Load(
        len(found) / seconds,
        sum(number for _, number in found) / seconds,
        statistics.quantiles(first, n=100)[98],
    )


@contextmanager
def _running(peer: Peer) -> Iterator[str]:
    """The URL of a started server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [word.replace("{port}", str(port)) for word in peer.command]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url + peer.ready, process)
            yield f"{url}/v1"
        except (OSError, FinesightError) as error:
            log.seek(0)
            raise FinesightError(
                f"{peer.name}: {error}; its log ends: {log.read()[-800:]}"
            ) from error
        finally:
            process.terminate()
            process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise FinesightError(f"it did not answer within {_START_SECONDS} s")


async def _ask(
    url: str, model: str, messages: Sequence[list[dict[str, Any]]]
) -> list[tuple[float, int]]:
    """Time to the first token and number of pieces of each request; each client asks the next when one is answered."""
    import openai

    client: Any = openai.AsyncOpenAI(base_url=url, api_key="none", timeout=600, max_retries=0)
    waiting = iter(messages)
    found: list[tuple[float, int]] = []

    async def work() -> None:
        for each in waiting:
            start, first, number = time.perf_counter(), None, 0
            pieces = await client.chat.completions.create(
                model=model,
                messages=each,
                max_tokens=MAX_TOKENS,
                temperature=0,
                stream=True,
            )
            async for piece in pieces:
                if piece.choices and piece.choices[0].delta.content:
                    first = first or time.perf_counter() - start
                    number += 1
            found.append((first or time.perf_counter() - start, number))

    async with client:
        await asyncio.gather(*(work() for _ in range(NUM_CLIENTS)))
    return found


def _messages() -> list[list[dict[str, Any]]]:
    """The conversations: three in four show a picture; every picture is asked about several times."""
    pictures = [_picture(number) for number in range(NUM_CLIENTS)]
    found: list[list[dict[str, Any]]] = []
    for number in range(NUM_CLIENTS * REQUESTS_PER_CLIENT):
        if number % 4 == 3:
            content: Any = _PLAIN[number % len(_PLAIN)]
        else:
            picture = pictures[number % NUM_CLIENTS]
            question = _QUESTIONS[number % len(_QUESTIONS)]
            content = [
                {"type": "image_url", "image_url": {"url": picture}},
                {"type": "text", "text": question},
            ]
        found.append([{"role": "user", "content": content}])
    return found


def _picture(number: int) -> str:
    """A drawn picture as a data: address."""
    from PIL import Image, ImageDraw

    width, height = _SIZES[number % len(_SIZES)]
    picture = Image.new("RGB", (width, height), (250, 250, 245))
    draw = ImageDraw.Draw(picture)
    for place in range(1 + number % 4):
        left, top = 20 + 45 * place, 30 + (37 * number + 29 * place) % (height - 90)
        draw.ellipse((left, top, left + 40, top + 40), fill=(200, 30, 30))
    draw.text((20, 8), f"Ticket {1000 + number}", fill=(0, 0, 0))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
