# SPDX-License-Identifier: Apache-2.0
"""Responses of Ollama's API, as the side that answers writes them.

`finesight.remote.ollama_request` reads the requests. Besides Ollama's fields, the last object of an answer has `media`,
`finesight` and `stop_reason`; see `finesight.remote.completions.completion`. Log-probabilities are in the last object
too, for the whole answer.

Source: Ollama, "API".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from finesight.conversation import Reply, TokenLogprob
from finesight.parse.records import AnswerCall
from finesight.remote.completions import call_id, ending, findings, logprob_content, media


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Times of one answer in nanoseconds.

    Attributes:
        load: until the model was ready.
        prompt: from there to the first token.
        answer: from the first token to the last.
    """

    load: int
    prompt: int
    answer: int


def timestamp(seconds: float | None = None) -> str:
    """A time in seconds since 1970 in the form of Ollama; None is now."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat().replace("+00:00", "Z")


class OllamaWriter:
    """Writes the objects of one answer.

    Args:
        model: name of the model, as the request gives it.
        response_id: ids of tool calls are made from it.
        is_chat: whether the answer is a message of `/api/chat`, or the text of `/api/generate`.
    """

    def __init__(self, *, model: str, response_id: str, is_chat: bool) -> None:
        self._model, self._id, self._is_chat = model, response_id, is_chat
        self._num_calls = 0

    def piece(
        self,
        text: str,
        calls: Sequence[AnswerCall] = (),
        logprobs: Sequence[TokenLogprob] = (),
    ) -> dict[str, Any]:
        """The object of a piece of the answer, or of a whole one.

        Args:
            text: its text.
            calls: its calls.
            logprobs: log-probabilities of its tokens, if requested.
        """
        frame: dict[str, Any] = {"model": self._model, "created_at": timestamp()}
        if logprobs:
            frame["logprobs"] = logprob_content(logprobs)["content"]
        if not self._is_chat:
            return {**frame, "response": text, "done": False}
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        return {**frame, "message": message, "done": False}

    def last(self, piece: dict[str, Any], reply: Reply, times: Times) -> dict[str, Any]:
        """The object of a piece that ends the answer."""
        found = ending(reply)
        return {
            **piece,
            "done": True,
            "done_reason": "length" if found["finish_reason"] == "length" else "stop",
            "stop_reason": found["stop_reason"],
            "total_duration": times.load + times.prompt + times.answer,
            "load_duration": times.load,
            "prompt_eval_count": reply.usage.prompt_tokens,
            "prompt_eval_duration": times.prompt,
            "eval_count": reply.usage.completion_tokens,
            "eval_duration": times.answer,
            "media": media(reply),
            "finesight": findings(reply),
        }

    def loaded(self, *, is_unloaded: bool) -> dict[str, Any]:
        """The object of a request that only loads or unloads a model."""
        return {
            **self.piece(""),
            "done": True,
            "done_reason": "unload" if is_unloaded else "load",
        }

    def _call(self, call: AnswerCall) -> dict[str, Any]:
        number = self._num_calls
        self._num_calls += 1
        function = {"index": number, "name": call.name, "arguments": call.arguments}
        return {"id": call_id(self._id, 0, number), "function": function}
