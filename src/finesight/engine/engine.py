# SPDX-License-Identifier: Apache-2.0
"""The engine: answers requests with a local model, many at a time.

Requests are encoded on the caller's thread and computed on one engine thread, which starts with the first request. Any
thread may submit. Each request has its own sampling, and ends with its reply or its own error.

By default one request is answered at a time. With more, and where the start of a prompt is in the cache, sums are
rounded differently, so that nearly equal logits may swap their order; `EngineOptions.deterministic` excludes that.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
import weakref
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from finesight.batch import IGNORE_INDEX, EncodedSample, pack
from finesight.conversation import Conversation, Reply, Sampling, StreamEvent
from finesight.engine.admission import MediaMemory
from finesight.engine.core import Core, Outcome
from finesight.engine.options import EngineOptions
from finesight.engine.request import OnStage, Request, no_progress
from finesight.engine.runner import check_length
from finesight.engine.sampler import Sampler
from finesight.engine.sequence import Sequence
from finesight.engine.transcript import Transcript
from finesight.engine.worker import AsyncTicket, Sink, Ticket, Worker
from finesight.errors import ConfigError, FinesightError, QueueFull
from finesight.model.adapters import Adapter, Adapters
from finesight.model.fused import use_kernels
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.text.special_tokens import IM_END

_PAUSE_SECONDS = 0.01
"""Pause before a full queue is tried again."""

Pooling = Literal["last", "mean"]


class Engine:
    """Answers conversations with a model in this process; a `Responder` and a `Scorer`.

    Args:
        model: the network; put into evaluation mode.
        processor: from the same checkpoint.
        eos_ids: further tokens that end an answer, in addition to those of the model's configuration and <|im_end|>.
        options: batch size, memory and caches.
        on_stage: progress callback `(stage, done, total)`; called by several threads.
        adapters: LoRA adapters that requests may name.

    Attributes:
        adapters: of the network.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        processor: Processor,
        *,
        eos_ids: Collection[int] = (),
        options: EngineOptions = EngineOptions(),  # noqa: B008  # immutable
        on_stage: OnStage = no_progress,
        adapters: SequenceOf[Adapter] = (),
    ) -> None:
        options.check()
        self.model = model.eval()
        self.adapters = Adapters(model, adapters)
        if options.kernels and isinstance(model, VisionLanguageModel):
            use_kernels(model)
        self.processor = processor
        # <|im_end|> ends every turn of the chat format; configurations of fine-tuned models often omit it.
        turn_end = processor.tokenizer.special_id(IM_END)
        self.eos_ids = frozenset((turn_end, *model.config.special_tokens.eos, *eos_ids))
        self.options = options
        self._on_stage = on_stage
        self._start_lock = threading.Lock()
        self._media = MediaMemory(options.media_memory_mb)
        self._process = os.getpid()
        self._core: Core | None = None
        self._worker: Worker | None = None

    def respond(
        self,
        conversations: SequenceOf[Conversation],
        sampling: Sampling,
        *,
        adapter: str | None = None,
    ) -> list[Reply]:
        """Answer each conversation; replies come in the order of the conversations.

        Args:
            conversations: what is answered.
            sampling: of all answers.
            adapter: name of the adapter that answers; None is the model alone.

        Raises:
            FinesightError: a conversation cannot be encoded, does not fit the context, or cannot be answered; the
                others that are not finished are cancelled.
        """
        requests = [
            Request(conversation=each, sampling=sampling, adapter=adapter) for each in conversations
        ]
        replies: dict[int, Reply] = {}
        for index, outcome in self.run(requests):
            if isinstance(outcome, FinesightError):
                raise outcome
            replies[index] = outcome
        return [replies[index] for index in range(len(requests))]

    def run(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | FinesightError]]:
        """Answer requests; an error of one does not affect the others.

        Requests are read and encoded a little ahead, so an endless iterable needs bounded memory.

        Yields:
            Index of a request with its reply or its error, as soon as it is available.
        """
        # One is encoded while the others are computed. A single one is encoded when the one before is answered.
        most = self.options.max_sequences + (self.options.max_sequences > 1)
        ended: _Ended = queue.SimpleQueue()
        active: dict[int, Sequence] = {}
        try:
            for index, request in enumerate(requests):
                while len(active) >= most:
                    yield _next_ended(ended, active)
                try:
                    sequence = self._sequence(request, None)
                except FinesightError as error:
                    yield index, error
                    continue
                sink = partial(_put_ending, ended, index)
                while not self._is_added(sequence, sink, request.deadline_seconds):
                    if active:  # the queue is full of others' requests
                        yield _next_ended(ended, active)
                    else:
                        time.sleep(_PAUSE_SECONDS)
                active[index] = sequence
            while active:
                yield _next_ended(ended, active)
        finally:
            for sequence in active.values():
                self._started()[1].cancel(sequence)

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[StreamEvent]:
        """Answer one conversation piece by piece; see `submit`."""
        return self.submit(Request(conversation=conversation, sampling=sampling))

    def submit(self, request: Request, sample: EncodedSample | None = None) -> Ticket:
        """Start to answer a request; wrong options and unusable media are reported by this call.

        Args:
            request: the conversation and its options.
            sample: from its `encode`; None encodes it.

        Returns:
            An iterator over the pieces of the answer; the last one has the reply.

        Raises:
            PromptTooLong: prompt and answer exceed the context.
            QueueFull: too many requests wait.
            FinesightError: the conversation cannot be encoded.
        """
        sequence = self._sequence(request, sample)
        return Ticket(self._started()[1], sequence, request.deadline_seconds, owner=self)

    async def start(self, request: Request, sample: EncodedSample | None = None) -> AsyncTicket:
        """As `submit`, for an event loop: the request is encoded on a thread of its pool.

        Errors as in `submit`.
        """
        sequence = await asyncio.to_thread(self._sequence, request, sample)
        return AsyncTicket(self._started()[1], sequence, request.deadline_seconds, owner=self)

    async def stream_async(self, request: Request) -> AsyncIterator[StreamEvent]:
        """As `start`, but the request is cancelled when the iterator is closed."""
        ticket = await self.start(request)
        try:
            async for event in ticket:
                yield event
        finally:
            ticket.cancel()

    def _is_added(self, sequence: Sequence, sink: Sink, deadline_seconds: float | None) -> bool:
        """Hand a sequence to the engine thread; False if too many requests wait."""
        try:
            self._started()[1].add(sequence, sink, deadline_seconds)
        except QueueFull:
            return False
        return True

    def close(self) -> None:
        """End the engine thread; unfinished requests end with an error, and so does every later one."""
        if self._worker is not None:
            self._worker.close()

    def num_requests(self) -> tuple[int, int]:
        """Number of requests that are being computed, and of those that wait."""
        if self._core is None or self._worker is None:
            return 0, 0
        num_running = len(self._core.scheduler.running)
        return num_running, max(0, self._worker.num_unfinished - num_running)

    def _started(self) -> tuple[Core, Worker]:
        with self._start_lock:
            if (
                self._process != os.getpid()
            ):  # a forked process has the state of its parent, but not its thread
                self._process, self._core = os.getpid(), None
                self._media = MediaMemory(self.options.media_memory_mb)
            if self._core is None or self._worker is None:
                self._core = Core(self.model, self.options, self._on_stage, self.adapters)
                self._worker = Worker(
                    self._core, self.options.max_sequences, self.options.max_waiting
                )
                weakref.finalize(self, self._worker.close)
            return self._core, self._worker

    def _sequence(self, request: Request, sample: EncodedSample | None) -> Sequence:
        core, _ = self._started()
        adapter = self.adapters.find(request.adapter)
        if adapter is not None:
            for part in request.conversation.media():
                self.processor.note_budget(part, adapter.pixels, f"the adapter {adapter.name}")
        self._media.wait()
        if sample is None:
            sample = request.encode(self.processor, self._on_stage)
        sampling = request.sampling
        limit = self.model.config.text.max_position_embeddings
        num_prompt_tokens = sample.input_ids.numel()
        check_length(num_prompt_tokens, sampling.max_new_tokens, limit)
        sample.check()
        core.check_fits(num_prompt_tokens, sampling.max_new_tokens)
        transcript = Transcript(
            self.processor.tokenizer,
            sampling,
            self.eos_ids,
            takes_calls=bool(request.conversation.tools),
        )
        constraint = request.constraint(self.processor.tokenizer, sample, self.eos_ids)
        size = self._media.take(sample)
        return Sequence(
            sample,
            Sampler(sampling, sample.input_ids, constraint),
            transcript,
            block_size=core.pool.block_size,
            priority=request.priority,
            on_end=partial(self._media.give_back, size),
            adapter=adapter,
        )

    def score(
        self, conversations: SequenceOf[Conversation], *, adapter: str | None = None
    ) -> list[list[float]]:
        """Log-probability of each target token: the answers' own tokens and their end tokens.

        Args:
            conversations: with the answers.
            adapter: name of an adapter; None is the model alone.

        Raises:
            PromptTooLong: a conversation exceeds the context.
            ConfigError: there is no such adapter.
        """
        return [self._score(self._whole(each), adapter) for each in conversations]

    def score_tokens(self, token_ids: SequenceOf[int]) -> list[float]:
        """Log-probability of each token but the first of a plain text, without chat template.

        Raises:
            PromptTooLong: the text exceeds the context.
        """
        return self._score(plain_sample(token_ids))

    def embed(
        self,
        conversations: SequenceOf[Conversation | EncodedSample],
        *,
        pooling: Pooling = "last",
        adapter: str | None = None,
    ) -> list[list[float]]:
        """A vector of unit length for each conversation, of the decoder's width.

        Args:
            conversations: what is embedded; without the opening of an answer, which encoded ones must not have either.
            pooling: "last" takes the state of the last token, "mean" the mean over all tokens.
            adapter: name of an adapter; None is the model alone.

        Raises:
            ConfigError: another pooling, or there is no such adapter.
            PromptTooLong: a conversation exceeds the context.
        """
        if pooling not in ("last", "mean"):
            raise ConfigError(f"pooling is {pooling!r}", hint='it is "last" or "mean"')
        vectors = []
        for each in conversations:
            sample = each if isinstance(each, EncodedSample) else self._whole(each)
            states = self._states(sample, adapter)
            pooled = states[-1] if pooling == "last" else states.mean(0)
            vectors.append(functional.normalize(pooled, dim=0).tolist())
        return vectors

    def _whole(self, conversation: Conversation) -> EncodedSample:
        """A conversation without the opening of an answer."""
        context = self.model.config.text.max_position_embeddings
        return self.processor.encode(conversation, add_generation_prompt=False, max_tokens=context)

    def _score(self, sample: EncodedSample, adapter: str | None = None) -> list[float]:
        states = self._states(sample, adapter)
        targets = sample.labels[1:].to(states.device)
        rows = (targets != IGNORE_INDEX).nonzero().squeeze(1)  # row t predicts token t + 1
        with torch.inference_mode(), self.adapters.applied([(adapter, len(rows))]):
            logits = self.model.logits(states[rows].to(self.model.dtype))
            logprobs = logits.float().log_softmax(-1)
        scores: list[float] = logprobs.gather(1, targets[rows, None]).squeeze(1).tolist()
        return scores

    @torch.inference_mode()
    def _states(self, sample: EncodedSample, adapter: str | None = None) -> Tensor:
        """float32[L, D], states after the decoder's final norm; computed between two steps of the engine thread."""
        check_length(sample.input_ids.numel(), 0, self.model.config.text.max_position_embeddings)
        core, _ = self._started()
        with core.lock, self.adapters.applied([(adapter, sample.input_ids.numel())]):
            hidden: Tensor = self.model(pack([sample]).to(self.model.device))
        return hidden.float()


def plain_sample(token_ids: SequenceOf[int]) -> EncodedSample:
    """Tokens of a plain text without chat template, all of them targets."""
    ids = torch.tensor(token_ids, dtype=torch.int64)
    return EncodedSample(
        input_ids=ids,
        labels=ids,
        position_ids=torch.arange(len(ids)).expand(3, -1),
        rope_delta=0,
        visual_index=ids[:0],
    )


_Ended = queue.SimpleQueue[tuple[int, Reply | FinesightError]]


def _put_ending(ended: _Ended, index: int, outcome: Outcome) -> None:
    """Keep the last event of a request."""
    if isinstance(outcome, FinesightError):
        ended.put((index, outcome))
    elif outcome.reply is not None:
        ended.put((index, outcome.reply))


def _next_ended(ended: _Ended, active: dict[int, Sequence]) -> tuple[int, Reply | FinesightError]:
    index, outcome = ended.get()
    del active[index]
    return index, outcome
