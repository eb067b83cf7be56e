# SPDX-License-Identifier: Apache-2.0
"""`/v1/completions`: continue a text, without chat template and without media."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.conversation import Conversation, Reply, TokenLogprob
from finesight.engine.engine import plain_sample
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.remote.chat_request import TOP_LOGPROBS, ChatRequest, read_request
from finesight.remote.completions import ending, logprob_value, usage
from finesight.server.answering import Answers, unless_gone
from finesight.server.chat import model_of
from finesight.server.models import Served
from finesight.server.schema import COMPLETION, documented
from finesight.server.state import new_id, state_of
from finesight.server.stream import DONE, EventStream
from finesight.text.tokenizer import Tokenizer

router = APIRouter()

_ONLY_CHAT = ("messages", "tools", "tool_choice", "mm_processor_kwargs", "top_logprobs")
_MOST_PROMPTS = 128


@router.post("/v1/completions", **documented(COMPLETION))
async def text_completions(request: Request) -> Response:
    """Continue one text or several."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        prompts, asked = await asyncio.to_thread(_read, body, served)
        started: list[Answers] = []
        for prompt in prompts:
            answers = state.answers(served, Conversation(messages=()), asked.samplings())
            stack.callback(state.forget, answers)
            await unless_gone(request, answers.start(plain_sample(prompt)))
            started.append(answers)
        frame = {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
        }
        if asked.streams:
            events = _chunks(frame, asked, started)
            return EventStream(events, stack.pop_all(), request.state.id)
        found = [await unless_gone(request, answers.replies()) for answers in started]
    return JSONResponse(_completion(frame, asked, found))


def _read(body: Any, served: Served) -> tuple[list[list[int]], ChatRequest]:
    """The prompts as token ids, and the other fields of a request."""
    if not isinstance(body, Mapping):
        raise ConfigError(f"body is {shown(body)}", hint='it is an object with "prompt"')
    given = {name: value for name, value in body.items() if value is not None}
    for name in _ONLY_CHAT:
        if name in given:
            raise ConfigError(
                f"{name} is a field of chat completions", hint="use /v1/chat/completions"
            )
    prompts = read_prompts("prompt", given.pop("prompt", None), served.engine.processor.tokenizer)
    for name, nothing in (("echo", False), ("suffix", ""), ("best_of", 1)):
        if (value := given.pop(name, nothing)) != nothing:
            raise ConfigError(
                f"{name} is {shown(value)}, which is not supported", hint="leave it out"
            )
    logprobs = given.pop("logprobs", None)
    if logprobs is not None:
        TOP_LOGPROBS.check("logprobs", logprobs)
        given |= {"logprobs": True, "top_logprobs": logprobs}
    return prompts, read_request({**given, "messages": []}, served.defaults)


def read_prompts(name: str, given: Any, tokenizer: Tokenizer) -> list[list[int]]:
    """Token ids of one text or several, given as texts or as token ids.

    Raises:
        ConfigError: it is something else, or a token is not in the vocabulary.
    """
    if given is None:
        raise ConfigError(f"{name} is missing", hint="give a text, or a list of token ids")
    if not isinstance(given, list):
        return [_ids(name, given, tokenizer)]
    entries = given
    if entries and all(isinstance(each, int) and not isinstance(each, bool) for each in entries):
        entries = [entries]
    if not entries or len(entries) > _MOST_PROMPTS:
        raise ConfigError(f"{name} has {len(entries)} texts; 1 to {_MOST_PROMPTS} are accepted")
    return [_ids(name, entry, tokenizer) for entry in entries]


def _ids(name: str, entry: Any, tokenizer: Tokenizer) -> list[int]:
    if isinstance(entry, str):
        ids = tokenizer.encode(entry)
    elif isinstance(entry, list):
        ids = checked_ids(name, entry, tokenizer)
    else:
        raise ConfigError(f"{name} is {shown(entry)}", hint="give a text, or a list of token ids")
    if not ids:
        raise ConfigError(f"{name} is empty", hint="give at least one token")
    return ids


def checked_ids(name: str, ids: Sequence[Any], tokenizer: Tokenizer) -> list[int]:
    """Token ids that the vocabulary has.

    Raises:
        ConfigError: one of them is not in it.
    """
    most = tokenizer.vocab_size
    for each in ids:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < most:
            raise ConfigError(f"{name} has {shown(each)}; token ids are 0 to {most - 1:,}")
    return list(ids)


async def _chunks(
    frame: dict[str, Any], asked: ChatRequest, started: Sequence[Answers]
) -> AsyncIterator[dict[str, Any] | str]:
    """Pieces of each text, one prompt after the other, the usage if it is asked for, and the end."""
    copies = asked.num_choices if asked.is_greedy else 1
    counts = []
    for number, answers in enumerate(started):
        replies: dict[int, Reply] = {}
        async for choice, event in answers.events():
            first = number * asked.num_choices + choice
            for index in range(first, first + copies):
                yield {**frame, "choices": [_piece(index, event.text, event.logprobs, event.reply)]}
            if event.reply is not None:
                replies[choice] = event.reply
        counts.append(usage(list(replies.values()) * copies))
    if asked.includes_usage:
        yield {**frame, "choices": [], "usage": _sum(counts)}
    yield DONE


def _completion(
    frame: dict[str, Any], asked: ChatRequest, found: Sequence[Sequence[Reply]]
) -> dict[str, Any]:
    copies = asked.num_choices if asked.is_greedy else 1
    replies = [list(each) * copies for each in found]
    every = [reply for each in replies for reply in each]
    choices = [
        _piece(index, reply.text, reply.logprobs, reply) for index, reply in enumerate(every)
    ]
    return {**frame, "choices": choices, "usage": _sum([usage(each) for each in replies])}


def _piece(
    index: int, text: str, logprobs: Sequence[TokenLogprob], reply: Reply | None
) -> dict[str, Any]:
    end = {"finish_reason": None, "stop_reason": None} if reply is None else ending(reply)
    found = _logprobs(logprobs) if logprobs else None
    return {"index": index, "text": text, "logprobs": found, **end}


def _logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    """The log-probabilities in the form of the older API."""
    return {
        "tokens": [each.text for each in entries],
        "token_logprobs": [logprob_value(each.logprob) for each in entries],
        "top_logprobs": [
            {text: logprob_value(value) for _, text, value in each.top} for each in entries
        ],
        "text_offset": [each.span[0] for each in entries],
    }


def _sum(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: sum(each[name] for each in counts) for name in names}
