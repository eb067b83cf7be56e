# SPDX-License-Identifier: Apache-2.0
"""Bodies of the endpoints as JSON Schemas for the OpenAPI document.

They describe the fields for readers and for tools that make requests from it. What a server accepts is decided by the
functions that read a body; these also say what is wrong with it.
"""

from __future__ import annotations

from typing import Any

from finesight.remote import ollama_request
from finesight.remote.chat_request import FIELDS
from finesight.remote.response_request import FIELDS as RESPONSE_FIELDS

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer", "minimum": 0}
_MODEL = {"model": {"type": "string", "description": "name of a model of /v1/models"}}
_PART = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": ["text", "image_url", "video_url", "file", "input_file"]},
        "text": _TEXT,
        "image_url": {"type": "object", "properties": {"url": _TEXT}, "required": ["url"]},
        "video_url": {"type": "object", "properties": {"url": _TEXT}, "required": ["url"]},
        "file": {"type": "object", "properties": {"file_data": _TEXT, "filename": _TEXT}},
        **dict.fromkeys(("min_pixels", "max_pixels", "nframes"), _WHOLE),
        "fps": {"type": "number", "exclusiveMinimum": 0},
    },
}
_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _PART}, {"type": "null"}]},
    },
}
_MESSAGES = {"type": "array", "items": _MESSAGE, "minItems": 1}
_NUMBERS = {
    "temperature": {"type": "number", "minimum": 0},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "max_tokens": {"type": "integer", "minimum": 1},
    "n": {"type": "integer", "minimum": 1, "maximum": 128},
    "seed": {"type": "integer"},
    "stream": {"type": "boolean"},
}
_STRINGS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_IDS = {"type": "array", "items": _WHOLE, "minItems": 1}
_PROMPT = {"anyOf": [_TEXT, _IDS, {"type": "array", "items": {"anyOf": [_TEXT, _IDS]}}]}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


CHAT = _object(
    ["messages"],
    **(
        {name: {} for name in FIELDS}
        | _MODEL
        | {"messages": _MESSAGES}
        | _NUMBERS
        | {"stop": _STRINGS}
    ),
)
RESPONSE = _object(
    ["input"],
    **(
        {name: {} for name in RESPONSE_FIELDS}
        | _MODEL
        | {
            "input": {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}]},
            "instructions": _TEXT,
            "max_output_tokens": {"type": "integer", "minimum": 1},
        }
        | {name: _NUMBERS[name] for name in ("temperature", "top_p", "seed", "stream")}
    ),
)
COMPLETION = _object(["prompt"], **(_MODEL | {"prompt": _PROMPT} | _NUMBERS | {"stop": _STRINGS}))
EMBEDDING = _object(
    [],
    **_MODEL,
    input=_PROMPT,
    messages=_MESSAGES,
    encoding_format={"enum": ["float", "base64"]},
)
TOKENIZE = _object([], **_MODEL, prompt=_TEXT, messages=_MESSAGES)
DETOKENIZE = _object(["tokens"], **_MODEL, tokens=_IDS)
_OLLAMA = {
    "model": {"type": "string", "description": "name of a model of /api/tags"},
    "stream": {"type": "boolean", "default": True},
    "options": {"type": "object"},
    "keep_alive": {"type": ["number", "string"]},
}
_IMAGES = {"type": "array", "items": {"type": "string", "contentEncoding": "base64"}}
_OLLAMA_MESSAGE = _object(
    ["role"],
    role={"enum": ["system", "user", "assistant", "tool"]},
    content=_TEXT,
    images=_IMAGES,
)
OLLAMA_CHAT = _object(
    ["model", "messages"],
    **(
        {name: {} for name in ollama_request.CHAT}
        | _OLLAMA
        | {"messages": {"type": "array", "items": _OLLAMA_MESSAGE}}
    ),
)
OLLAMA_GENERATE = _object(
    ["model"],
    **(
        {name: {} for name in ollama_request.GENERATE}
        | _OLLAMA
        | {"prompt": _TEXT, "system": _TEXT, "images": _IMAGES, "raw": {"type": "boolean"}}
    ),
)
OLLAMA_EMBED = _object(["model"], model=_OLLAMA["model"], input=_STRINGS, prompt=_TEXT)
OLLAMA_SHOW = _object(["model"], model=_OLLAMA["model"], verbose={"type": "boolean"})

_FILE = {
    **_MODEL,
    "file_data": {"type": "string", "description": "data: address or base64"},
    "file_url": _TEXT,
    "filename": _TEXT,
    "max_tokens": {"type": "integer", "minimum": 1},
    **dict.fromkeys(("min_pixels", "max_pixels"), _WHOLE),
}
_PAGES = {
    "pages": {"type": "string", "description": "such as 1-3,7"},
    "route": {"enum": ["auto", "html", "spotting", "text"]},
    "order": {"enum": ["model", "geometry"]},
    "upright": {"enum": ["auto", "off"]},
    "photo": {"type": "boolean"},
}
_PHRASE = {
    "phrase": _STRINGS,
    "as": {"enum": ["box", "point"]},
    **{name: {"type": "boolean"} for name in ("all", "count", "verify")},
}
_SCREEN = {"order": {"enum": ["model", "place"]}, "suggest": {"type": "boolean"}}
APPS = {
    "read": _object([], **_FILE, **_PAGES),
    "extract": _object(["schema"], **_FILE, **_PAGES, schema={"type": "object"}),
    "locate": _object(["phrase"], **_FILE, **_PHRASE),
    "describe-screen": _object([], **_FILE, **_SCREEN),
}
"""Name of an application -> its body; the file is in `file_data` or `file_url`."""

_PLAIN_ERROR = _object(["error"], error=_TEXT)
_ERROR = _object(
    ["error"],
    error=_object(
        ["message", "type", "code"],
        message=_TEXT,
        type=_TEXT,
        code=_TEXT,
        param={"type": ["string", "null"]},
    ),
)
_STATUSES = {
    400: "the request cannot be honoured; the message names the field",
    401: "no API key, or an unknown one",
    404: "no such model",
    408: "the body arrived too slowly",
    413: "the body is too large",
    429: "too many requests",
    500: "the answer failed",
    503: "the server is stopping, or has no memory",
    504: "the answer was not finished in time",
}


def documented(body: dict[str, Any], *, is_plain: bool = False) -> dict[str, Any]:
    """Arguments of a route that describe its body and its errors, in the form of OpenAI or in Ollama's plain one."""
    error = {"application/json": {"schema": _PLAIN_ERROR if is_plain else _ERROR}}
    return {
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}}
        },
        "responses": {
            status: {"description": text, "content": error} for status, text in _STATUSES.items()
        },
    }
