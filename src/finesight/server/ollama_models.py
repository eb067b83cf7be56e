# SPDX-License-Identifier: Apache-2.0
"""Ollama's `/api/tags`, `/api/show`, `/api/ps` and `/api/version`."""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.model.packed import packed_as
from finesight.remote.ollama import timestamp
from finesight.server.expiry import seconds_left
from finesight.server.models import Offer, Served
from finesight.server.ollama import local_name
from finesight.server.schema import OLLAMA_SHOW, documented
from finesight.server.state import state_of

router = APIRouter()

_FAMILY = "qwen25vl"
_CAPABILITIES = ("completion", "vision", "tools")
_LONGEST_SECONDS = 10**9
"""Stands for "never unloaded", which has no date."""
_PARAMETERS = {
    "num_predict": "max_new_tokens",
    "repeat_penalty": "repetition_penalty",
    **{name: name for name in ("temperature", "top_k", "top_p", "min_p")},
}
"""Option -> field of `Sampling`."""


@router.get("/api/version")
async def show_version() -> Response:
    """The version of finesight, not one of Ollama."""
    return JSONResponse({"version": version("finesight")})


@router.get("/api/tags")
async def tags(request: Request) -> Response:
    """The models of this server."""
    state = state_of(request)
    state.gate.check_key(request)
    models = [
        {**_entry(offer), "modified_at": timestamp(offer.created)}
        for offer in state.models.offers.values()
    ]
    return JSONResponse({"models": models})


@router.get("/api/ps")
async def running(request: Request) -> Response:
    """The models that are loaded now, and when they are unloaded."""
    state = state_of(request)
    state.gate.check_key(request)
    models = []
    for offer in state.models.offers.values():
        if (served := offer.loaded) is not None:
            is_on_gpu = served.engine.model.device.type == "cuda"
            left = min(seconds_left(offer), _LONGEST_SECONDS)
            models.append(
                {
                    **_entry(offer),
                    "expires_at": timestamp(time.time() + left),
                    "size_vram": offer.num_bytes if is_on_gpu else 0,
                    "context_length": served.context,
                }
            )
    return JSONResponse({"models": models})


@router.post("/api/show", **documented(OLLAMA_SHOW, is_plain=True))
async def show(request: Request) -> Response:
    """What is known of a model; it is not loaded for that, and most is known once it is loaded."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        given = {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else {}
        name = given.get("model", given.get("name"))
        if unknown := [key for key in given if key not in ("model", "name", "verbose")]:
            raise ConfigError(f"unknown field {shown(unknown[0])}", hint="known: model, verbose")
        if not isinstance(name, str):
            raise ConfigError(f"model is {shown(name)}", hint="give the name of a model")
        offer = state.models.offer(local_name(state.models, name))
    served = (offer.base or offer).loaded
    license_text = offer.details.get("license")
    return JSONResponse(
        {
            "modified_at": timestamp(offer.created),
            "details": _details(offer),
            "model_info": _info(served),
            "capabilities": list(_CAPABILITIES),
            **({} if served is None else {"parameters": _parameters(served)}),
            **({} if license_text is None else {"license": str(license_text)}),
        }
    )


def _entry(offer: Offer) -> dict[str, Any]:
    """What lists say of a model."""
    name = offer.name if ":" in offer.name else f"{offer.name}:latest"
    return {
        "name": name,
        "model": name,
        "size": offer.num_bytes,
        # Clients show it and compare it; it says which model of this server it is, not what its files contain.
        "digest": hashlib.sha256(f"{offer.name} {offer.num_bytes}".encode()).hexdigest(),
        "details": _details(offer),
    }


def _details(offer: Offer) -> dict[str, Any]:
    served = (offer.base or offer).loaded
    size, kind = "", ""
    if served is not None:
        model = served.engine.model
        packed = packed_as(model)
        size = "" if packed else _rounded(model.num_parameters())  # packed weights are not counted
        kind = packed or str(model.dtype).removeprefix("torch.")
    return {
        "parent_model": "" if offer.base is None else offer.base.name,
        "format": "safetensors",
        "family": _FAMILY,
        "families": [_FAMILY],
        "parameter_size": size,
        "quantization_level": kind,
    }


def _info(served: Served | None) -> dict[str, Any]:
    found: dict[str, Any] = {"general.architecture": _FAMILY}
    if served is None:
        return found
    model = served.engine.model
    text = model.config.text
    count = {} if packed_as(model) else {"general.parameter_count": model.num_parameters()}
    return (
        found
        | count
        | {
            f"{_FAMILY}.context_length": text.max_position_embeddings,
            f"{_FAMILY}.embedding_length": text.hidden_size,
            f"{_FAMILY}.block_count": text.num_hidden_layers,
            f"{_FAMILY}.attention.head_count": text.num_attention_heads,
            f"{_FAMILY}.attention.head_count_kv": text.num_key_value_heads,
            f"{_FAMILY}.feed_forward_length": text.intermediate_size,
        }
    )


def _parameters(served: Served) -> str:
    """The sampling of a request that sets nothing, an option a line."""
    lines = [f"{name} {getattr(served.defaults, field)}" for name, field in _PARAMETERS.items()]
    return "\n".join(lines)


def _rounded(count: int) -> str:
    """A number of parameters such as 7.6B."""
    power = min(int(math.log10(max(count, 1))) // 3, 4)
    return f"{count / 1000**power:.1f}{('', 'K', 'M', 'B', 'T')[power]}"
