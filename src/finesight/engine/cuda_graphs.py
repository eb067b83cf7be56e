# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs of decoding steps: the kernels of a step are recorded once and then started by a single call.

A step of 36 layers has about 350 kernels. Starting them one by one takes longer than running them at a batch of one. A
graph has fixed shapes and addresses, so there is one for each of the sizes 1, 2, 4, 8, ..., captured at its first use.
A step copies its rows into the buffers of the next larger size; rows that are left over write to a block of the KV
cache that no sequence has.

A row is a token with its own length and blocks. So sequences that check drafts (prompt lookup) take several rows, and
use the same graphs. Prompts run without them.

Legend: R rows of a step, N rows of a graph, B blocks of the longest context, C slots of a block, V vocabulary.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.engine.options import EngineOptions
from finesight.model.cache import KVCache
from finesight.model.fused_gpu import GpuDecoder
from finesight.model.vl import VisionLanguageModel

MOST_ROWS = 256
"""Larger steps keep the device busy without graphs."""

_WARM_UPS = 2
"""Runs before a capture, in which kernels are compiled and libraries allocate their memory."""

Replay = Callable[[], None]
Capture = Callable[[Callable[[], Tensor]], tuple[Replay, Tensor]]
"""Records a function; returns what repeats it, and the tensor that then holds its result."""


def graph_sizes(most_rows: int) -> tuple[int, ...]:
    """Powers of two up to the first that holds this many rows; at most `MOST_ROWS`."""
    most, sizes = min(most_rows, MOST_ROWS), [1]
    while sizes[-1] < most:
        sizes.append(2 * sizes[-1])
    return tuple(sizes)


def can_capture(model: VisionLanguageModel, options: EngineOptions) -> bool:
    """Whether steps of an engine can be graphs: on CUDA, with the fused decoder and a cache in its dtype."""
    return (
        options.cuda_graphs
        and model.device.type == "cuda"
        and options.kv_cache_dtype == "auto"
        and isinstance(model.model.fused, GpuDecoder)
    )


class CudaCapture:
    """Captures functions as CUDA graphs; all graphs share their temporary memory.

    Args:
        device: where they work.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        """Capture a function that starts work on the device and reads nothing back."""
        with torch.cuda.device(self._device):
            return self._captured(run)

    def _captured(self, run: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": other threads may use the device meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = run()
        return graph.replay, result


class StepGraphs:
    """Graphs of decoding steps by their number of rows.

    Args:
        model: its decoder is a `GpuDecoder`.
        kv: the KV cache; its last block belongs to no sequence.
        most_rows: rows of the largest steps.
        capture: records a function; None captures CUDA graphs.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        kv: KVCache,
        most_rows: int,
        capture: Capture | None = None,
    ) -> None:
        self._model, self._kv = model, kv
        self._sizes = graph_sizes(most_rows)
        self._capture = CudaCapture(model.device) if capture is None else capture
        self._graphs: dict[int, _Graph] = {}
        self._revision: int | None = None

    def logits(self, batch: PackedBatch) -> Tensor | None:
        """Compute a step by a graph.

        Args:
            batch: on the CPU, one row per sequence of its plan.

        Returns:
            `[R, V]`, logits of all rows; None if there is no graph for the step: it has too many rows, the layers have
            adapters, or the graph could not be captured.
        """
        count = batch.input_ids.numel()
        graph = self._graph(count)
        if graph is None:
            return None
        graph.fill(batch)
        graph.replay()
        if (
            not self._is_current()
        ):  # asked while the device computes; the step is then repeated without a graph
            return None
        # A copy, because the next step writes to the same memory.
        return graph.result[:count].clone()

    def _is_current(self) -> bool:
        """Whether the weights are those that the graphs read; if not, the graphs are dropped."""
        decoder = self._model.model.fused
        if isinstance(decoder, GpuDecoder) and decoder.revision() == self._revision:
            return True
        self._graphs.clear()
        self._revision = None
        return False

    def _graph(self, count: int) -> _Graph | None:
        size = next((each for each in self._sizes if each >= count), None)
        decoder = self._model.model.fused
        if size is None or not isinstance(decoder, GpuDecoder):
            return None
        if self._revision is None:
            self._revision = decoder.revision()
            if self._revision is None:
                return None
        if size not in self._graphs:
            try:
                self._graphs[size] = _Graph(self._model, self._kv, size, self._capture)
            except (
                RuntimeError
            ) as error:  # torch.OutOfMemoryError, or what the device refuses to record
                is_full = isinstance(error, torch.OutOfMemoryError)
                said = next(iter(str(error).splitlines()), "")[:200]
                self._sizes = tuple(each for each in self._sizes if is_full and each < size)
                warnings.warn(
                    f"no CUDA graph of {size} rows could be captured, so steps of more than "
                    f"{max(self._sizes, default=0)} rows run without graphs: {said}",
                    stacklevel=2,
                )
                return None
        return self._graphs[size]


class _Graph:
    """A step of N rows with its buffers.

    Attributes:
        replay: computes the step.
        result: `[N, V]`, the logits afterwards.
    """

    def __init__(
        self, model: VisionLanguageModel, kv: KVCache, size: int, capture: Capture
    ) -> None:
        self._size, self._kv = size, kv
        context = model.config.text.max_position_embeddings
        width = min(-(-context // kv.block_size), kv.num_blocks)
        length = size * (1 + 3 + 1 + 1 + width)
        # One tensor, so that a step needs one copy to the device.
        self._host = torch.zeros(length, dtype=torch.int32, pin_memory=model.device.type == "cuda")
        self._pad(0)
        self._device = self._host.to(model.device, copy=True)
        batch = _batch(self._device, size, width * kv.block_size)

        def run() -> Tensor:
            hidden: Tensor = model(batch, kv=kv)
            return model.logits(hidden)

        self.replay, self.result = capture(run)

    def fill(self, batch: PackedBatch) -> None:
        """Copy the rows of a step into the buffers."""
        plan = batch.attention
        assert plan.slot_mapping is not None
        assert plan.seqused_k is not None
        assert plan.block_table is not None
        count = batch.input_ids.numel()
        # The copy of the step before has ended: its logits were read.
        ids, positions, slots, lengths, table = _parts(self._host, self._size)
        ids[:count] = batch.input_ids
        positions[:, :count] = batch.position_ids
        slots[:count] = plan.slot_mapping
        lengths[:count] = plan.seqused_k
        table[:count, : plan.block_table.shape[1]] = plan.block_table
        self._pad(count)
        self._device.copy_(self._host, non_blocking=True)

    def _pad(self, count: int) -> None:
        """Let the rows from `count` on be a sequence of one token in the last block."""
        scratch = self._kv.num_blocks - 1
        ids, positions, slots, lengths, table = _parts(self._host, self._size)
        ids[count:] = 0
        positions[:, count:] = 0
        slots[count:] = scratch * self._kv.block_size
        lengths[count:] = 1
        table[count:, 0] = scratch


def _parts(buffer: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Views of a buffer: token ids [N], positions [3, N], slots [N], lengths [N] and block table [N, B]."""
    ids, positions, slots, lengths, table = buffer.split(
        [size, 3 * size, size, size, buffer.numel() - 6 * size]
    )
    return ids, positions.view(3, size), slots, lengths, table.view(size, -1)


def _batch(buffer: Tensor, size: int, most_keys: int) -> PackedBatch:
    """The step in a buffer. Lengths on the host are upper bounds: only the tensors are read."""
    ids, positions, slots, lengths, table = _parts(buffer, size)
    rows = torch.arange(size + 1, dtype=torch.int32, device=buffer.device)
    plan = AttentionPlan(
        query_lengths=(1,) * size,
        key_lengths=(most_keys,) * size,
        causal=True,
        max_seqlen_q=1,
        max_seqlen_k=most_keys,
        cu_seqlens_q=rows,
        cu_seqlens_k=rows * most_keys,
        block_table=table,
        slot_mapping=slots,
        seqused_k=lengths,
        first_slots=(-1,) * size,
    )
    return PackedBatch(
        input_ids=ids,
        labels=ids,
        position_ids=positions,
        attention=plan,
        sample_ids=rows[:-1],
        visual_index=ids[:0],
    )
