# SPDX-License-Identifier: Apache-2.0
"""A server under a thousand requests at once, one in ten of them hostile, round after round.

::

    python -m benchmarks.hostile --rounds 20 --requests 1000

Each good answer has to be the one that the same request got alone. Each hostile request has to get a clear 4xx: bombs,
broken videos, sizes beyond every limit, slow bodies; some clients just leave. The memory of the server has to be flat:
within 5 % of that after the third round. The tiny model answers, so that the server is what is tested.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.threads import prepare

_BODY_SECONDS = 5.0
_MAX_BODY_MB = 4.0
_ANSWER_SECONDS = 900.0
_FLAT = 1.05
_WARM_ROUNDS = 3
_CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what it has to get.

    Attributes:
        name: of its kind.
        data: the whole HTTP request.
        answer: text of the answer; None for a hostile request.
        status: status of the response; 0 for a client that leaves.
    """

    name: str
    data: bytes
    answer: str | None = None
    status: int = 200


@dataclass(slots=True)
class Round:
    """What a round found.

    Attributes:
        wrong: requests that got something else than they have to, with what it was.
        statuses: how often each status came.
        seconds: time of the round.
    """

    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0


def http(path: str, body: Any, *, length: int | None = None) -> bytes:
    """A POST request; `length` is what it says about the length of its body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = len(data) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + data


def chat(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a chat request."""
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": "What is it?"}]}]
    return {"messages": messages, "max_tokens": 4, "temperature": 0, **fields}


def media(kind: str, data: bytes, **options: Any) -> dict[str, Any]:
    """A message part with a file."""
    address = f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"
    return {"type": kind, kind: {"url": address}, **options}


def good_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Paths and bodies of usual requests: texts and pictures, whole and streamed, continuations."""
    from PIL import Image

    draw, bodies = random.Random(0), []
    for number in range(6):
        stream = io.BytesIO()
        colour = tuple(draw.randrange(256) for _ in range(3))
        Image.new("RGB", (56 + 28 * number, 84), colour).save(stream, "PNG")
        bodies.append((_CHAT, chat(media("image_url", stream.getvalue()), stream=bool(number % 2))))
        bodies.append(
            (_CHAT, chat({"type": "text", "text": f"{number}. "}, stream=bool(number % 2)))
        )
        bodies.append(
            ("/v1/completions", {"prompt": f"{number}, ", "max_tokens": 4, "temperature": 0})
        )
    return bodies


def hostile_cases() -> list[Case]:
    """One case of each kind of hostile request."""
    bomb = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgABhqAAAYagCAIAAABg5HzsAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    )
    video = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\xff" * 2000
    question = {"type": "text", "text": "a"}
    return [
        Case("picture bomb", http(_CHAT, chat(media("image_url", bomb))), status=400),
        Case("broken video", http(_CHAT, chat(media("video_url", video))), status=400),
        Case("long answer", http(_CHAT, chat(question, max_tokens=10**9)), status=400),
        Case("many choices", http(_CHAT, chat(question, n=10**6)), status=400),
        Case("declared bomb", http(_CHAT, b"{", length=10**12), status=413),
        Case("body bomb", http(_CHAT, b" " * int(_MAX_BODY_MB * 10**6 + 1)), status=413),
        Case("deep JSON", http(_CHAT, b"[" * 100_000), status=400),
        Case("no JSON", http(_CHAT, b"\xff\x00\xfe"), status=400),
        Case(
            "closed file",
            http(_CHAT, chat(media("image_url", b"a") | {"image_url": "/etc/passwd"})),
            status=400,
        ),
        Case(
            "closed host",
            http(_CHAT, chat({"type": "image_url", "image_url": "http://127.0.0.1/"})),
            status=400,
        ),
        Case("no model", http(_CHAT, chat(question, model="none")), status=404),
        Case("slow body", http(_CHAT, b"{", length=100), status=408),
        Case("client that leaves", http(_CHAT, chat(question, max_tokens=500)), status=0),
        Case("client that leaves its stream", http(_CHAT, chat(question, stream=True)), status=0),
    ]


async def ask(port: int, case: Case) -> tuple[int, bytes]:
    """Status and body of the response to a case; 0 for a client that leaves."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(case.data)
        if not case.status:
            await asyncio.sleep(0.2)
            return 0, b""
        with suppress(ConnectionError):  # the server may answer before all of a body is sent
            await writer.drain()
        response = await reader.read()
        head, _, body = response.partition(b"\r\n\r\n")
        return int(head.split()[1]), body
    finally:
        writer.close()


def text_of(body: bytes) -> str:
    """The text of an answer, whole or streamed."""
    if b"data: " not in body:
        choice = json.loads(body)["choices"][0]
        return str(choice["message"]["content"] if "message" in choice else choice["text"])
    lines = [line for line in body.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    return "".join(each["choices"][0]["delta"].get("content", "") for each in chunks)


async def play(port: int, cases: Sequence[Case]) -> Round:
    """Send all cases at once."""
    found, start = Round(), time.monotonic()

    async def check(case: Case) -> None:
        try:
            status, body = await ask(port, case)
            found.statuses[status] += 1
            if status != case.status:
                found.wrong.append(
                    f"{case.name}: {status} instead of {case.status}, {body[:200]!r}"
                )
            elif case.answer is not None and (text := text_of(body)) != case.answer:
                found.wrong.append(f"{case.name}: {text!r} instead of {case.answer!r}")
            elif case.answer is None and status and not json.loads(body)["error"]["message"]:
                found.wrong.append(f"{case.name}: no message")
        except (OSError, ValueError, LookupError, AssertionError) as error:
            found.wrong.append(f"{case.name}: {error!r}")

    await asyncio.gather(*map(check, cases))
    found.seconds = time.monotonic() - start
    return found


def usage_of(pid: int) -> tuple[float, int, int]:
    """Resident memory in MB, threads and open files of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) / 1000, int(status["Threads"]), files


async def idle(port: int) -> None:
    """Wait until nothing of any request is left."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        names = ("active_requests", "running_answers", "waiting_answers", "body_bytes")
        if all(f"finesight_{name} 0.0" in text for name in names):
            return
        await asyncio.sleep(0.1)


async def measure(port: int, pid: int, rounds: int, requests: int, most_seconds: float) -> bool:
    """Play rounds and print what they found; whether all is as it has to be."""
    draw, start = random.Random(0), time.monotonic()
    good = []
    for path, body in good_bodies():
        case = Case(f"{path} {'streamed' if body.get('stream') else 'whole'}", http(path, body))
        _, answer = await ask(port, case)
        good.append(Case(case.name, case.data, text_of(answer)))
    bad, memory, is_right = hostile_cases(), [], True
    for number in range(1, rounds + 1):
        cases = [draw.choice(bad if index % 10 == 0 else good) for index in range(requests)]
        draw.shuffle(cases)
        found = await play(port, cases)
        await idle(port)
        resident, threads, files = usage_of(pid)
        memory.append(resident)
        is_right &= not found.wrong
        statuses = ", ".join(
            f"{count} x {status or 'left'}" for status, count in sorted(found.statuses.items())
        )
        print(
            f"round {number}: {found.seconds:.1f} s, {statuses}; wrong {len(found.wrong)}; "
            f"{resident:.0f} MB, {threads} threads, {files} files",
            flush=True,
        )
        for line in found.wrong[:5]:
            print(f"  {line}")
        if time.monotonic() - start > most_seconds:
            break
    growth = max(memory[_WARM_ROUNDS:], default=0.0) / memory[min(_WARM_ROUNDS, len(memory)) - 1]
    print(
        f"{len(memory)} rounds of {requests} requests; memory after round {_WARM_ROUNDS}: at most {growth:.3f} x"
    )
    return is_right and growth <= _FLAT


def serve() -> None:
    """The server that is tested; prints its port."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.api.model import open_model
    from finesight.cli.server_memory import bound_memory
    from finesight.engine.options import EngineOptions
    from finesight.server.models import Models, Offer, Served
    from finesight.server.run import serve as run
    from finesight.server.settings import ServerSettings

    bound_memory()
    engine = EngineOptions(max_sequences=64, max_waiting=4000, kv_cache_gb=0.05)
    opened = open_model("tiny", find_checkpoint("tiny"), device="cpu", engine=engine)
    served = Served("tiny", opened.engine, opened.defaults)
    settings = ServerSettings(
        body_seconds=_BODY_SECONDS,
        max_body_mb=_MAX_BODY_MB,
        max_requests=4000,
        answer_seconds=_ANSWER_SECONDS,
    )
    models = Models([Offer("tiny", lambda: served, 0, loaded=served)])
    run(models, settings, host="127.0.0.1", port=0, on_ready=lambda url: print(url, flush=True))


def main(
    *,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 20,
    requests: Annotated[int, typer.Option(help="Requests of a round, all at once.")] = 1000,
    most_seconds: Annotated[float, typer.Option(help="No round begins after this time.")] = 3600.0,
    is_server: Annotated[bool, typer.Option("--server", hidden=True)] = False,
) -> None:
    """Play rounds of requests, one in ten hostile, and print what the server made of them."""
    if is_server:
        serve()
        return
    command = [sys.executable, "-m", "benchmarks.hostile", "--server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])
        try:
            is_right = asyncio.run(measure(port, server.pid, rounds, requests, most_seconds))
        finally:
            server.terminate()
    raise typer.Exit(0 if is_right else 1)


if __name__ == "__main__":
    prepare()
    typer.run(main)
