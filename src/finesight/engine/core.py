# SPDX-License-Identifier: Apache-2.0
"""One step of all running sequences: schedule, compute, draw, report.

Used by one thread at a time; `worker` calls it. If the computation of several sequences raises an exception, each is
computed alone, and only those that fail again end with an error.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from itertools import accumulate

import torch
from torch import Tensor

from finesight.batch import pack
from finesight.conversation import StreamEvent
from finesight.engine.block_pool import BlockPool
from finesight.engine.cuda_graphs import StepGraphs, can_capture
from finesight.engine.feature_cache import FeatureCache, tower_digest
from finesight.engine.lookup import draft
from finesight.engine.nonfinite import first_nonfinite
from finesight.engine.options import EngineOptions, make_cache
from finesight.engine.request import OnStage, StageName
from finesight.engine.runner import Runner
from finesight.engine.sampler import pick_rows
from finesight.engine.scheduler import Chunk, Scheduler
from finesight.engine.sequence import Sequence
from finesight.errors import EngineError, FinesightError, OutOfBlocks
from finesight.model.adapters import MOST_MIXED_ROWS, Adapters
from finesight.model.vl import VisionLanguageModel

Outcome = StreamEvent | FinesightError
"""A piece of an answer, or the error that ends it."""

_BYTES_PER_MB = 10**6

_MISSING_OPERATION = re.compile(
    r"operator '([\w:.]+)' is not currently implemented for the (\w+) device"
)
"""What torch says of an operation that Apple's devices lack."""


class Core:
    """Sequences, their cache and the model.

    Args:
        model: the network, in evaluation mode.
        options: batch size and memory.
        on_stage: progress callback.
        adapters: of the network.

    Attributes:
        lock: held while the model computes.

    Raises:
        ConfigError: the memory does not hold one block of the KV cache.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        options: EngineOptions,
        on_stage: OnStage,
        adapters: Adapters,
    ) -> None:
        on_stage = _guarded(on_stage)
        self._adapters = adapters
        self._model, self._options, self._on_stage = model, options, on_stage
        captures = can_capture(model, options)
        kv = make_cache(options, model, extra_blocks=int(captures))
        self.lock = threading.Lock()
        self.pool = BlockPool(kv.num_blocks - int(captures), kv.block_size)
        self.scheduler = Scheduler(
            self.pool,
            max_sequences=options.max_sequences,
            max_step_tokens=options.max_step_tokens,
            shares_prefixes=options.prefix_cache,
            is_deterministic=options.deterministic,
        )
        folder = options.vision_cache_folder
        features = FeatureCache(
            int(options.vision_cache_mb * _BYTES_PER_MB),
            folder,
            tower="" if folder is None else tower_digest(model.visual),
        )
        most_rows = options.max_sequences * (1 + options.draft_tokens)
        graphs = StepGraphs(model, kv, most_rows) if captures else None
        self._runner = Runner(model, kv, features, on_stage, graphs, adapters=adapters)

    def check_fits(self, prompt_tokens: int, max_new_tokens: int) -> None:
        """Raise `OutOfBlocks` if prompt and answer would not fit an empty cache."""
        room = self.pool.num_blocks * self.pool.block_size
        if prompt_tokens + max_new_tokens > room:
            raise OutOfBlocks(
                f"prompt ({prompt_tokens} tokens) and answer (at most {max_new_tokens}) need "
                f"{prompt_tokens + max_new_tokens} tokens of the KV cache, which has {room}",
                hint="lower max_new_tokens or the pixels of the pictures, or raise kv_cache_gb",
            )

    def step(self) -> list[tuple[Sequence, Outcome]]:
        """Compute one step; finished and failed sequences are removed."""
        with self.lock:
            if self._options.draft_tokens:
                self._draft()
            outcomes: list[tuple[Sequence, Outcome]] = []
            scheduled = self.scheduler.schedule()
            if not scheduled and not self.scheduler.is_idle:
                raise EngineError(
                    "no waiting sequence fits the KV cache"
                )  # else the thread would loop for ever
            for chunks, result in self._computed(scheduled):
                if isinstance(result, Tensor):
                    self.scheduler.advance(chunks)
                    outcomes += self._drawn(chunks, result)
                else:
                    outcomes += [(chunk.sequence, result) for chunk in chunks]
            self._report()
            for sequence, outcome in outcomes:
                if isinstance(outcome, FinesightError) or outcome.reply is not None:
                    self.scheduler.remove(sequence)
            return outcomes

    def cancel(self, sequence: Sequence) -> StreamEvent:
        """Remove a sequence; its last event has the answer so far."""
        self.scheduler.remove(sequence)
        sequence.transcript.finish_reason = "cancelled"
        sequence.transcript.rewound = None
        return _event(sequence, "")

    def _draft(self) -> None:
        for sequence in self.scheduler.running:
            sequence.drafts = []
            if not sequence.is_prefilling and sequence.num_cached:
                room = sequence.max_tokens - sequence.num_tokens - 1
                most = min(self._options.draft_tokens, room)
                sequence.drafts = draft(sequence.token_ids, most)

    def _computed(
        self, chunks: list[Chunk]
    ) -> Iterator[tuple[list[Chunk], Tensor | FinesightError]]:
        """Chunks of a forward pass with their rows of logits, or with their error."""
        if not chunks:
            return
        if self._options.deterministic and len(chunks) > 1:
            for chunk in chunks:
                yield from self._computed([chunk])
            return
        if (
            sum(chunk.num_tokens for chunk in chunks) > MOST_MIXED_ROWS
            and len(groups := _by_adapter(chunks)) > 1
        ):
            for group in groups:
                yield from self._computed(group)
            return
        result: Tensor | FinesightError
        is_full = False
        try:
            result = self._runner.step(chunks)
        except Exception as error:  # noqa: BLE001  # it must not end the other requests
            result = _as_finesight_error(error)
            is_full = isinstance(error, torch.OutOfMemoryError)
        # The exception and the tensors in its traceback are gone here, so there is memory to try again.
        if is_full and self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        if isinstance(result, Tensor) or len(chunks) == 1:
            yield chunks, result
            return
        for chunk in chunks:
            yield from self._computed([chunk])

    def _drawn(self, chunks: list[Chunk], logits: Tensor) -> list[tuple[Sequence, Outcome]]:
        """Draw the next tokens; where a draft is right, the row after it is drawn from as well."""
        outcomes: list[tuple[Sequence, Outcome]] = []
        firsts = accumulate((chunk.num_logits for chunk in chunks), initial=0)
        active = [
            (chunk.sequence, range(first, first + chunk.num_logits))
            for chunk, first in zip(chunks, firsts, strict=False)
            if chunk.num_logits
        ]
        starts = [(sequence, sequence.num_cached) for sequence, _ in active]
        for chunk in chunks:
            chunk.sequence.num_drafted += chunk.num_drafts
        place = 0
        while active:
            index = [rows[place] for _, rows in active]
            scores = logits if len(index) == len(logits) else logits[index]
            # A sum is finite only if every term is; this reads the rows once.
            finite = torch.isfinite(scores.sum(dim=1, dtype=torch.float32)).tolist()
            if not all(finite):
                outcomes += [
                    (each, self._nonfinite(each))
                    for (each, _), is_fine in zip(active, finite, strict=True)
                    if not is_fine
                ]
                scores = scores[finite]
                active = [each for each, is_fine in zip(active, finite, strict=True) if is_fine]
            picks = pick_rows(scores, [sequence.sampler for sequence, _ in active])
            further = []
            for (sequence, rows), pick in zip(active, picks, strict=True):
                if sequence.sampler.error is not None:
                    outcomes.append((sequence, sequence.sampler.error))
                    continue
                outcomes.append((sequence, _event(sequence, sequence.push(pick))))
                if sequence.transcript.rewound is not None:
                    self.scheduler.rewind(sequence)
                    continue
                if place + 1 < len(rows) and pick.token_id == sequence.drafts[place]:
                    sequence.num_accepted += 1
                    if not sequence.is_finished:
                        sequence.num_cached += 1
                        further.append((sequence, rows))
            active = further
            place += 1
        for sequence, start in starts:
            if sequence.num_cached > start:
                self.scheduler.publish_accepted(sequence, start)
        return outcomes

    def _report(self) -> None:
        running = self.scheduler.running
        done = sum(len(each.transcript.token_ids) for each in running)
        if done:
            total = sum(each.sampler.sampling.max_new_tokens for each in running)
            self._on_stage("decode", done, total)

    def _nonfinite(self, sequence: Sequence) -> EngineError:
        sample = sequence.so_far()
        with self._adapters.applied([(sequence.adapter_name, sequence.num_tokens)]):
            where = first_nonfinite(self._model, pack([sample]))
        return EngineError(
            f"the scores of token {len(sequence.transcript.token_ids) + 1} of the answer are not finite; "
            f"the first layer that gave NaN or infinity is {where}",
            hint="run `finesight doctor`; try dtype float32, or another copy of the weights",
        )


def _by_adapter(chunks: list[Chunk]) -> list[list[Chunk]]:
    """Chunks in groups of one adapter."""
    groups: dict[str | None, list[Chunk]] = {}
    for chunk in chunks:
        groups.setdefault(chunk.sequence.adapter_name, []).append(chunk)
    return list(groups.values())


def _guarded(on_stage: OnStage) -> OnStage:
    """A progress callback whose exception is a warning: it must not end the requests of others."""

    def guarded(stage: StageName, done: int, total: int) -> None:
        try:
            on_stage(stage, done, total)
        except Exception as error:  # noqa: BLE001  # whatever a callback raises
            warnings.warn(f"the progress callback raised {error!r}", stacklevel=2)

    return guarded


def _event(sequence: Sequence, shown: str) -> StreamEvent:
    transcript = sequence.transcript
    return StreamEvent(
        text=shown,
        num_tokens=len(transcript.token_ids),
        reply=sequence.reply() if sequence.is_finished else None,
        withdrawn=transcript.rewound.withdrawn if transcript.rewound else 0,
        logprobs=transcript.new_logprobs(),
    )


def _as_finesight_error(error: Exception) -> FinesightError:
    """The error of one request; says what helps if memory or an operation of the device is missing."""
    if isinstance(error, FinesightError):
        return error
    said = next(iter(str(error).splitlines()), "")[:200]
    is_full = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    if is_full or "out of memory" in said or "can't allocate memory" in said:
        return EngineError(
            f"the memory did not suffice: {said}",
            hint="lower the pixels of the pictures, max_step_tokens or kv_cache_gb",
        )
    if missing := _MISSING_OPERATION.search(said):
        return EngineError(
            f"torch has no operation {missing[1]} for device {missing[2].lower()}",
            hint='use device="cpu", or set PYTORCH_ENABLE_MPS_FALLBACK=1 to compute it on the CPU',
        )
    return EngineError(f"the model failed with {type(error).__name__}: {str(error)[:300]}")
