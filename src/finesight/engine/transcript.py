# SPDX-License-Identifier: Apache-2.0
"""The tokens and text of one answer so far, and why it ended.

All conditions that end an answer are checked here, in this order: end token, stop string, loop,
length. A loop may instead send the answer back to the end of the first copy of what it repeats. The module
does not use the network, so tests use scripted tokens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from finesight.conversation import FinishReason, TokenLogprob
from finesight.engine.loop_guard import LoopGuard
from finesight.engine.penalties import RETRY_PENALTY, RETRY_TOKENS
from finesight.engine.sampler import Pick
from finesight.engine.stop import StopStrings
from finesight.parse.action import read_tool_calls
from finesight.sampling import Sampling
from finesight.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Rewind:
    """The newest tokens that an answer lost.

    Attributes:
        dropped: these tokens.
        loop: tokens of one copy of what was repeated.
        retry: how often the answer went back, this time included.
        withdrawn: characters of the text that were already returned.
    """

    dropped: tuple[int, ...]
    loop: tuple[int, ...]
    retry: int
    withdrawn: int


class Transcript:
    """Collects one answer.

    Args:
        tokenizer: turns tokens into text.
        sampling: stop strings, maximum length, loop guard.
        eos_ids: tokens that end an answer.
        takes_calls: whether the conversation has tools, so that a call ends with "tool_calls".

    Attributes:
        token_ids: tokens of the answer so far; those that the answer lost are not among them.
        logprobs: their log-probabilities, if requested.
        finish_reason: why the answer ended; None while it has not.
        rewound: what the newest `push` took back; None if it did not.
        notes: for `Reply.notes`.
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
        self._ends_line = lru_cache(maxsize=None)(
            lambda token_id: b"\n" in tokenizer.token_bytes(token_id)
        )
        self.token_ids: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self.finish_reason: FinishReason | None = None
        self.rewound: Rewind | None = None
        self.notes: list[str] = []
        self._num_retries = 0
        self._num_reported = 0  # log-probabilities that `new_logprobs` has returned
        self._begin()

    def _begin(self) -> None:
        """The state before the first token."""
        self._decoder = self._tokenizer.stream()
        self._stops = StopStrings(self._sampling.stop)
        self._guard = LoopGuard(self._ends_line) if self._sampling.loop_guard else None
        self._pieces: list[str] = []
        self._num_letters = 0  # complete characters that the decoder returned
        self.token_ids, self.logprobs = [], []

    @property
    def text(self) -> str:
        """All text that `push` has returned so far, without what was withdrawn."""
        return "".join(self._pieces)

    def push(self, pick: Pick) -> str:
        """Add the next token and return the text that is now final.

        Sets `finish_reason` at the end of the answer; the text held back is then returned too. Sets `rewound` if the
        answer goes back.
        """
        self.rewound = None
        shown, span = self._add(pick.token_id)
        if pick.logprob is not None:
            self.logprobs.append(self._logprob(pick, span))
        self.finish_reason = self._ending(pick.token_id)
        if self.finish_reason == "repetition" and self._num_retries < self._sampling.loop_retries:
            self._retry(num_shown=len(self.text) - len(shown))
            return ""
        if self.finish_reason is not None:
            self._pieces.append(rest := self._rest())
            shown += rest
        if self.finish_reason == "stop" and self._takes_calls and read_tool_calls(self.text).calls:
            self.finish_reason = "tool_calls"
        return shown

    def new_logprobs(self) -> tuple[TokenLogprob, ...]:
        """The log-probabilities since the last call."""
        found = tuple(self.logprobs[self._num_reported :])
        self._num_reported = len(self.logprobs)
        return found

    def rewind(self, num_tokens: int) -> None:
        """Drop all tokens of the answer after the first `num_tokens`, with their text."""
        token_ids, logprobs = self.token_ids[:num_tokens], self.logprobs[:num_tokens]
        self.finish_reason = None
        self._begin()
        for token_id in token_ids:
            self._add(token_id)
            self._ending(token_id)  # ends nothing: it did not the first time
        self.logprobs = logprobs
        self._num_reported = min(self._num_reported, len(logprobs))

    def _add(self, token_id: int) -> tuple[str, tuple[int, int]]:
        """Add a token; returns the text that is now final and the characters that the token covers."""
        self.token_ids.append(token_id)
        start = self._num_letters
        piece = "" if token_id in self._eos_ids else self._decoder.push(token_id)
        self._num_letters += len(piece)
        end = self._num_letters + (
            self._decoder.is_within_character and token_id not in self._eos_ids
        )
        shown = self._stops.feed(piece)
        self._pieces.append(shown)
        return shown, (start, end)

    def _ending(self, token_id: int) -> FinishReason | None:
        if token_id in self._eos_ids or self._stops.found is not None:
            return "stop"
        if self._guard is not None and self._guard.push(token_id):
            return "repetition"
        if len(self.token_ids) >= self._sampling.max_new_tokens:
            return "length"
        return None

    def _retry(self, *, num_shown: int) -> None:
        """Go back to the end of the first copy of what is repeated; `num_shown` characters were returned."""
        assert self._guard is not None
        assert self._guard.first_copy is not None
        start, end = self._guard.first_copy
        before = self.token_ids
        self._num_retries += 1
        retry = self._num_retries
        self.rewind(end)
        self.rewound = Rewind(
            dropped=tuple(before[end:]),
            loop=tuple(before[start:end]),
            retry=retry,
            withdrawn=num_shown - len(self.text),
        )
        self.notes.append(
            f"the answer repeated its tokens {start + 1} to {end} without end; {len(before) - end} tokens were "
            f"dropped, and it was continued from token {end + 1} with a repetition penalty of "
            f"{RETRY_PENALTY**retry:.2f} on the repeated tokens for {RETRY_TOKENS} tokens "
            f"(retry {retry} of {self._sampling.loop_retries})"
        )

    def _rest(self) -> str:
        """Text still held back by the decoder and the stop strings, up to a last stop string."""
        return self._stops.feed(self._decoder.finish()) + self._stops.flush()

    def _logprob(self, pick: Pick, span: tuple[int, int]) -> TokenLogprob:
        text = self._tokenizer.token_text
        assert pick.logprob is not None
        return TokenLogprob(
            token_id=pick.token_id,
            text=text(pick.token_id),
            logprob=pick.logprob,
            top=tuple((token_id, text(token_id), value) for token_id, value in pick.top),
            span=span,
        )
