# SPDX-License-Identifier: Apache-2.0
"""`/tokenize`, `/detokenize` and `/v1/models`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.server.answering import unless_gone
from finesight.server.chat import model_of, read_chat
from finesight.server.completions import checked_ids
from finesight.server.models import Offer, Served
from finesight.server.schema import DETOKENIZE, TOKENIZE, documented
from finesight.server.state import ServerState, state_of

router = APIRouter()


@router.get("/v1/models")
async def list_models(request: Request) -> Response:
    """The models of this server."""
    state = state_of(request)
    state.gate.check_key(request)
    models = [_model(offer) for offer in state.models.offers.values()]
    return JSONResponse({"object": "list", "data": models})


@router.get("/v1/models/{name:path}")
async def show_model(name: str, request: Request) -> Response:
    """One model."""
    state = state_of(request)
    state.gate.check_key(request)
    return JSONResponse(_model(state.models.offer(name)))


def _model(offer: Offer) -> dict[str, Any]:
    loaded = (offer.base or offer).loaded
    context = {} if loaded is None else {"max_model_len": loaded.context}
    return {
        "id": offer.name,
        "object": "model",
        "created": offer.created,
        "owned_by": "finesight",
        **context,
        **offer.details,
    }


@router.post("/tokenize", **documented(TOKENIZE))
async def tokenize(request: Request) -> Response:
    """Token ids of a text, or of a conversation with its media."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        # A text may have millions of tokens: also the response is written on the thread.
        count = partial(_tokenized, body, served, state)
        return await unless_gone(request, state.read(body, count, slots=state.encoding))


def _tokenized(body: Any, served: Served, state: ServerState) -> Response:
    ids = _ids(body, served, state)
    return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": served.context})


def _ids(body: Any, served: Served, state: ServerState) -> list[int]:
    given = body if isinstance(body, dict) else {}
    if given.get("messages") is not None and given.get("prompt") is not None:
        raise ConfigError("prompt and messages are given", hint="give one of them")
    if "messages" in given:
        conversation = read_chat(body, served, state).conversation
        sample = served.engine.processor.encode(conversation, max_tokens=served.context)
        ids: list[int] = sample.input_ids.tolist()
        return ids
    prompt = given.get("prompt")
    if not isinstance(prompt, str):
        raise ConfigError(f"prompt is {shown(prompt)}", hint="give a text, or messages")
    _refuse_others(given, "prompt", add_special_tokens=(True, False), return_token_strs=(False,))
    return served.engine.processor.tokenizer.encode(prompt)


def _refuse_others(given: dict[str, Any], *known: str, **values: tuple[Any, ...]) -> None:
    """Raise `ConfigError` for fields that are unknown, or whose value is not among the given ones."""
    for name, value in given.items():
        if name in (*known, "model") or value is None or value in values.get(name, ()):
            continue
        raise ConfigError(f"{name} is {shown(value)}, which is not supported", hint="leave it out")


@router.post("/detokenize", **documented(DETOKENIZE))
async def detokenize(request: Request) -> Response:
    """The text of token ids."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        text = partial(_detokenized, body, served)
        return await unless_gone(request, state.read(body, text, slots=state.encoding))


def _detokenized(body: Any, served: Served) -> Response:
    given = body if isinstance(body, dict) else {}
    tokens = given.get("tokens")
    if not isinstance(tokens, list):
        raise ConfigError(f"tokens is {shown(tokens)}", hint="give a list of token ids")
    _refuse_others(given, "tokens")
    tokenizer = served.engine.processor.tokenizer
    return JSONResponse({"prompt": tokenizer.decode(checked_ids("tokens", tokens, tokenizer))})
