# SPDX-License-Identifier: Apache-2.0
"""The network on a GPU: decoding, prefill and vision against the ceilings of the device and against transformers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.comparison import best_in_turns
from benchmarks.gpu import Place, shape_of
from benchmarks.network import random_picture
from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.engine.cuda_graphs import Capture, CudaCapture, StepGraphs
from finesight.errors import ConfigError
from finesight.model import flops
from finesight.model.cache import KVCache
from finesight.model.fused import use_kernels
from finesight.model.fused_gpu import GpuDecoder
from finesight.model.vl import VisionLanguageModel

BLOCK = 256
ROUNDS = 3

PROMPT = 1777
"""Tokens of a prompt with a picture of 1,092 pixels a side."""

_REFERENCE_BAR, _BANDWIDTH_BAR, _VISION_BAR = 5.0, 0.70, 0.50


def capture(place: Place) -> Capture:
    """Graphs on CUDA; elsewhere the function itself."""
    if place.is_cuda:
        return CudaCapture(torch.device(place.device))

    def repeat(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        result = run()

        def replay() -> None:
            result.copy_(run())

        return replay, result

    return repeat


class Network:
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
        width = -(-(context + 2 * place.steps) // BLOCK)
        self.blocks = [[row * width + i for i in range(width)] for row in range(sequences)]
        self.kv = KVCache(
            config.text,
            sequences * width + 1,
            BLOCK,
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
        return StepGraphs(self.model, self.kv, sequences, capture(self.place))

    @torch.inference_mode()
    def decode(self, sequences: int, context: int, graphs: StepGraphs | None) -> None:
        """Steps of greedy decoding; each token is read back, as an engine does."""
        tokens = [7] * sequences
        for step in range(self.place.steps):
            plan = AttentionPlan.paged(
                [1] * sequences,
                [context + step + 1] * sequences,
                self.blocks[:sequences],
                BLOCK,
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
        plan = AttentionPlan.paged([count], [count], self.blocks[:1], BLOCK)
        positions = torch.arange(count).expand(3, -1)
        batch = PackedBatch.from_tokens(ids.cpu(), positions, plan).to(self.place.device)
        logits: Tensor = self.model.logits(self.model(batch, kv=self.kv)[-1:])
        return logits


def measure_network(place: Place) -> None:
    """The part `network`: ours first, since transformers may be missing or fail."""
    sequences, context = (64, PROMPT) if place.is_cuda else (2, 40)
    ours = Network(place, sequences=sequences, context=context)
    _decoding(place, ours, context, (1, 8, 64) if place.is_cuda else (1, 2))
    _vision(place, ours)
    theirs = _reference(place, ours.model)
    if theirs is not None:
        _against_reference(place, ours, theirs, context)


def _decoding(place: Place, ours: Network, context: int, counts: tuple[int, ...]) -> None:
    bandwidth, rate = place.ceilings()
    for count in counts:
        graphs = ours.graphs(count)
        runs = [
            place.finished(partial(ours.decode, count, context, each)) for each in (graphs, None)
        ]
        graphed, eager = (seconds / place.steps for seconds in best_in_turns(runs, ROUNDS))
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
    (seconds,) = best_in_turns([place.finished(lambda: ours.prefill(ids))], ROUNDS)
    operations = flops.prefill_flops(ours.text, [context])
    place.add(
        "network",
        f"prefill of {context}",
        tokens_per_s=context / seconds,
        share_of_peak=operations / seconds / rate,
    )


@torch.inference_mode()
def _vision(place: Place, ours: Network) -> None:
    _, rate = place.ceilings()
    for side in (448, 1092) if place.is_cuda else (112,):
        grid = (1, side // 14, side // 14)
        picture = random_picture(ours.model.config, grid, device=torch.device(place.device))
        run = place.finished(partial(ours.model.encode_vision, picture))
        (seconds,) = best_in_turns([run], ROUNDS)
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
        place.add("network", "transformers", skipped=said(error))
        return None
    return theirs.eval()


@torch.inference_mode()
def _against_reference(place: Place, ours: Network, theirs: Any, context: int) -> None:
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
        mine, other = best_in_turns(runs, ROUNDS)
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
    mine, other = best_in_turns(runs, ROUNDS)
    place.add("network", f"vision {side} against transformers", ratio=other / mine)


def _places(start: int, ids: Tensor) -> Tensor:
    """int64[3, 1, T], positions of text."""
    places = torch.arange(start, start + ids.numel(), device=ids.device)
    return places.expand(3, 1, -1)


def said(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
