# SPDX-License-Identifier: Apache-2.0
"""Responses of the OpenAI chat-completions format, as the side that answers writes them.

`finesight.remote.chat_request` reads the requests.

Source: OpenAI API reference, "The chat completion object".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from finesight.conversation import Reply, TokenLogprob
from finesight.errors import (
    ConfigError,
    DeadlineExceeded,
    FinesightError,
    MediaError,
    OutOfBlocks,
    PromptTooLong,
    QueueFull,
)
from finesight.parse.action import read_tool_calls
from finesight.parse.answer import media_dict, read_answer
from finesight.parse.records import AnswerCall
from finesight.remote.chat_request import ChatRequest
from finesight.remote.wording import CHAT, Dialect, field_at_fault, worded

_LEAST_LOGPROB = -9999.0
"""Stands for minus infinity in the OpenAI API."""


def completion(
    request: ChatRequest, replies: Sequence[Reply], *, model: str, response_id: str, created: int
) -> dict[str, Any]:
    """The `chat.completion` object of a request.

    Besides the fields of the OpenAI API: `stop_reason` is "repetition" if the loop guard ended a choice, `media`
    has the original and the resized size of each picture and video, and `finesight` of each choice what was found in
    its text, in original pixels and seconds; see `findings`.

    Args:
        request: the request.
        replies: one for each of its `samplings`.
        model: name of the model.
        response_id: id of the response.
        created: time of the response, in seconds since 1970.
    """
    num_copies = request.num_choices if request.is_greedy else 1
    copies = list(replies) * num_copies
    found = [findings(reply) for reply in replies] * num_copies  # reading a long answer takes time
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {**_choice(index, reply, request, response_id), "finesight": found[index]}
            for index, reply in enumerate(copies)
        ],
        "usage": usage(copies),
        "media": media(copies[0]),
    }


def usage(replies: Sequence[Reply]) -> dict[str, Any]:
    """Token counts of the answers to one request; its prompt counts once."""
    first = replies[0].usage
    completion_tokens = sum(reply.usage.completion_tokens for reply in replies)
    return {
        "prompt_tokens": first.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": first.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": first.cached_tokens,
            "visual_tokens": first.visual_tokens,
        },
        "completion_tokens_details": {
            "accepted_prediction_tokens": sum(each.usage.accepted_tokens for each in replies),
            "rejected_prediction_tokens": sum(
                each.usage.drafted_tokens - each.usage.accepted_tokens for each in replies
            ),
        },
    }


def media(reply: Reply) -> list[dict[str, Any]]:
    """Size, scale and times of each picture and video; `scale` times a length in the resized one is the original's."""
    return [
        {**media_dict(record), "scale": [record.resize.scale_x, record.resize.scale_y]}
        for record in reply.media
    ]


def findings(reply: Reply) -> dict[str, Any]:
    """What was found in an answer, in original pixels and seconds, and problems of reading it."""
    found = read_answer(reply).to_dict()
    names = (
        "boxes",
        "points",
        "events",
        "tool_calls",
        "document",
        "document_media_index",
        "truncated",
        "problems",
    )
    return {name: found[name] for name in (*names, "notes")}


def _choice(index: int, reply: Reply, request: ChatRequest, response_id: str) -> dict[str, Any]:
    content, calls = (reply.text, []) if not request.conversation.tools else split_calls(reply.text)
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if calls:
        message["content"] = (content or "").strip() or None
        message["tool_calls"] = [
            tool_call(call, call_id(response_id, index, number))
            for number, call in enumerate(calls)
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": logprob_content(reply.logprobs)
        if request.sampling.logprobs is not None
        else None,
        **ending(reply),
    }


def split_calls(text: str) -> tuple[str, list[AnswerCall]]:
    """The text of an answer without its tool calls, and the calls."""
    calls = list(read_tool_calls(text).calls)
    for call in reversed(calls):
        text = text[: call.span[0]] + text[call.span[1] :]
    return text, calls


def tool_call(call: AnswerCall, identity: str) -> dict[str, Any]:
    """A tool call as clients read it."""
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    function = {"name": call.name, "arguments": arguments}
    return {"id": identity, "type": "function", "function": function}


def call_id(response_id: str, choice: int, number: int) -> str:
    """Id of a tool call."""
    return f"call_{response_id}_{choice}_{number}"


def ending(reply: Reply) -> dict[str, Any]:
    """Why an answer ended; one that the loop guard ended was cut, which the API calls "length"."""
    is_loop = reply.finish_reason == "repetition"
    return {
        "finish_reason": "length" if is_loop else reply.finish_reason,
        "stop_reason": "repetition" if is_loop else None,
    }


def logprob_content(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    """The log-probabilities of an answer."""
    return {
        "content": [
            _token(each.text, each.logprob)
            | {"top_logprobs": [_token(text, value) for _, text, value in each.top]}
            for each in entries
        ],
        "refusal": None,
    }


def _token(text: str, logprob: float) -> dict[str, Any]:
    """A token with its bytes, which are null if they are part of a character."""
    is_whole = "\ufffd" not in text
    return {
        "token": text,
        "logprob": logprob_value(logprob),
        "bytes": [*text.encode()] if is_whole else None,
    }


def logprob_value(logprob: float) -> float:
    """A log-probability as JSON can write it."""
    return max(logprob, _LEAST_LOGPROB)


_CLIENT_ERRORS = (ConfigError, MediaError, PromptTooLong, OutOfBlocks)
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    504: "timeout_error",
}


def status_of(error: FinesightError) -> int:
    """HTTP status of an error.

    400 for a request that cannot be answered, 429 for a full queue, 504 for an answer that took too long, and 500 for
    one that failed.
    """
    if isinstance(error, QueueFull):
        return 429
    if isinstance(error, DeadlineExceeded):
        return 504
    return 400 if isinstance(error, _CLIENT_ERRORS) else 500


def type_of(status: int) -> str:
    """OpenAI's type of an error with an HTTP status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error_body(
    error: FinesightError, dialect: Dialect = CHAT, given: Collection[str] = ()
) -> dict[str, Any]:
    """The body of a response with an error; `param` is the field at fault, such as `messages[0].content[1]`.

    Args:
        error: the error.
        dialect: of the request.
        given: fields that the request has.
    """
    return {
        "error": {
            "message": worded(error, dialect, given),
            "type": type_of(status_of(error)),
            "param": field_at_fault(error, dialect, given),
            "code": type(error).__name__,
        }
    }
