# SPDX-License-Identifier: Apache-2.0
"""Server-sent events, and the text of a streamed answer without its tool calls."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

from fastapi.requests import HTTPConnection
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from finesight.errors import FinesightError
from finesight.parse.records import AnswerCall
from finesight.remote.completions import split_calls
from finesight.server.errors import error_object, reason_of, unexpected
from finesight.server.state import state_of
from finesight.text.special_tokens import TOOL_CALL

DONE = "[DONE]"
"""The last event of OpenAI's streams."""
_TAG = re.compile(r"<tool_call>|(?P<close></tool_call>)")
_LONGEST_TAG = len("</tool_call>")
_BEFORE_OBJECT = re.compile(r"(?:\s|```\w*)*")
_SEND_SECONDS = 60.0
"""Time in which a client must read a piece; one that stops reading would hold its request for ever."""


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
        self._scope = scope

        async def bounded(message: Message) -> None:
            async with asyncio.timeout(_SEND_SECONDS):
                await send(message)

        async with self._held:
            with suppress(TimeoutError):  # nobody reads: the connection is closed without an end
                await super().__call__(scope, receive, bounded)

    async def _written(self) -> AsyncIterator[str]:
        try:
            async for event in self._events:
                yield self._line(event)
        except FinesightError as error:  # the status has been sent: the error is an event
            yield self._failed(error)
        except Exception as error:  # noqa: BLE001  # logged; the client gets an end of the stream
            yield self._failed(unexpected(error, self._request_id))

    def _failed(self, error: FinesightError) -> str:
        state_of(HTTPConnection(self._scope)).metrics.refused(reason_of(error))
        line = self._line(error_object(error, self._scope))
        return line + (self._line(DONE) if self._start else "")

    def _line(self, event: dict[str, Any] | str) -> str:
        if isinstance(event, str):
            return f"{self._start}{event}{self._end}"
        name = f"event: {event['type']}\n" if self._names_events else ""
        return f"{name}{self._start}{json.dumps(event, ensure_ascii=False)}{self._end}"


class CallSplitter:
    """Separates the tool calls of an answer from its text while it is written.

    A call is given when it is complete. Text that may be the start of a call is held back. Together, text and calls are
    those that `split_calls` finds in the whole answer, up to blanks at both ends.

    Args:
        takes_calls: whether the request has tools; without any, all is text.

    Attributes:
        num_calls: calls that were given.
    """

    def __init__(self, *, takes_calls: bool) -> None:
        self._takes_calls = takes_calls
        self._held = ""
        self._num_searched = 0  # characters of it that hold no tag but its first
        self._has_text = self._has_tag = False
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
        shown, calls = "", list[AnswerCall]()
        while (start := self._held.find(TOOL_CALL)) >= 0:
            shown += self._cut(start)
            self._has_tag = True
            tag = _TAG.search(self._held, max(len(TOOL_CALL), self._num_searched))
            if tag is None and not is_last:
                self._num_searched = len(self._held) - _LONGEST_TAG + 1
                break
            end = len(self._held) if tag is None else tag.end() if tag["close"] else tag.start()
            rest, found = split_calls(self._cut(end))
            shown += rest
            calls += found
        else:
            rest, found = self._untagged(is_last=is_last)
            shown += rest
            calls += found
        if not self._has_text:  # blanks before and between calls are layout
            shown = shown.lstrip()
        self._has_text |= bool(shown)
        self.num_calls += len(calls)
        return shown, calls

    def _untagged(self, *, is_last: bool) -> tuple[str, list[AnswerCall]]:
        """Take what is certain out of a text without the start of a call."""
        may_be_call = not (self._has_text or self._has_tag)
        if is_last:
            text = self._cut(len(self._held))
            return split_calls(text) if may_be_call else (text, [])
        if may_be_call and _may_be_object(self._held):
            return "", []
        most = len(self._held)
        for length in range(min(len(TOOL_CALL) - 1, most), 0, -1):
            if self._held.endswith(TOOL_CALL[:length]):
                most -= length
                break
        # Blanks at the end may stand before a call.
        return self._cut(len(self._held[:most].rstrip())), []

    def _cut(self, length: int) -> str:
        piece, self._held = self._held[:length], self._held[length:]
        self._num_searched = max(self._num_searched - length, 0)
        return piece


def _may_be_object(text: str) -> bool:
    """Whether a text may begin an answer that is one JSON object, perhaps in a fence: a call without its tags."""
    found = _BEFORE_OBJECT.match(text)
    rest = text[found.end() :] if found else text
    return rest[:1] in ("", "{") or rest in ("`", "``")
