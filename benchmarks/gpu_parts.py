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
from benchmarks.network import random_picture
from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.config.model import TextConfig
from finesight.engine.cuda_graphs import Capture, CudaCapture, StepGraphs
from finesight.errors import ConfigError, FinesightError
from finesight.kernels import ops, twins
from finesight.model import flops
from finesight.model.cache import KVCache
from finesight.model.fused import use_kernels
from finesight.model.fused_gpu import GpuDecoder
from finesight.model.quantised_gpu import GpuWeights, check_gpu_weights, quantise_on_gpu
from finesight.model.vl import VisionLanguageModel

_BLOCK = 256
_ROUNDS = 3

_CALLS = 20
"""Calls of an operation that are timed together."""

_PROMPT = 1777
"""Tokens of a prompt with a picture of 1,092 pixels a side."""

_REFERENCE_BAR, _BANDWIDTH_BAR, _VISION_BAR = 5.0, 0.70, 0.50


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


def _capture(place: Place) -> Capture:
    """Graphs on CUDA; elsewhere the function itself."""
    if place.is_cuda:
        return CudaCapture(torch.device(place.device))

    def repeat(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        result = run()

        def replay() -> None:
            result.copy_(run())

        return replay, result

    return repeat


@torch.inference_mode()
def _operations(place: Place) -> None:
    """Every operation at the shapes of a step of one sequence, of many, and of a prompt."""
    text = shape_of(place.shape).text
    bandwidth, _ = place.ceilings()
    capture = _capture(place)
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
                runs.append(capture(many)[0] if is_captured else many)
            ours, theirs = (
                seconds / _CALLS for seconds in best_in_turns([*map(place.finished, runs)], _ROUNDS)
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
        width = -(-context // _BLOCK)
        keys, values = (drawn(rows * width, _BLOCK, kv_heads, size) for _ in range(2))
        table = torch.randperm(rows * width, device=place.device).view(rows, width).int()
        lengths = torch.full((rows,), context, dtype=torch.int32, device=place.device)
        given = (q, keys, values, table, lengths)
        yield (
            f"attention over {context}",
            partial(ops.decode_attention, *given),
            partial(twins.decode_attention, *given),
            4 * rows * context * kv_heads * size,
        )


class _Network:
    """Our network with random weights and a KV cache for some sequences of equal length."""

    def __init__(self, place: Place, *, sequences: int, context: int) -> None:
        config = shape_of(place.shape)
        self.place, self.text = place, config.text
        attention = "varlen" if place.is_cuda else "sdpa"
        with torch.device("meta"):
            model = VisionLanguageModel(config, attention=attention).to(torch.bfloat16).eval()
        self.model = model.to_empty(device=place.device)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.uniform_(-0.03, 0.03)
                if "norm" in name or "ln_q" in name:
                    parameter.add_(1.0)
        self.use_kernels()
        width = -(-(context + 2 * place.steps) // _BLOCK)
        self.blocks = [[row * width + i for i in range(width)] for row in range(sequences)]
        self.kv = KVCache(
            config.text,
            sequences * width + 1,
            _BLOCK,
            dtype=torch.bfloat16,
            device=place.device,
        )
        self.kv.keys.normal_()
        self.kv.values.normal_()

    def use_kernels(self) -> None:
        """The decoder of a GPU; on a CPU by torch."""
        decoder = self.model.model
        if not use_kernels(self.model) or not isinstance(decoder.fused, GpuDecoder):
            decoder.fused = GpuDecoder(decoder.layers, decoder.norm, self.text, "sdpa")

    def graphs(self, sequences: int) -> StepGraphs:
        """New graphs for steps of this many sequences."""
        return StepGraphs(self.model, self.kv, sequences, _capture(self.place))

    @torch.inference_mode()
    def decode(self, sequences: int, context: int, graphs: StepGraphs | None) -> None:
        """Steps of greedy decoding; each token is read back, as an engine does."""
        tokens = [7] * sequences
        for step in range(self.place.steps):
            plan = AttentionPlan.paged(
                [1] * sequences,
                [context + step + 1] * sequences,
                self.blocks[:sequences],
                _BLOCK,
            )
            positions = torch.full((3, sequences), context + step)
            batch = PackedBatch.from_tokens(torch.tensor(tokens), positions, plan)
            scores = None if graphs is None else graphs.logits(batch)
            if scores is None:
                if graphs is not None:
                    raise ConfigError("a step had no graph")
                hidden = self.model(batch.to(self.place.device), kv=self.kv)
                scores = self.model.logits(hidden)
            tokens = scores.argmax(1).tolist()

    @torch.inference_mode()
    def prefill(self, ids: Tensor) -> Tensor:
        """Logits after the last token of a prompt."""
        count = ids.numel()
        plan = AttentionPlan.paged([count], [count], self.blocks[:1], _BLOCK)
        positions = torch.arange(count).expand(3, -1)
        batch = PackedBatch.from_tokens(ids.cpu(), positions, plan).to(self.place.device)
        logits: Tensor = self.model.logits(self.model(batch, kv=self.kv)[-1:])
        return logits


def _network(place: Place) -> None:
    sequences, context = (64, _PROMPT) if place.is_cuda else (2, 40)
    ours = _Network(place, sequences=sequences, context=context)
    _decoding(place, ours, context, (1, 8, 64) if place.is_cuda else (1, 2))
    _vision(place, ours)
    theirs = _reference(place, ours.model)
    if theirs is not None:
        _against_reference(place, ours, theirs, context)


def _decoding(place: Place, ours: _Network, context: int, counts: tuple[int, ...]) -> None:
    bandwidth, rate = place.ceilings()
    for count in counts:
        graphs = ours.graphs(count)
        runs = [
            place.finished(partial(ours.decode, count, context, each)) for each in (graphs, None)
        ]
        graphed, eager = (seconds / place.steps for seconds in best_in_turns(runs, _ROUNDS))
        moved = flops.decode_bytes(ours.text, context, bytes_per_number=2)
        moved += (count - 1) * flops.cache_bytes(ours.text, context, bytes_per_number=2)
        place.add(
            "network",
            f"decoding {count} at once, context {context}",
            tokens_per_s=count / graphed,
            share_of_bandwidth=moved / graphed / bandwidth,
            bar=_BANDWIDTH_BAR if count == 1 else "none",
            times_without_graphs=eager / graphed,
        )
    ids = torch.arange(context) % 1000
    (seconds,) = best_in_turns([place.finished(lambda: ours.prefill(ids))], _ROUNDS)
    operations = flops.prefill_flops(ours.text, [context])
    place.add(
        "network",
        f"prefill of {context}",
        tokens_per_s=context / seconds,
        share_of_peak=operations / seconds / rate,
    )


@torch.inference_mode()
def _vision(place: Place, ours: _Network) -> None:
    _, rate = place.ceilings()
    for side in (448, 1092) if place.is_cuda else (112,):
        grid = (1, side // 14, side // 14)
        picture = random_picture(ours.model.config, grid, device=torch.device(place.device))
        run = place.finished(partial(ours.model.encode_vision, picture))
        (seconds,) = best_in_turns([run], _ROUNDS)
        operations = flops.vision_flops(ours.model.config.vision, [grid])
        place.add(
            "network",
            f"vision {side} x {side}",
            milliseconds=1000 * seconds,
            share_of_peak=operations / seconds / rate,
            bar=_VISION_BAR,
        )


def _reference(place: Place, model: VisionLanguageModel) -> Any:
    """The network of transformers with the same weights; None, with the reason, if there is none."""
    try:
        from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

        config = Qwen2_5_VLConfig(**model.config.to_hf())
        with torch.device(place.device):
            theirs = Qwen2_5_VLForConditionalGeneration._from_config(  # type: ignore[no-untyped-call]  # untyped there
                config, dtype=torch.bfloat16, attn_implementation="sdpa"
            )
        renamed = {
            f"model.{name}"
            if name.startswith("visual.")
            else name.replace("model.", "model.language_model.", 1): tensor
            for name, tensor in model.state_dict().items()
        }
        missing = theirs.load_state_dict(renamed, strict=False)
        left = [name for name in missing.missing_keys if name != "lm_head.weight"]
        if left or missing.unexpected_keys:
            raise ConfigError(f"names differ: {left[:3]}, {missing.unexpected_keys[:3]}")
    except Exception as error:  # noqa: BLE001  # whatever transformers raises is a result
        place.add("network", "transformers", skipped=_said(error))
        return None
    return theirs.eval()


@torch.inference_mode()
def _against_reference(place: Place, ours: _Network, theirs: Any, context: int) -> None:
    ids = torch.arange(context, device=place.device) % 1000
    cache: list[Any] = []

    def prefill() -> Tensor:
        out = theirs.model(input_ids=ids[None], position_ids=_places(0, ids), use_cache=True)
        cache[:] = [out.past_key_values]
        logits: Tensor = theirs.lm_head(out.last_hidden_state[0, -1:])
        return logits

    def decode() -> None:
        if surplus := cache[0].get_seq_length() - context:
            cache[0].crop(-surplus)
        token = ids[None, :1]
        for step in range(place.steps):
            out = theirs(
                input_ids=token,
                position_ids=_places(context + step, ids[:1]),
                past_key_values=cache[0],
                use_cache=True,
            )
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            token.tolist()

    expected = prefill().float()
    error = float((ours.prefill(ids).float() - expected).norm() / expected.norm())
    place.add("network", "logits against transformers", error=error)
    graphs = ours.graphs(1)
    pairs: list[tuple[str, Callable[[], object], Callable[[], object], int]] = [
        ("prefill", lambda: ours.prefill(ids), prefill, context),
        ("decoding", partial(ours.decode, 1, context, graphs), decode, place.steps),
    ]
    for name, run, their_run, count in pairs:
        runs = [place.finished(run), place.finished(their_run)]
        mine, other = best_in_turns(runs, _ROUNDS)
        place.add(
            "network",
            f"{name} against transformers",
            tokens_per_s=count / mine,
            theirs=count / other,
            ratio=other / mine,
            bar=_REFERENCE_BAR if name == "decoding" else "none",
        )
    side = 1092 if place.is_cuda else 112
    grid = (1, side // 14, side // 14)
    picture = random_picture(ours.model.config, grid, device=torch.device(place.device))
    grids = torch.tensor([grid], device=place.device)
    runs = [
        place.finished(lambda: ours.model.encode_vision(picture)),
        place.finished(lambda: theirs.model.visual(picture.patches, grid_thw=grids)),
    ]
    mine, other = best_in_turns(runs, _ROUNDS)
    place.add("network", f"vision {side} against transformers", ratio=other / mine)


def _places(start: int, ids: Tensor) -> Tensor:
    """int64[3, 1, T], positions of text."""
    places = torch.arange(start, start + ids.numel(), device=ids.device)
    return places.expand(3, 1, -1)


def _requests(place: Place) -> None:
    """Requests at once through the engine, each with its own prompt; every answer has its full length."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions
    from finesight.processor.processor import Processor

    network = _Network(place, sequences=1, context=1)
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
    context = _PROMPT if place.is_cuda else 40
    plain = _Network(place, sequences=32 if place.is_cuda else 2, context=context)
    formats: tuple[GpuWeights, ...] = ("int4", "fp8", "int8")
    for weights in formats:
        try:
            if place.is_cuda or weights != "fp8":
                check_gpu_weights(weights, torch.device(place.device))
            rounded = _Network(place, sequences=32 if place.is_cuda else 2, context=context)
            quantise_on_gpu(rounded.model, weights)
            for count in (1, 32) if place.is_cuda else (1, 2):
                runs = [
                    place.finished(partial(each.decode, count, context, each.graphs(count)))
                    for each in (rounded, plain)
                ]
                ours, full = best_in_turns(runs, _ROUNDS)
                place.add(
                    "weights",
                    f"{weights}, decoding {count} at once",
                    tokens_per_s=count * place.steps / ours,
                    times_bfloat16=full / ours,
                )
        except Exception as error:  # noqa: BLE001  # a format that fails is a result, and the next one runs
            place.add("weights", weights, skipped=_said(error))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


RUNS: dict[str, Callable[[Place], None]] = {
    "ceilings": _ceilings,
    "operations": _operations,
    "network": _network,
    "requests": _requests,
    "weights": _weights,
}
