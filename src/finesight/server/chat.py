# SPDX-License-Identifier: Apache-2.0
"""`/v1/chat/completions`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.conversation import Reply, TokenLogprob
from finesight.parse.records import AnswerCall
from finesight.remote.chat_request import ChatRequest, read_request
from finesight.remote.completions import (
    call_id,
    completion,
    ending,
    findings,
    logprob_content,
    media,
    tool_call,
    usage,
)
from finesight.server.answering import Answers, unless_gone
from finesight.server.media import placed
from finesight.server.models import Served
from finesight.server.schema import CHAT, documented
from finesight.server.state import ServerState, new_id, state_of
from finesight.server.stream import DONE, CallSplitter, EventStream

router = APIRouter()


@router.post("/v1/chat/completions", **documented(CHAT))
async def chat_completions(request: Request) -> Response:
    """Answer a conversation with pictures, videos and PDFs."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        asked = await unless_gone(
            request, state.read(body, partial(read_chat, body, served, state))
        )
        answers = state.answers(served, asked.conversation, asked.samplings())
        stack.callback(state.forget, answers)
        with placed(asked.conversation, by_message=True):
            await unless_gone(request, answers.start())
        identity, created = new_id("chatcmpl"), int(time.time())
        if asked.streams:
            chunks = _Chunks(asked, served.name, identity, created)
            return EventStream(chunks.events(answers), stack.pop_all(), request.state.id)
        replies = await unless_gone(request, answers.replies())
    # Reading long answers takes a while, in which other requests go on.
    write = partial(completion, model=served.name, response_id=identity, created=created)
    return JSONResponse(await asyncio.to_thread(write, asked, replies))


def model_of(body: Any) -> Any:
    """The model that a body names; None if it names none."""
    return body.get("model") if isinstance(body, dict) else None


def read_chat(body: Any, served: Served, state: ServerState) -> ChatRequest:
    """Read the body of a request; its files are those that the server allows.

    Raises:
        FinesightError: a field cannot be honoured, or a file may not be opened.
    """
    request = read_request(body, served.defaults, open_file=state.access.open_file)
    with placed(request.conversation, by_message=True):
        return replace(request, conversation=state.access.checked(request.conversation))


class _Chunks:
    """The `chat.completion.chunk` objects of one request.

    A chunk has the log-probabilities of the tokens since the chunk before: also of tokens whose text is held back. The
    last chunk of a choice has what was found in the answer.
    """

    def __init__(self, asked: ChatRequest, model: str, identity: str, created: int) -> None:
        self._asked, self._identity = asked, identity
        self._frame = {
            "id": identity,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        takes_calls = bool(asked.conversation.tools)
        self._copies = asked.num_choices if asked.is_greedy else 1
        self._splitters = [CallSplitter(takes_calls=takes_calls) for _ in range(asked.num_choices)]
        self._logprobs: list[list[TokenLogprob]] = [[] for _ in range(asked.num_choices)]

    async def events(self, answers: Answers) -> AsyncIterator[dict[str, Any] | str]:
        """All chunks, the usage if it is asked for, and the end of the stream."""
        for index in range(self._asked.num_choices):
            yield self._chunk(index, {"role": "assistant", "content": ""})
        replies: dict[int, Reply] = {}
        async for choice, event in answers.events():
            splitter = self._splitters[choice]
            first_call = splitter.num_calls
            text, calls = splitter.feed(event.text, is_last=event.reply is not None)
            self._logprobs[choice] += event.logprobs
            entries = list(enumerate(calls, start=first_call))
            if not (text or entries or event.reply is not None):
                continue
            end = None
            if event.reply is not None:
                end = await asyncio.to_thread(self._end, event.reply)
            for index in self._indices(choice):
                chunks = self._of_event(index, text, entries, end)
                if self._logprobs[choice]:
                    chunks[0]["choices"][0]["logprobs"] = logprob_content(self._logprobs[choice])
                for chunk in chunks:
                    yield chunk
            self._logprobs[choice].clear()
            if event.reply is not None:
                replies[choice] = event.reply
        if self._asked.includes_usage:
            counted = list(replies.values()) * self._copies
            yield {**self._frame, "choices": [], "usage": usage(counted)}
        yield DONE

    def _of_event(
        self,
        index: int,
        text: str,
        calls: Sequence[tuple[int, AnswerCall]],
        end: dict[str, Any] | None,
    ) -> list[dict[str, Any]]:
        """The chunks of one piece of an answer; calls come with their numbers, and `end` is that of the last one."""
        chunks = [self._chunk(index, {"content": text})] if text else []
        for number, call in calls:
            entry = {"index": number, **tool_call(call, call_id(self._identity, index, number))}
            chunks.append(self._chunk(index, {"tool_calls": [entry]}))
        if end is not None:
            last = self._chunk(index, {})
            last["choices"][0] |= end["choice"]
            chunks.append({**last, "media": end["media"]})
        return chunks

    def _indices(self, choice: int) -> range:
        """Choices of the request that an answer stands for: all of them at temperature 0."""
        return range(self._copies) if self._asked.is_greedy else range(choice, choice + 1)

    def _chunk(self, index: int, delta: dict[str, Any]) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return {**self._frame, "choices": [choice]}

    @staticmethod
    def _end(reply: Reply) -> dict[str, Any]:
        """What the last chunk of a choice says; reading a long answer takes a while."""
        choice = {**ending(reply), "finesight": findings(reply)}
        return {"choice": choice, "media": media(reply)}
