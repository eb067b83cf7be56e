# SPDX-License-Identifier: Apache-2.0
"""Responses of OpenAI's responses format, and the events of a streamed one, as the side that answers writes them.

`finesight.remote.response_request` reads the requests. An answer is a list of items: messages, and calls of functions.
A response that is not streamed is the one in the last event of the same request's stream, so both are equal.

Source: OpenAI API reference, "The response object" and "Streaming events".
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from finesight.conversation import Reply, TokenLogprob
from finesight.errors import FinesightError
from finesight.parse.records import AnswerCall
from finesight.remote.completions import ending, findings, logprob_content, media, status_of
from finesight.remote.response_request import ResponseRequest
from finesight.remote.wording import RESPONSES, worded

Event = dict[str, Any]

_ERROR_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}


class ResponseWriter:
    """Writes the events of one response.

    Call `start`, then `text` and `call` for the pieces of the answer, then `end` or `failed`.

    Args:
        request: the request.
        model: name of the model.
        response_id: id of the response; ids of its items are made from it.
        created: time of the response, in seconds since 1970.
    """

    def __init__(
        self, request: ResponseRequest, *, model: str, response_id: str, created: int
    ) -> None:
        sampling = request.chat.sampling
        self._id = response_id
        self._wants_logprobs = sampling.logprobs is not None
        self._num_events = 0
        self._output: list[dict[str, Any]] = []
        self._is_open = False  # whether the last item is a message that is being written
        self._response: dict[str, Any] = {
            "id": response_id,
            "object": "response",
            "created_at": created,
            "completed_at": None,
            "status": "in_progress",
            "model": model,
            **request.echoed,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "max_tool_calls": None,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "truncation": "disabled",
            "usage": None,
        }

    def start(self) -> list[Event]:
        """The first events, before any piece of the answer."""
        return [
            self._event("response.created", response=self._now()),
            self._event("response.in_progress", response=self._now()),
        ]

    def text(self, text: str, logprobs: Sequence[TokenLogprob] = ()) -> list[Event]:
        """Events of a piece of text; blanks between calls are layout and give none.

        Args:
            text: the piece.
            logprobs: log-probabilities of its tokens, if requested.
        """
        events: list[Event] = []
        if not self._is_open:
            text = text.lstrip() if self._output else text
            if not text:
                return []
            events = self._open()
        part = self._output[-1]["content"][0]
        part["text"] += text
        delta = self._in_part(
            "response.output_text.delta", delta=text, logprobs=logprob_content(logprobs)["content"]
        )
        return [*events, delta]

    def call(self, call: AnswerCall) -> list[Event]:
        """Events of a complete call of a function."""
        events = self._close("completed")
        number = len(self._output)
        item = {
            "id": self._item_id("fc"),
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{self._id}_{number}",
            "name": call.name,
            "arguments": json.dumps(call.arguments, ensure_ascii=False),
        }
        self._output.append(item)
        opened = {**item, "status": "in_progress", "arguments": ""}
        where = {"item_id": item["id"], "output_index": number}
        kind = "response.function_call_arguments"
        return [
            *events,
            self._event("response.output_item.added", output_index=number, item=opened),
            self._event(f"{kind}.delta", **where, delta=item["arguments"]),
            self._event(f"{kind}.done", **where, name=call.name, arguments=item["arguments"]),
            self._event("response.output_item.done", output_index=number, item=item),
        ]

    def end(self, reply: Reply) -> list[Event]:
        """The last events: `response.completed`, or `response.incomplete` for an answer that was cut.

        Besides the fields of the OpenAI API, the response has `media`, `finesight` and `stop_reason`; see
        `finesight.remote.completions.completion`.
        """
        found = ending(reply)
        is_cut = found["finish_reason"] == "length"
        events = [] if self._output else self._open()
        status = "incomplete" if is_cut else "completed"
        events += self._close(status, reply)
        details = {"reason": "max_output_tokens"} if is_cut else None
        self._response |= {
            "status": status,
            "completed_at": None if is_cut else int(time.time()),
            "incomplete_details": details,
            "usage": response_usage(reply),
            "stop_reason": found["stop_reason"],
            "media": media(reply),
            "finesight": findings(reply),
        }
        return [*events, self._event(f"response.{status}", response=self._now())]

    def failed(self, error: FinesightError) -> list[Event]:
        """The last events of a response that failed: `response.failed`."""
        events = self._close("incomplete")
        code = _ERROR_CODES.get(status_of(error), "server_error")
        self._response |= {
            "status": "failed",
            "error": {"code": code, "message": worded(error, RESPONSES)},
        }
        return [*events, self._event("response.failed", response=self._now())]

    def error(self, error: FinesightError) -> Event:
        """The `error` event: the server itself failed, and the response has no end."""
        return self._event(
            "error", code="server_error", message=worded(error, RESPONSES), param=None
        )

    def _open(self) -> list[Event]:
        """Begin a message."""
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        message = {
            "id": self._item_id("msg"),
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [part],
        }
        self._output.append(message)
        self._is_open = True
        index = len(self._output) - 1
        added = {**message, "content": []}
        return [
            self._event("response.output_item.added", output_index=index, item=added),
            self._in_part("response.content_part.added", part={**part}),
        ]

    def _close(self, status: str, reply: Reply | None = None) -> list[Event]:
        """End the message that is being written, if any."""
        if not self._is_open:
            return []
        self._is_open = False
        message = self._output[-1]
        message["status"] = status
        part = message["content"][0]
        if reply is not None and self._wants_logprobs:
            part["logprobs"] = logprob_content(reply.logprobs)["content"]
        return [
            self._in_part(
                "response.output_text.done", text=part["text"], logprobs=part["logprobs"]
            ),
            self._in_part("response.content_part.done", part=part),
            self._event(
                "response.output_item.done", output_index=len(self._output) - 1, item=message
            ),
        ]

    def _item_id(self, kind: str) -> str:
        return f"{kind}_{self._id}_{len(self._output)}"

    def _in_part(self, kind: str, **fields: Any) -> Event:
        """An event about the text of the last message."""
        number = len(self._output) - 1
        item_id = self._output[-1]["id"]
        return self._event(kind, item_id=item_id, output_index=number, content_index=0, **fields)

    def _event(self, kind: str, **fields: Any) -> Event:
        self._num_events += 1
        return {"type": kind, "sequence_number": self._num_events - 1, **fields}

    def _now(self) -> dict[str, Any]:
        """The response as it is now."""
        return {**self._response, "output": list(self._output)}


def response_usage(reply: Reply) -> dict[str, Any]:
    """Token counts of a response."""
    counts = reply.usage
    return {
        "input_tokens": counts.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": counts.cached_tokens,
            "visual_tokens": counts.visual_tokens,
        },
        "output_tokens": counts.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counts.prompt_tokens + counts.completion_tokens,
    }
