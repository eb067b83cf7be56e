# SPDX-License-Identifier: Apache-2.0
"""`/v1/responses`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.conversation import TokenLogprob
from finesight.errors import FinesightError
from finesight.remote.response_request import ResponseRequest, read_response_request
from finesight.remote.responses import Event, ResponseWriter
from finesight.server.answering import Answers, unless_gone
from finesight.server.chat import model_of
from finesight.server.errors import reason_of, unexpected
from finesight.server.media import placed
from finesight.server.metrics import Metrics
from finesight.server.models import Served
from finesight.server.schema import RESPONSE, documented
from finesight.server.state import ServerState, new_id, state_of
from finesight.server.stream import CallSplitter, EventStream

router = APIRouter()


@router.post("/v1/responses", **documented(RESPONSE))
async def responses(request: Request) -> Response:
    """Answer a conversation with pictures and PDFs in the responses format; nothing is stored."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        asked = await unless_gone(request, state.read(body, partial(_read, body, served, state)))
        answers = state.answers(served, asked.chat.conversation, asked.chat.samplings())
        stack.callback(state.forget, answers)
        with placed(asked.chat.conversation):
            await unless_gone(request, answers.start())
        writer = ResponseWriter(
            asked,
            model=served.name,
            response_id=new_id("resp").replace("-", "_"),
            created=int(time.time()),
        )
        events = _events(writer, answers, takes_calls=bool(asked.chat.conversation.tools))
        if asked.chat.streams:
            identity = str(request.state.id)
            whole = _with_end(events, writer, state.metrics, identity)
            return EventStream(whole, stack.pop_all(), identity, names_events=True)
        return JSONResponse(await unless_gone(request, _last_response(events)))


def _read(body: Any, served: Served, state: ServerState) -> ResponseRequest:
    open_file = state.access.open_file
    asked = read_response_request(body, served.defaults, open_file=open_file)
    with placed(asked.chat.conversation):
        conversation = state.access.checked(asked.chat.conversation)
    return replace(asked, chat=replace(asked.chat, conversation=conversation))


async def _events(
    writer: ResponseWriter, answers: Answers, *, takes_calls: bool
) -> AsyncIterator[Event]:
    """The events of an answer that does not fail."""
    for event in writer.start():
        yield event
    splitter = CallSplitter(takes_calls=takes_calls)
    logprobs: list[TokenLogprob] = []
    async for _, piece in answers.events():
        logprobs += piece.logprobs
        text, calls = splitter.feed(piece.text, is_last=piece.reply is not None)
        events: list[Event] = []
        if text:
            events = writer.text(text, logprobs)
            logprobs.clear()
        for call in calls:
            events += writer.call(call)
        if piece.reply is not None:
            events += writer.end(piece.reply)
        for event in events:
            yield event


async def _with_end(
    events: AsyncIterator[Event], writer: ResponseWriter, metrics: Metrics, request_id: str
) -> AsyncIterator[dict[str, Any] | str]:
    """The events, and an end for an answer that fails: the status has been sent."""
    try:
        async for event in events:
            yield event
    except FinesightError as error:
        metrics.refused(reason_of(error))
        for event in writer.failed(error):
            yield event
    except Exception as error:  # noqa: BLE001  # logged; the client gets an end of the stream
        failure = unexpected(error, request_id)
        metrics.refused(reason_of(failure))
        yield writer.error(failure)


async def _last_response(events: AsyncIterator[Event]) -> dict[str, Any]:
    response: dict[str, Any] = {}
    async for event in events:
        response = event.get("response", response)
    return response
