# SPDX-License-Identifier: Apache-2.0
"""`/v1/live`: a WebSocket on which frames arrive while questions about them are answered.

Messages of the client, in JSON unless noted:

| message | meaning |
|---|---|
| `{"type": "start", ...}` | the first one; may have `model`, `api_key` and the fields of `LiveOptions` |
| binary | a frame: its time in seconds as a big-endian float64, then a JPEG file |
| `{"type": "ask", "id", "text", ...}` | a question about the frames so far; sampling as in chat completions |
| `{"type": "cancel", "id"}` | ends the answer to a question |
| `{"type": "status"}` | asks what is kept |

Messages of the server: `ready`, `delta` (a piece of an answer), `answer` (its end, with findings, usage and the frames
it is about), `frames` (the reply to `status`), `dropped` (the first frame that is dropped for a reason) and `error`.
Questions are answered one after the other, each about the frames that were kept when it was asked.

Everything is bounded: `FrameRing` the frames that are kept, `FrameIntake` their size and rate, and `_MOST_QUESTIONS`
the questions that wait. While a message is processed, the next one is not read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from finesight.conversation import Conversation, Message, Sampling, TextPart
from finesight.errors import ConfigError, FinesightError
from finesight.inputs import shown
from finesight.remote.chat_request import read_request
from finesight.remote.completions import ending, findings, media, usage
from finesight.server.errors import HttpError, error_object, log, reason_of, unexpected
from finesight.server.gate import read_json
from finesight.server.live_frames import MOST_FRAME_BYTES, FrameIntake, LiveOptions
from finesight.server.live_ring import Frame
from finesight.server.models import Served
from finesight.server.state import ServerState, new_id, state_of

router = APIRouter()

MOST_MESSAGE_BYTES = 2 * MOST_FRAME_BYTES
"""Largest message; a frame that is only somewhat too large is dropped instead of ending the connection."""
_MOST_QUESTIONS = 4
_START_SECONDS = 10.0
"""Time for the start message: a connection without a key must not take the place of others."""
_GOING_AWAY, _POLICY, _TRY_LATER = 1001, 1008, 1013
_NOT_OF_QUESTIONS = ("messages", "model", "stream", "stream_options", "n", "tools", "tool_choice")
"""Fields of chat completions that a question does not have."""


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """Answer questions about the frames of one connection."""
    state = state_of(socket)
    if not _is_own_page(socket, state):
        await socket.close(_POLICY)  # before it is accepted: the client gets status 403
        return
    await socket.accept()
    state.num_live += 1
    try:
        await _serve(socket, state)
    except WebSocketDisconnect:
        log.info("a live connection ended")  # its work is cancelled
    except FinesightError as error:
        await _refuse(socket, state, error)
    except Exception as error:  # noqa: BLE001  # logged with its trace; the client gets a sentence
        await _refuse(socket, state, unexpected(error, new_id("live")))
    finally:
        state.num_live -= 1


def _is_own_page(socket: WebSocket, state: ServerState) -> bool:
    """Whether no browser, this server's page or an allowed page connects: browsers let every page open WebSockets."""
    origin = socket.headers.get("origin")
    if origin is None or origin in state.settings.origins:
        return True
    return urlsplit(origin).netloc == socket.headers.get("host")


async def _refuse(socket: WebSocket, state: ServerState, error: FinesightError) -> None:
    """Send an error and close the connection."""
    state.metrics.refused(reason_of(error))
    status = error.status if isinstance(error, HttpError) else 400
    with suppress(WebSocketDisconnect, RuntimeError):  # the client may be gone already
        await socket.send_json({"type": "error", "id": None, **error_object(error, socket.scope)})
        await socket.close({429: _TRY_LATER, 503: _GOING_AWAY}.get(status, _POLICY))


async def _serve(socket: WebSocket, state: ServerState) -> None:
    if state.num_live > state.settings.max_live:
        raise HttpError(
            429,
            f"{state.settings.max_live} connections of live video are open, and no more are allowed",
            code="too_many_live",
        )
    seconds = min(_START_SECONDS, state.settings.body_seconds)
    try:
        async with asyncio.timeout(seconds):
            start = _read((await _received(socket)).get("text"))
    except TimeoutError:
        raise HttpError(
            408, f"no start message within {seconds:g} s", code="body_timeout"
        ) from None
    if (kind := start.pop("type", None)) != "start":
        raise ConfigError(
            f"the first message is of another type: {shown(kind)}", hint='send {"type": "start"}'
        )
    key = start.pop("api_key", None) or ""
    if not isinstance(key, str):
        raise ConfigError("api_key is no text", hint="give the key, or leave it out")
    state.gate.check_key(socket, key)
    model = start.pop("model", None)
    options = LiveOptions.from_dict(start)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(state.models.use(model))
        connection = _Connection(socket, state, served, key, options)
        await connection.run()


class _Connection:
    """One client after its start message."""

    def __init__(
        self,
        socket: WebSocket,
        state: ServerState,
        served: Served,
        key: str,
        options: LiveOptions,
    ) -> None:
        self._socket, self._state, self._served, self._key = socket, state, served, key
        self._intake = FrameIntake(served.engine.processor, options)
        self._questions: asyncio.Queue[_Question] = asyncio.Queue()
        self._open: dict[str, _Question] = {}

    async def run(self) -> None:
        """Read messages until the client closes the connection; then all work is cancelled."""
        await self._send("ready", model=self._served.name, **self._intake.limits())
        answering = asyncio.create_task(self._answer_all())
        try:
            await self._read_all()
        finally:
            answering.cancel()
            await asyncio.wait((answering,))

    async def _read_all(self) -> None:
        while True:
            received = await _received(self._socket)
            if received.get("bytes") is not None:
                await self._take_frame(received["bytes"])
                continue
            message: dict[str, Any] = {}
            try:
                message = _read(received.get("text"))
                await self._take_message(dict(message))
            except FinesightError as error:
                await self._error(message.get("id"), error)

    async def _take_frame(self, data: bytes) -> None:
        dropped = await self._intake.add(data)
        if dropped is not None and self._intake.dropped[dropped.reason] == 1:
            await self._send("dropped", reason=dropped.reason, message=dropped.message)

    async def _take_message(self, message: dict[str, Any]) -> None:
        kind = message.pop("type", None)
        if kind == "status":
            await self._send("frames", frames=self._intake.report(self._intake.frames()))
        elif kind == "cancel":
            found = self._open.get(str(message.get("id")))
            if found is None:
                raise ConfigError(f"there is no open question {shown(message.get('id'))}")
            found.cancel()
        elif kind == "ask":
            self._ask(message)
        else:
            raise ConfigError(f"type is {shown(kind)}", hint="send ask, cancel or status")

    def _ask(self, message: dict[str, Any]) -> None:
        frames = self._intake.frames()
        if not frames:
            raise ConfigError("no frame was received yet", hint="send frames before you ask")
        if len(self._open) >= _MOST_QUESTIONS:
            raise HttpError(
                429,
                f"{len(self._open)} questions of this connection are open",
                hint="wait for an answer, or cancel one",
                code="queue_full",
            )
        question = _Question(message, self._served.defaults, frames, self._intake)
        if question.id in self._open:
            raise ConfigError(f"there is an open question with the id {shown(question.id)}")
        self._open[question.id] = question
        self._questions.put_nowait(question)

    async def _answer_all(self) -> None:
        with suppress(WebSocketDisconnect):  # the reader sees it, too
            while True:
                question = await self._questions.get()
                try:
                    await self._answer_or_error(question)
                finally:
                    del self._open[question.id]

    async def _answer_or_error(self, question: _Question) -> None:
        try:
            with self._state.gate.counted(self._socket, self._key):
                await self._answer(question)
        except WebSocketDisconnect:
            raise
        except FinesightError as error:
            await self._error(question.id, error)
        except Exception as error:  # noqa: BLE001  # logged with its trace; the client gets a sentence
            await self._error(question.id, unexpected(error, new_id("live")))

    async def _answer(self, question: _Question) -> None:
        answers = self._state.answers(self._served, question.conversation, [question.sampling])
        try:
            # Frames of a live video are few; they are decoded together, and each pair is encoded once.
            processor = self._served.engine.processor
            sample = await asyncio.to_thread(processor.encode, question.conversation)
            vision = tuple(replace(item, shares_pairs=True) for item in sample.vision)
            await answers.start(replace(sample, vision=vision))
            # Only now: answers that are cancelled before they start have no event that tells of their end.
            question.on_cancel = answers.cancel
            if question.is_cancelled:
                answers.cancel()
            async for _, event in answers.events():
                if event.text:
                    await self._send("delta", id=question.id, text=event.text)
                if event.reply is not None:
                    await self._send(
                        "answer",
                        id=question.id,
                        text=event.reply.text,
                        **ending(event.reply),
                        usage=usage([event.reply]),
                        finesight=findings(event.reply),
                        media=media(event.reply),
                        frames=question.report,
                    )
        finally:
            self._state.forget(answers)

    async def _error(self, identity: Any, error: FinesightError) -> None:
        self._state.metrics.refused(reason_of(error))
        await self._send("error", id=identity, **error_object(error, self._socket.scope))

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send_text(json.dumps({"type": kind, **fields}, ensure_ascii=False))


class _Question:
    """A question with the frames that it is about.

    Raises:
        ConfigError: a field is unknown, or its value is not allowed.
    """

    def __init__(
        self,
        message: dict[str, Any],
        defaults: Sampling,
        frames: tuple[Frame, ...],
        intake: FrameIntake,
    ) -> None:
        identity, text = message.pop("id", None), message.pop("text", None)
        if not isinstance(identity, (str, int, type(None))):
            raise ConfigError(f"id is {shown(identity)}", hint="give a text, or leave it out")
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"text is {shown(text)}", hint="give the question")
        if refused := [name for name in message if name in _NOT_OF_QUESTIONS]:
            raise ConfigError(f"{refused[0]} is not a field of a question", hint="leave it out")
        body = {**message, "messages": [{"role": "user", "content": text}]}
        self.id = new_id("question") if identity is None else str(identity)
        self.sampling = read_request(body, defaults).sampling
        parts = (intake.part(frames), TextPart(text))
        self.conversation = Conversation((Message("user", parts),))
        self.report = intake.report(frames)
        self.is_cancelled = False
        self.on_cancel: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """End the answer, whether or not it has begun."""
        self.is_cancelled = True
        self.on_cancel()


async def _received(socket: WebSocket) -> dict[str, Any]:
    """The next message; raises `WebSocketDisconnect` when the client is gone."""
    received = dict(await socket.receive())
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code") or _GOING_AWAY)
    return received


def _read(text: str | None) -> dict[str, Any]:
    try:
        message = None if text is None else read_json(text.encode())
    except ConfigError:  # of a repeated field, which JSON allows
        raise
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the message is not JSON: {str(error)[:200]}") from error
    if not isinstance(message, dict):
        raise ConfigError("the message is no JSON object", hint='send {"type": ...}')
    return message
