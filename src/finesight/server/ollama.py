# SPDX-License-Identifier: Apache-2.0
"""Ollama's `/api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.batch import EncodedSample
from finesight.conversation import Conversation, Message, Reply, Sampling, TextPart, TokenLogprob
from finesight.engine.engine import plain_sample
from finesight.errors import ConfigError, EngineError
from finesight.inputs import shown
from finesight.parse.records import AnswerCall
from finesight.remote.ollama import OllamaWriter, Times
from finesight.remote.ollama_request import (
    OllamaRequest,
    is_load_only,
    keep_seconds,
    read_chat,
    read_embed,
    read_generate,
)
from finesight.server.answering import Answers, unless_gone
from finesight.server.chat import model_of
from finesight.server.expiry import unload_after
from finesight.server.media import placed
from finesight.server.models import Models, Served
from finesight.server.schema import OLLAMA_CHAT, OLLAMA_EMBED, OLLAMA_GENERATE, documented
from finesight.server.state import ServerState, state_of
from finesight.server.stream import CallSplitter, EventStream

router = APIRouter()

_LATEST = ":latest"
_Read = Callable[[Any, Sampling, int], OllamaRequest]


@router.post("/api/chat", **documented(OLLAMA_CHAT, is_plain=True))
async def chat(request: Request) -> Response:
    """Answer a conversation with pictures; a stream of JSON lines unless `stream` is false."""
    return await _answer(request, read_chat, is_chat=True)


@router.post("/api/generate", **documented(OLLAMA_GENERATE, is_plain=True))
async def generate(request: Request) -> Response:
    """Answer a prompt with pictures, or continue a raw text; a stream of JSON lines unless `stream` is false."""
    return await _answer(request, read_generate, is_chat=False)


@router.post("/api/embed", **documented(OLLAMA_EMBED, is_plain=True))
async def embed(request: Request) -> Response:
    """A vector of unit length for each text."""
    start = time.monotonic_ns()
    async with _admitted(request) as (stack, body):
        served = await _model(stack, state_of(request).models, body)
        loaded = time.monotonic_ns()
        work = partial(asyncio.to_thread, _embedded, body, served)
        vectors, count = await unless_gone(request, state_of(request).encoding.run(work))
    return JSONResponse(
        {
            "model": model_of(body) or served.name,
            "embeddings": vectors,
            "total_duration": time.monotonic_ns() - start,
            "load_duration": loaded - start,
            "prompt_eval_count": count,
        }
    )


@router.post("/api/embeddings", **documented(OLLAMA_EMBED, is_plain=True))
async def embeddings(request: Request) -> Response:
    """A vector of unit length for one text, its `prompt`; the older form of `/api/embed`."""
    async with _admitted(request) as (stack, body):
        served = await _model(stack, state_of(request).models, body)
        given = dict(body) if isinstance(body, Mapping) else {}
        if not isinstance(given.get("prompt"), str) or "input" in given:
            raise ConfigError(f"prompt is {shown(given.get('prompt'))}", hint="give one text")
        given["input"] = given.pop("prompt")
        work = partial(asyncio.to_thread, _embedded, given, served)
        vectors, _ = await unless_gone(request, state_of(request).encoding.run(work))
    return JSONResponse({"embedding": vectors[0]})


def local_name(models: Models, name: Any) -> Any:
    """The name under which a model is offered: a name without a tag and the same with `:latest` are one."""
    if not isinstance(name, str) or name in models.offers:
        return name
    other = name.removesuffix(_LATEST) if name.endswith(_LATEST) else name + _LATEST
    return other if other in models.offers else name


@asynccontextmanager
async def _admitted(request: Request) -> AsyncIterator[tuple[AsyncExitStack, Any]]:
    """The body of a request, and what holds its place until the context ends."""
    async with AsyncExitStack() as stack:
        yield stack, await stack.enter_async_context(state_of(request).gate.admit(request))


async def _model(stack: AsyncExitStack, models: Models, body: Any) -> Served:
    """The model of a request, used until the stack is closed; from then on its `keep_alive` counts."""
    seconds = keep_seconds(body)
    offer = models.offer(local_name(models, model_of(body)))
    if seconds is not None:
        stack.callback(unload_after, offer.base or offer, seconds)
    return await stack.enter_async_context(models.use(offer.name))


async def _answer(request: Request, read: _Read, *, is_chat: bool) -> Response:
    state, start, identity = state_of(request), time.monotonic_ns(), str(request.state.id)
    async with _admitted(request) as (stack, body):
        name = model_of(body) or next(iter(state.models.offers))
        writer = OllamaWriter(model=name, response_id=identity, is_chat=is_chat)
        if is_load_only(body) and keep_seconds(body) == 0:
            offer = state.models.offer(local_name(state.models, model_of(body)))
            unload_after(offer.base or offer, 0)
            return JSONResponse(writer.loaded(is_unloaded=True))
        served = await _model(stack, state.models, body)
        loaded = time.monotonic_ns()
        asked = await unless_gone(request, asyncio.to_thread(_read, read, body, served, state))
        if is_load_only(body):
            return JSONResponse(writer.loaded(is_unloaded=False))
        answers = state.answers(served, asked.chat.conversation, [asked.chat.sampling])
        stack.callback(state.forget, answers)
        with placed(asked.chat.conversation):
            await unless_gone(request, answers.start(_sample(asked, served)))
        clock = _Clock(start, loaded)
        pieces = _pieces(answers, clock, takes_calls=bool(asked.chat.conversation.tools))
        if asked.chat.streams:
            return EventStream(
                _objects(pieces, writer, clock), stack.pop_all(), identity, is_lines=True
            )
        return JSONResponse(await unless_gone(request, _whole(pieces, writer, clock)))


def _read(read: _Read, body: Any, served: Served, state: ServerState) -> OllamaRequest:
    asked = read(body, served.defaults, served.context)
    with placed(asked.chat.conversation):
        conversation = state.access.checked(asked.chat.conversation)
    return replace(asked, chat=replace(asked.chat, conversation=conversation))


def _sample(asked: OllamaRequest, served: Served) -> EncodedSample | None:
    """The tokens of a raw prompt; None for a conversation, which is encoded later."""
    if asked.raw_prompt is None:
        return None
    return plain_sample(served.engine.processor.tokenizer.encode(asked.raw_prompt))


class _Clock:
    """Times of one answer, in nanoseconds of the monotonic clock."""

    def __init__(self, start: int, loaded: int) -> None:
        self._start, self._loaded = start, loaded
        self._first: int | None = None

    def mark(self) -> None:
        """Note the time of the first token."""
        if self._first is None:
            self._first = time.monotonic_ns()

    def times(self) -> Times:
        """The times of an answer that ends now."""
        now = time.monotonic_ns()
        first = now if self._first is None else self._first
        return Times(
            load=self._loaded - self._start, prompt=first - self._loaded, answer=now - first
        )


_Piece = tuple[str, list[AnswerCall], list[TokenLogprob], Reply | None]


async def _pieces(answers: Answers, clock: _Clock, *, takes_calls: bool) -> AsyncIterator[_Piece]:
    """Text and calls as they come, with log-probabilities if requested; the last piece has the reply."""
    splitter = CallSplitter(takes_calls=takes_calls)
    logprobs: list[TokenLogprob] = []
    async for _, event in answers.events():
        clock.mark()
        logprobs += event.logprobs
        text, calls = splitter.feed(event.text, is_last=event.reply is not None)
        if text or calls or event.reply is not None:
            yield text, calls, logprobs, event.reply
            logprobs = []


async def _objects(
    pieces: AsyncIterator[_Piece], writer: OllamaWriter, clock: _Clock
) -> AsyncIterator[dict[str, Any] | str]:
    """The objects of a stream; the last one has no text, as clients expect."""
    async for text, calls, logprobs, reply in pieces:
        if text or calls:
            yield writer.piece(text, calls, logprobs)
        if reply is not None:
            rest = [] if text or calls else logprobs
            yield writer.last(writer.piece("", logprobs=rest), reply, clock.times())


async def _whole(
    pieces: AsyncIterator[_Piece], writer: OllamaWriter, clock: _Clock
) -> dict[str, Any]:
    texts, found, entries = [], [], list[TokenLogprob]()
    async for text, calls, logprobs, reply in pieces:
        texts.append(text)
        found += calls
        entries += logprobs
        if reply is not None:
            content = "".join(texts)
            piece = writer.piece(content.strip() if found else content, found, entries)
            return writer.last(piece, reply, clock.times())
    raise EngineError("the answer has no end")


def _embedded(body: Any, served: Served) -> tuple[list[list[float]], int]:
    """A vector for each text of a body, and the number of all their tokens."""
    texts = read_embed(body, served.context)
    width = served.engine.model.config.text.hidden_size
    if body.get("dimensions") not in (None, width):
        raise ConfigError(
            f"dimensions is {shown(body['dimensions'])}; this model's vectors have {width}"
        )
    conversations = [Conversation(messages=(Message("user", (TextPart(each),)),)) for each in texts]
    encode = served.engine.processor.encode
    samples = [encode(each, add_generation_prompt=False) for each in conversations]
    count = sum(sample.input_ids.numel() for sample in samples)
    return served.engine.embed(samples, adapter=served.adapter), count
