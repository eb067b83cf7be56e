# SPDX-License-Identifier: Apache-2.0
"""Servers for tests: the application in this process, and `finesight serve` as a process of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from PIL import Image

from finesight.server.app import create_app
from finesight.server.media import fetch_policy
from finesight.server.models import Models, Offer, Served
from finesight.server.run import _Protocol
from finesight.server.settings import ServerSettings
from finesight.server.state import ServerState

_READY = re.compile(r"ready: (http://[^/]+)/v1")
_SECONDS = 30.0
_START_SECONDS = 180.0
"""For the start of a process and its end: importing torch takes long on a busy machine."""


def data_address(data: bytes | Path | Image.Image, kind: str = "image/png") -> str:
    """A `data:` address of bytes, a file or a picture."""
    if isinstance(data, Image.Image):
        stream = io.BytesIO()
        data.save(stream, "PNG")
        data = stream.getvalue()
    elif isinstance(data, Path):
        data = data.read_bytes()
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture_part(data: Any, **options: Any) -> dict[str, Any]:
    """A message part with a picture; a str is an address."""
    address = data if isinstance(data, str) else data_address(data)
    return {"type": "image_url", "image_url": {"url": address}, **options}


def chat(*parts: Any, **fields: Any) -> dict[str, Any]:
    """The body of a chat request with one message; a str is a text."""
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    messages = [{"role": "user", "content": content}]
    return {"messages": messages, "max_tokens": 4, "temperature": 0, **fields}


def tiny_served(name: str = "tiny", hosts: Sequence[str] = (), **engine: Any) -> Served:
    """The tiny model, loaded; media are fetched from `hosts`."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.api.model import open_model
    from finesight.engine.options import EngineOptions

    options = EngineOptions(**{"max_sequences": 8, "kv_cache_gb": 0.05, **engine})
    opened = open_model(
        "tiny",
        find_checkpoint("tiny"),
        device="cpu",
        engine=options,
        fetch_policy=fetch_policy(hosts),
    )
    return Served(name, opened.engine, opened.defaults)


def offer_of(served: Served) -> Offer:
    """A model that is loaded already."""
    return Offer(served.name, lambda: served, 0, loaded=served)


def app_of(served: Served, **settings: Any) -> Any:
    """The application with one loaded model."""
    return create_app(Models([offer_of(served)]), ServerSettings(**settings))


def request(
    app: Any, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
) -> httpx.Response:
    """One request to an application, without a port."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=("198.51.100.7", 1234))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server", verify=False
        ) as client:
            return await client.request(method, path, headers=headers, **options)

    return asyncio.run(send())


def post(app: Any, path: str, body: Any, **options: Any) -> httpx.Response:
    """POST a JSON body, or bytes, to an application."""
    if isinstance(body, bytes):
        return request(app, "POST", path, content=body, **options)
    return request(app, "POST", path, json=body, **options)


@dataclass
class Live:
    """A server on a port, on a thread of this process.

    Attributes:
        url: without `/v1`.
        port: its port on 127.0.0.1.
        state: its state, to look at.
        served: its model.
    """

    url: str
    port: int
    state: ServerState
    served: Served

    def client(self, **options: Any) -> Any:
        """An OpenAI client of it."""
        from openai import OpenAI

        return OpenAI(base_url=f"{self.url}/v1", **{"api_key": "none", "max_retries": 0, **options})

    def send(self, head: str, *pieces: bytes) -> socket.socket:
        """Send bytes on a connection of its own; the caller reads and closes it."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)
        connection.sendall(head.replace("\n", "\r\n").encode())
        for piece in pieces:
            connection.sendall(piece)
        return connection

    def is_idle(self) -> bool:
        """Whether nothing of any request is left: no sequence, no block, no body, no medium."""
        engine = self.served.engine
        core = engine._core
        if core is not None:
            with core.lock:
                if not core.scheduler.is_idle or core.pool.num_free != core.pool.num_blocks:
                    return False
        return (
            engine.num_requests() == (0, 0)
            and engine._media.used == 0
            and self.state.gate.num_active == 0
            and self.state.gate.num_body_bytes == 0
            and not self.state._active
        )


@contextmanager
def live(served: Served, **settings: Any) -> Iterator[Live]:
    """A server on a free port, on a thread of this process."""
    app = app_of(served, **settings)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app, http=_Protocol, log_config=None, access_log=False, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Live(f"http://127.0.0.1:{port}", port, app.state.finesight, served)
    finally:
        server.should_exit = True
        thread.join(_SECONDS)
        assert not thread.is_alive()


def wait_until(is_true: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Wait for something that happens on another thread."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.005)


@dataclass
class Program:
    """`finesight serve` as a process of its own.

    Attributes:
        url: without `/v1`; empty until it is ready.
        process: the process.
        lines: what it has written to its error stream.
    """

    url: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def client(self, **options: Any) -> Any:
        """An OpenAI client of it."""
        from openai import OpenAI

        return OpenAI(base_url=f"{self.url}/v1", **{"api_key": "none", "max_retries": 0, **options})

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(how)
        return self.process.wait(_START_SECONDS)

    def log(self) -> str:
        """All that it has written so far."""
        return "".join(self.lines)


@contextmanager
def program(*words: object, port: int = 0) -> Iterator[Program]:
    """Start `finesight serve` with the tiny model, unless `words` name another one."""
    model = () if "--model" in words else ("--model", "tiny")
    command = [sys.executable, "-m", "finesight", "serve", *model, "--port", port, *words]
    process = subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = Program("", process)
    assert process.stderr is not None
    stream = process.stderr

    def read() -> None:
        for line in stream:
            found.lines.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(
            lambda: process.poll() is not None or any(map(_READY.match, list(found.lines))),
            _START_SECONDS,
        )
        ready = [match for line in list(found.lines) if (match := _READY.match(line))]
        assert ready, found.log()
        found.url = ready[0][1]
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(_SECONDS)
        reader.join(_SECONDS)
        stream.close()


def events_of(response: httpx.Response) -> list[Any]:
    """The JSON of server-sent events; `[DONE]` is a str."""
    found = []
    for line in response.text.splitlines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found
