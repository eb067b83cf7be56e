# SPDX-License-Identifier: Apache-2.0
"""The tokens and text of one answer so far, and why it ended.

All conditions that end an answer are checked here, in this order: end token, stop string, loop,
length. The module does not use the network, so tests use scripted tokens.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from finesight.conversation import FinishReason, Sampling, TokenLogprob
from finesight.engine.loop_guard import LoopGuard
from finesight.engine.sampler import Pick
from finesight.engine.stop import StopStrings
from finesight.parse.action import read_tool_calls
from finesight.text.tokenizer import Tokenizer


class Transcript:
    """Collects one answer.

    Args:
        tokenizer: turns tokens into text.
        sampling: stop strings, maximum length, loop guard.
        eos_ids: tokens that end an answer.
        takes_calls: whether the conversation has tools, so that a call ends with "tool_calls".
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        sampling: Sampling,
        eos_ids: Collection[int],
        *,
        takes_calls: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._eos_ids = frozenset(eos_ids)
        self._takes_calls = takes_calls
        self._decoder = tokenizer.stream()
        self._stops = StopStrings(sampling.stop)
        ends_line = lru_cache(maxsize=None)(
            lambda token_id: b"\n" in tokenizer.token_bytes(token_id)
        )
        self._guard = LoopGuard(ends_line) if sampling.loop_guard else None
        self._pieces: list[str] = []
        self.token_ids: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self.finish_reason: FinishReason | None = None

    @property
    def text(self) -> str:
        """All text that `push` has returned so far."""
        return "".join(self._pieces)

    def push(self, pick: Pick) -> str:
        """Add the next token and return the text that is now final.

        Sets `finish_reason` at the end of the answer; the text held back is then returned too.
        """
        self.token_ids.append(pick.token_id)
        if pick.logprob is not None:
            self.logprobs.append(self._logprob(pick))
        is_end = pick.token_id in self._eos_ids
        shown = "" if is_end else self._stops.feed(self._decoder.push(pick.token_id))
        self.finish_reason = self._ending(pick.token_id, is_end=is_end)
        if self.finish_reason is not None:
            shown += self._rest()
        self._pieces.append(shown)
        if self.finish_reason == "stop" and self._takes_calls and read_tool_calls(self.text).calls:
            self.finish_reason = "tool_calls"
        return shown

    def _ending(self, token_id: int, *, is_end: bool) -> FinishReason | None:
        if is_end or self._stops.found is not None:
            return "stop"
        if self._guard is not None and self._guard.push(token_id):
            return "repetition"
        if len(self.token_ids) >= self._sampling.max_new_tokens:
            return "length"
        return None

    def _rest(self) -> str:
        """Text still held back by the decoder and the stop strings, up to a last stop string."""
        return self._stops.feed(self._decoder.finish()) + self._stops.flush()

    def _logprob(self, pick: Pick) -> TokenLogprob:
        text = self._tokenizer.token_text
        assert pick.logprob is not None
        return TokenLogprob(
            token_id=pick.token_id,
            text=text(pick.token_id),
            logprob=pick.logprob,
            top=tuple((token_id, text(token_id), value) for token_id, value in pick.top),
        )
