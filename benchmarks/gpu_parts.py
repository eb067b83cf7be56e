# SPDX-License-Identifier: Apache-2.0
"""The parts of the GPU measurements: see `benchmarks.gpu`.

Legend: S sequences, D width, F inner width, H query heads, G key-value heads, E head size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.comparison import best_in_turns
from benchmarks.gpu import Place, shape_of
from benchmarks.gpu_network import BLOCK, PROMPT, ROUNDS, Network, capture, measure_network, said
from finesight.config.model import TextConfig
from finesight.errors import FinesightError
from finesight.kernels import ops, twins
from finesight.model.quantised_gpu import GpuWeights, check_gpu_weights, quantise_on_gpu

_CALLS = 20
"""Calls of an operation that are timed together."""


def measured_ceilings(place: Place) -> tuple[float, float]:
    """Bytes read and written per second by a copy, and operations per second of a product in bfloat16."""
    side, numbers = (8192, 2**31) if place.is_cuda else (256, 2**20)
    source = torch.empty(numbers, dtype=torch.bfloat16, device=place.device).normal_()
    target = torch.empty_like(source)
    x, y = (torch.randn(side, side, device=place.device).bfloat16() for _ in range(2))
    copying, multiplying = (
        place.finished(run) for run in (lambda: target.copy_(source), lambda: x @ y)
    )
    copied, multiplied = best_in_turns([copying, multiplying], 5)
    return 2 * source.nbytes / copied, 2 * side**3 / multiplied


def _ceilings(place: Place) -> None:
    (place.folder / "ceilings.json").unlink(missing_ok=True)
    bandwidth, rate = place.ceilings()
    if place.is_cuda:
        place.add("ceilings", "device", device=torch.cuda.get_device_name(place.device))
    place.add("ceilings", "copy", GB_per_s=bandwidth / 1e9)
    place.add("ceilings", "product in bfloat16", TFLOP_per_s=rate / 1e12)


@torch.inference_mode()
def _operations(place: Place) -> None:
    """Every operation at the shapes of a step of one sequence, of many, and of a prompt."""
    text = shape_of(place.shape).text
    bandwidth, _ = place.ceilings()
    captures = capture(place)
    for rows in (1, 64, 2048) if place.is_cuda else (1, 3):
        for name, run, twin, num_bytes in _cases(place, text, rows):
            runs: list[Callable[[], object]] = []
            for one in (run, twin):

                def many(one: Callable[[], Tensor] = one) -> Tensor:
                    for _ in range(_CALLS - 1):
                        one()
                    return one()

                # The twin of the attention reads lengths on the host, so it cannot be captured.
                is_captured = one is run or "attention" not in name
                runs.append(captures(many)[0] if is_captured else many)
            ours, theirs = (
                seconds / _CALLS for seconds in best_in_turns([*map(place.finished, runs)], ROUNDS)
            )
            error = float((run().float() - twin().float()).norm() / twin().float().norm())
            place.add(
                "operations",
                f"{name}, {rows} rows",
                microseconds=1e6 * ours,
                share_of_bandwidth=num_bytes / ours / bandwidth,
                times_torch=theirs / ours,
                error=error,
            )


def _cases(
    place: Place, text: TextConfig, rows: int
) -> Iterator[tuple[str, Callable[[], Tensor], Callable[[], Tensor], int]]:
    """Name, operation, the same by torch, and the bytes it has to move."""
    heads, kv_heads, size = text.num_attention_heads, text.num_key_value_heads, text.head_dim

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=place.device).bfloat16()

    states, weight = drawn(rows, text.hidden_size), drawn(text.hidden_size)
    yield (
        "norm",
        lambda: ops.rms_norm(states, weight, 1e-6),
        lambda: twins.rms_norm(states, weight, 1e-6),
        2 * states.nbytes,
    )
    zero = torch.zeros_like(states)  # the sum is repeated
    yield (
        "norm of a sum",
        lambda: ops.add_rms_norm_(states, zero, weight, 1e-6),
        lambda: twins.add_rms_norm_(states, zero, weight, 1e-6),
        4 * states.nbytes,
    )
    q, angles = drawn(rows, heads, size), torch.randn(2, rows, 1, size, device=place.device)
    yield (
        "rotary",
        lambda: ops.rotary(q, *angles),
        lambda: twins.rotary(q, *angles),
        2 * q.nbytes + angles.nbytes,
    )
    joined = drawn(rows, 2 * text.intermediate_size)
    yield (
        "SwiGLU",
        lambda: ops.swiglu(joined),
        lambda: twins.swiglu(joined, None),
        3 * joined.nbytes // 2,
    )
    if rows > 64:
        return
    for context in (2048, 16_384) if place.is_cuda else (300,):
        width = -(-context // BLOCK)
        keys, values = (drawn(rows * width, BLOCK, kv_heads, size) for _ in range(2))
        table = torch.randperm(rows * width, device=place.device).view(rows, width).int()
        lengths = torch.full((rows,), context, dtype=torch.int32, device=place.device)
        given = (q, keys, values, table, lengths)
        yield (
            f"attention over {context}",
            partial(ops.decode_attention, *given),
            partial(twins.decode_attention, *given),
            4 * rows * context * kv_heads * size,
        )


def _requests(place: Place) -> None:
    """Requests at once through the engine, each with its own prompt; every answer has its full length."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions
    from finesight.processor.processor import Processor

    network = Network(place, sequences=1, context=1)
    processor = Processor.from_folder(find_checkpoint("tiny"))
    length = 128 if place.is_cuda else 6
    alone = 0.0
    for count in (1, 32, 128) if place.is_cuda else (1, 4):
        rates = {}
        for has_graphs in (True, False):
            made = EngineOptions(
                max_sequences=count,
                kv_cache_gb=16.0 if place.is_cuda else 0.1,
                cuda_graphs=has_graphs,
            )
            engine = Engine(network.model, processor, options=made)
            engine.eos_ids = frozenset()
            list(engine.run(_asked(range(count), 4)))  # captures the graphs
            started = time.perf_counter()
            outcomes = [outcome for _, outcome in engine.run(_asked(range(count), length))]
            seconds = time.perf_counter() - started
            engine.close()
            for outcome in outcomes:
                if isinstance(outcome, FinesightError):
                    raise outcome
            rates[has_graphs] = count * length / seconds
        alone = alone or rates[True]
        place.add(
            "requests",
            f"{count} at once",
            tokens_per_s=rates[True],
            times_without_graphs=rates[True] / rates[False],
            times_one_at_a_time=rates[True] / alone,
        )


def _asked(numbers: range, length: int) -> list[Any]:
    from finesight.conversation import Conversation, Message, Sampling, TextPart
    from finesight.engine.request import Request

    return [
        Request(
            conversation=Conversation(
                (Message("user", (TextPart(f"Tell me of the sea and {number} ships."),)),)
            ),
            sampling=Sampling(max_new_tokens=length, loop_guard=False),
        )
        for number in numbers
    ]


def _weights(place: Place) -> None:
    """Decoding with quantised weights, in turns with bfloat16."""
    context = PROMPT if place.is_cuda else 40
    plain = Network(place, sequences=32 if place.is_cuda else 2, context=context)
    formats: tuple[GpuWeights, ...] = ("int4", "fp8", "int8")
    for weights in formats:
        try:
            if place.is_cuda or weights != "fp8":
                check_gpu_weights(weights, torch.device(place.device))
            rounded = Network(place, sequences=32 if place.is_cuda else 2, context=context)
            quantise_on_gpu(rounded.model, weights)
            for count in (1, 32) if place.is_cuda else (1, 2):
                runs = [
                    place.finished(partial(each.decode, count, context, each.graphs(count)))
                    for each in (rounded, plain)
                ]
                ours, full = best_in_turns(runs, ROUNDS)
                place.add(
                    "weights",
                    f"{weights}, decoding {count} at once",
                    tokens_per_s=count * place.steps / ours,
                    times_bfloat16=full / ours,
                )
        except Exception as error:  # noqa: BLE001  # a format that fails is a result, and the next one runs
            place.add("weights", weights, skipped=said(error))


RUNS: dict[str, Callable[[Place], None]] = {
    "ceilings": _ceilings,
    "operations": _operations,
    "network": measure_network,
    "requests": _requests,
    "weights": _weights,
}
