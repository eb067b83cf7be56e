# SPDX-License-Identifier: Apache-2.0
"""Forward passes over chunks of sequences that share one paged KV cache.

The only file of the engine that calls the model for answers. Pictures are encoded one by one, when the first chunk
needs their visual tokens, which bounds memory; the vision tower does not mix them in any case.

Legend: S sequences, R rows of logits, T tokens of a step, M visual tokens, D decoder width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from itertools import accumulate

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch, VisionInput
from finesight.engine.cuda_graphs import StepGraphs
from finesight.engine.feature_cache import FeatureCache
from finesight.engine.request import OnStage
from finesight.engine.scheduler import Chunk
from finesight.engine.sequence import Sequence
from finesight.engine.vision import visual_tokens
from finesight.errors import PromptTooLong
from finesight.model.adapters import Adapters
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel


class Runner:
    """Computes chunks with a model.

    Args:
        model: the network, in evaluation mode.
        kv: the KV cache of its sequences.
        features: visual tokens of recent media.
        on_stage: progress callback.
        graphs: compute decoding steps; None computes every step operation by operation.
        adapters: of the network; None has none.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        kv: KVCache,
        features: FeatureCache,
        on_stage: OnStage,
        graphs: StepGraphs | None = None,
        *,
        adapters: Adapters | None = None,
    ) -> None:
        self._model, self._kv, self._features = model, kv, features
        self._on_stage, self._graphs = on_stage, graphs
        self._adapters = Adapters(model) if adapters is None else adapters

    @torch.inference_mode()
    def step(self, chunks: SequenceOf[Chunk]) -> Tensor:
        """One forward pass; prompts and answers may be mixed.

        It can be repeated: of the sequences, only `features` change.

        Args:
            chunks: at least one; each sequence has blocks for its chunk.

        Returns:
            float[R, V], `num_logits` rows of each chunk, in order.
        """
        if self._graphs is not None and all(map(_is_of_answer, chunks)):
            scores = self._graphs.logits(self._rows(chunks))
            if scores is not None:
                return scores
        embeds = [self._visual_tokens(chunk) for chunk in chunks]
        prompts = [chunk for chunk in chunks if chunk.sequence.is_prefilling]
        for chunk in prompts:
            self._report(chunk.sequence, chunk.start)
        batch = self._batch(chunks)
        visual = [each for each in embeds if each is not None]
        parts = [(chunk.sequence.adapter_name, chunk.num_tokens) for chunk in chunks]
        with self._adapters.applied(parts):
            hidden = self._model(
                batch.to(self._model.device),
                vision_embeds=torch.cat(visual) if visual else None,
                kv=self._kv,
            )
        ends = accumulate(chunk.num_tokens for chunk in chunks)
        rows = [
            row
            for chunk, end in zip(chunks, ends, strict=True)
            for row in range(end - chunk.num_logits, end)
        ]
        parts = [(chunk.sequence.adapter_name, chunk.num_logits) for chunk in chunks]
        with self._adapters.applied(parts):
            logits: Tensor = self._model.logits(hidden[rows])
        for chunk in prompts:
            self._report(chunk.sequence, chunk.end)
        return logits

    def _report(self, sequence: Sequence, done: int) -> None:
        self._on_stage("prefill", done, sequence.num_tokens)

    def _batch(self, chunks: SequenceOf[Chunk]) -> PackedBatch:
        """The tokens of one forward pass, on the CPU."""
        tokens, positions, places = [], [], []
        start = 0
        for chunk in chunks:
            sequence = chunk.sequence
            ids, where = sequence.tokens(chunk.start, chunk.end)
            first, last = sequence.visual_range(chunk.start, chunk.end)
            if first < last:
                within = sequence.sample.visual_index[first:last] - chunk.start
                places.append(within + start)
            tokens.append(ids)
            positions.append(where)
            start += chunk.num_tokens
        plan = AttentionPlan.paged(
            [chunk.num_tokens for chunk in chunks],
            [chunk.end for chunk in chunks],
            [chunk.sequence.blocks for chunk in chunks],
            self._kv.block_size,
        )
        return PackedBatch.from_tokens(
            torch.cat(tokens),
            torch.cat(positions, dim=1),
            plan,
            torch.cat(places) if places else None,
        )

    def _rows(self, chunks: SequenceOf[Chunk]) -> PackedBatch:
        """Tokens of answers, on the CPU; each is a row with its own length, whichever sequence it belongs to."""
        parts = [chunk.sequence.tokens(chunk.start, chunk.end) for chunk in chunks]
        plan = AttentionPlan.paged(
            [1 for chunk in chunks for _ in range(chunk.num_tokens)],
            [place + 1 for chunk in chunks for place in range(chunk.start, chunk.end)],
            [chunk.sequence.blocks for chunk in chunks for _ in range(chunk.num_tokens)],
            self._kv.block_size,
        )
        ids, positions = zip(*parts, strict=True)
        return PackedBatch.from_tokens(torch.cat(ids), torch.cat(positions, dim=1), plan)

    def _visual_tokens(self, chunk: Chunk) -> Tensor | None:
        """`[M, D]`, the visual tokens of a chunk; None if it has none. Those after it stay with the sequence."""
        sequence = chunk.sequence
        first, last = sequence.visual_range(chunk.start, chunk.end)
        if first == last:
            return None
        parts = []
        for index, item, begin, end in sequence.media_between(first, last):
            features = sequence.features.get(index)
            if features is None:
                features = self._encoded(sequence, index, item)
            if end < item.num_visual_tokens:
                sequence.features[index] = features
            else:
                sequence.features.pop(index, None)
            parts.append(features[begin:end])
        return torch.cat(parts)

    def _encoded(self, sequence: Sequence, index: int, item: VisionInput) -> Tensor:
        """`[M, D]` of one medium, from the cache or from the vision tower."""
        total = sequence.sample.visual_index.numel()
        done = sum(each.num_visual_tokens for each in sequence.sample.vision[:index])
        self._on_stage("vision", done, total)
        if item.shares_pairs:
            pairs = zip(item.pair_digests, item.chunks(1), strict=True)
            features = torch.cat([self._cached(sequence, digest, pair) for digest, pair in pairs])
        else:
            features = self._cached(sequence, item.digest, item)
        self._on_stage("vision", done + item.num_visual_tokens, total)
        return features

    def _cached(self, sequence: Sequence, digest: str, item: VisionInput) -> Tensor:
        """`[M, D]`, computed unless the cache has it."""
        width = self._model.config.text.hidden_size
        adapter = sequence.adapter
        if adapter is not None and adapter.changes_tower:
            digest = f"{digest}-{adapter.digest}"
        features = self._features.get(digest, (item.num_visual_tokens, width))
        if features is None:
            with self._adapters.applied([(sequence.adapter_name, item.num_visual_tokens)]):
                features = visual_tokens(self._model, item)
            self._features.put(digest, features)
        return features.to(self._model.device)


def _is_of_answer(chunk: Chunk) -> bool:
    """Whether a graph of the model alone computes it: all its logits are needed, and no token is visual."""
    if chunk.sequence.adapter is not None:
        return False
    first, last = chunk.sequence.visual_range(chunk.start, chunk.end)
    return chunk.num_logits == chunk.num_tokens and first == last


def check_length(prompt_tokens: int, max_new_tokens: int, max_position_embeddings: int) -> None:
    """Raise `PromptTooLong` unless prompt and answer fit the context."""
    if prompt_tokens + max_new_tokens <= max_position_embeddings:
        return
    room = max_position_embeddings - prompt_tokens
    less = f"lower max_new_tokens to {room}, or " if room > 0 else ""
    raise PromptTooLong(
        f"the prompt has {prompt_tokens} tokens and the answer may have {max_new_tokens}, "
        f"{prompt_tokens + max_new_tokens} together; the model's context is "
        f"{max_position_embeddings}",
        hint=f"{less}shorten the text, or give pictures and videos fewer tokens with max_pixels, fps or nframes",
    )
