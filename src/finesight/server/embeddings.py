# SPDX-License-Identifier: Apache-2.0
"""`/v1/embeddings`: vectors of texts, and of conversations with pictures."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.conversation import Conversation, Message, TextPart
from finesight.engine.engine import Pooling
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.remote.chat_request import LABELS
from finesight.server.answering import unless_gone
from finesight.server.chat import model_of, read_chat
from finesight.server.completions import checked_ids, read_prompts
from finesight.server.media import placed
from finesight.server.models import Served
from finesight.server.schema import EMBEDDING, documented
from finesight.server.state import ServerState, state_of
from finesight.text.tokenizer import Tokenizer

router = APIRouter()

_KNOWN = ("model", "input", "messages", "encoding_format", "dimensions", "pooling", *LABELS)


@router.post("/v1/embeddings", **documented(EMBEDDING))
async def embeddings(request: Request) -> Response:
    """A vector of unit length for each text.

    `messages` instead of `input` gives the vector of one conversation, which may show pictures. `pooling` is "last"
    (the state of the last token) or "mean".
    """
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        asked = await state.read(body, partial(_read, body, served, state))
        vectors, num_tokens = [], 0
        for (
            conversation
        ) in asked.conversations:  # one by one, so that a client that is gone ends it
            embed = partial(_embedded, conversation, asked.pooling, served)
            work = state.read(body, embed, slots=state.encoding)
            with placed(conversation, by_message=True):
                vector, number = await unless_gone(request, work)
            vectors.append(_encoded(vector, asked.encoding))
            num_tokens += number
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
    return JSONResponse({"object": "list", "data": data, "model": served.name, "usage": usage})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for embeddings."""

    conversations: list[Conversation]
    pooling: Pooling
    encoding: str


def _read(body: Any, served: Served, state: ServerState) -> _Asked:
    if not isinstance(body, Mapping):
        raise ConfigError(f"body is {shown(body)}", hint='it is an object with "input"')
    given = {name: value for name, value in body.items() if value is not None}
    if unknown := [name for name in given if name not in _KNOWN]:
        raise ConfigError(f"unknown field {shown(unknown[0])}", hint=f"known: {', '.join(_KNOWN)}")
    width = served.engine.model.config.text.hidden_size
    if given.get("dimensions", width) != width:
        raise ConfigError(
            f"dimensions is {shown(given['dimensions'])}; this model's vectors have {width}"
        )
    encoding = given.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise ConfigError(f"encoding_format is {shown(encoding)}", hint="give float or base64")
    pooling = given.get("pooling", "last")
    if pooling not in get_args(Pooling):
        raise ConfigError(f"pooling is {shown(pooling)}", hint='it is "last" or "mean"')
    return _Asked(_conversations(given, served, state), pooling, encoding)


def _embedded(
    conversation: Conversation, pooling: Pooling, served: Served
) -> tuple[list[float], int]:
    """The vector of a conversation, and the number of its tokens."""
    engine = served.engine
    sample = engine.processor.encode(
        conversation, add_generation_prompt=False, max_tokens=served.context
    )
    (vector,) = engine.embed([sample], pooling=pooling, adapter=served.adapter)
    return vector, sample.input_ids.numel()


def _conversations(
    given: Mapping[str, Any], served: Served, state: ServerState
) -> list[Conversation]:
    if ("messages" in given) == ("input" in given):
        has = "both input and messages" if "input" in given else "neither input nor messages"
        raise ConfigError(
            f"the request has {has}", hint="give input, or messages of one conversation"
        )
    if "messages" in given:
        return [read_chat({"messages": given["messages"]}, served, state).conversation]
    tokenizer = served.engine.processor.tokenizer
    texts = _texts(given["input"], tokenizer)
    return [Conversation(messages=(Message("user", (TextPart(each),)),)) for each in texts]


def _texts(given: Any, tokenizer: Tokenizer) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list) and not given:
        raise ConfigError("input is an empty list", hint="give at least one text")
    if isinstance(given, list) and all(isinstance(each, str) and each for each in given):
        return list(given)
    prompts = read_prompts("input", given, tokenizer)
    return [tokenizer.decode(checked_ids("input", ids, tokenizer)) for ids in prompts]


def _encoded(vector: Sequence[float], encoding: str) -> Any:
    """A vector as numbers, or as base64 of its little-endian float32 values."""
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
