# SPDX-License-Identifier: Apache-2.0
"""Server-sent events, and the text of a streamed answer without its tool calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from finesight.errors import FinesightError
from finesight.parse.action import read_tool_calls
from finesight.parse.records import AnswerCall
from finesight.remote.completions import split_calls
from finesight.server.errors import error_object, unexpected
from finesight.text.special_tokens import TOOL_CALL, TOOL_CALL_END

DONE = "[DONE]"
"""The last event of OpenAI's streams."""


class EventStream(StreamingResponse):
    """A response of server-sent events, or of JSON lines.

    Args:
        events: JSON objects, each sent at once; a str is sent as it is.
        held: what is released when the response ends, however it ends.
        request_id: names the request in the log and in an error.
        is_lines: whether objects are lines of their own, as Ollama sends them.
        names_events: whether the `type` of an object is also the name of its event.
    """

    def __init__(
        self,
        events: AsyncIterator[dict[str, Any] | str],
        held: AsyncExitStack,
        request_id: str,
        *,
        is_lines: bool = False,
        names_events: bool = False,
    ) -> None:
        self._names_events = names_events
        self._events, self._held, self._request_id = events, held, request_id
        self._start, self._end = ("", "\n") if is_lines else ("data: ", "\n\n")
        kind = "application/x-ndjson" if is_lines else "text/event-stream"
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._written(), media_type=kind, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        async with self._held:
            await super().__call__(scope, receive, send)

    async def _written(self) -> AsyncIterator[str]:
        try:
            async for event in self._events:
                yield self._line(event)
        except FinesightError as error:  # the status has been sent: the error is an event
            yield self._failed(error)
        except Exception as error:  # noqa: BLE001  # logged; the client gets an end of the stream
            yield self._failed(unexpected(error, self._request_id))

    def _failed(self, error: FinesightError) -> str:
        line = self._line(error_object(error, is_plain=not self._start))
        return line + (self._line(DONE) if self._start else "")

    def _line(self, event: dict[str, Any] | str) -> str:
        if isinstance(event, str):
            return f"{self._start}{event}{self._end}"
        name = f"event: {event['type']}\n" if self._names_events else ""
        return f"{name}{self._start}{json.dumps(event, ensure_ascii=False)}{self._end}"


class CallSplitter:
    """Separates the tool calls of an answer from its text while it is written.

    A call is given when it is complete. Text that may be the start of a call is held back.

    Args:
        takes_calls: whether the request has tools; without any, all is text.
    """

    def __init__(self, *, takes_calls: bool) -> None:
        self._takes_calls = takes_calls
        self._held = ""
        self._has_text = False
        self.num_calls = 0

    def feed(self, text: str, *, is_last: bool) -> tuple[str, list[AnswerCall]]:
        """The text that is now certain, and the calls that are now complete.

        Args:
            text: the next piece of the answer.
            is_last: whether the answer ends with it.
        """
        if not self._takes_calls:
            return text, []
        self._held += text
        shown, calls = "", []
        while (found := self._next(is_last=is_last)) is not None:
            shown += found[0]
            calls += found[1]
        if not self._has_text:  # blanks before and between calls are layout
            shown = shown.lstrip()
        self._has_text |= bool(shown)
        self.num_calls += len(calls)
        return shown, calls

    def _next(self, *, is_last: bool) -> tuple[str, list[AnswerCall]] | None:
        """Take the next text or call out of what is held; None if nothing of it is certain."""
        if not self._held:
            return None
        start = self._held.find(TOOL_CALL)
        if is_last:
            text, self._held = self._held, ""
            return split_calls(text)
        if start < 0:
            return self._text_before_call()
        if start > 0:
            return self._cut(start), []
        end = self._held.find(TOOL_CALL_END)
        if end < 0:
            return None
        call = self._cut(end + len(TOOL_CALL_END))
        calls = list(read_tool_calls(call).calls)
        return ("", calls) if calls else (call, [])

    def _text_before_call(self) -> tuple[str, list[AnswerCall]] | None:
        if not (self._has_text or self.num_calls) and self._held.lstrip()[:1] in ("{", ""):
            return None  # an answer that is one JSON object may be a call without its tags
        most = len(self._held)
        for length in range(min(len(TOOL_CALL) - 1, most), 0, -1):
            if self._held.endswith(TOOL_CALL[:length]):
                most -= length
                break
        # Blanks at the end may stand before a call.
        most = len(self._held[:most].rstrip())
        return (self._cut(most), []) if most else None

    def _cut(self, length: int) -> str:
        piece, self._held = self._held[:length], self._held[length:]
        return piece
