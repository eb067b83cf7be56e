# SPDX-License-Identifier: Apache-2.0
"""Check a model: finite weights, and every layer equal to transformers'.

Each conversation of `cases` is run by both networks. Then all are run together, once in one pack and
once in one KV cache, and compared with the same reference. Differences are relative to the largest
absolute value of the layer (at least 1): trained models have a few values in the thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finesight.batch import EncodedSample, pack
from finesight.doctor.cases import check_conversations
from finesight.doctor.layers import (
    LayerStates,
    aligned,
    our_cached_logits,
    our_states,
    reference_inputs,
    their_states,
)
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest relative difference explained by rounding, for each dtype of the computation."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Comparison of one conversation.

    Attributes:
        name: of the conversation, or how all were run together.
        tokens: number of tokens.
        differences: relative difference of each layer, in the order of computation.
        tolerance: largest relative difference that counts as equal.
    """

    name: str
    tokens: int
    differences: Mapping[str, float]
    tolerance: float

    @property
    def first_difference(self) -> str | None:
        """The first layer whose difference exceeds the tolerance; None if all are equal."""
        wrong = (name for name, value in self.differences.items() if not value <= self.tolerance)
        return next(wrong, None)

    @property
    def largest(self) -> float:
        """Largest relative difference of any layer."""
        return max(self.differences.values())


def broken_weights(network: VisionLanguageModel) -> list[str]:
    """Names of weights that contain NaN or infinity."""
    return [
        name
        for name, parameter in network.named_parameters()
        if not bool(torch.isfinite(parameter).all())
    ]


def compare(
    network: VisionLanguageModel, processor: Processor, reference: Any
) -> Iterator[CaseResult]:
    """Compare our network with the reference, one conversation at a time, then all together.

    Args:
        network: ours, on the CPU.
        processor: from the same checkpoint.
        reference: transformers' model, in the same dtype.
    """
    samples = {name: processor.encode(ask) for name, ask in check_conversations().items()}
    scores: list[Tensor] = []
    for name, sample in samples.items():
        theirs = their_states(reference, sample)
        scores.append(theirs.text["lm_head"])
        yield _compare_one(name, sample, network, reference, theirs)
    yield from _compare_together(list(samples.values()), network, scores)


def _compare_one(
    name: str,
    sample: EncodedSample,
    network: VisionLanguageModel,
    reference: Any,
    theirs: LayerStates,
) -> CaseResult:
    ours = our_states(network, pack([sample]))
    differences = {"position_ids": _position_difference(sample, reference)}
    if ours.vision:
        in_order = aligned(theirs, next(iter(ours.vision.values())))
        for layer, rows in ours.vision.items():
            differences[layer] = _difference(rows, in_order[layer])
    for layer, rows in ours.text.items():
        differences[layer] = _difference(rows, theirs.text[layer])
    ordered = sorted(differences.items(), key=lambda entry: _computing_order(entry[0]))
    return CaseResult(name, sample.input_ids.numel(), dict(ordered), _tolerance(network))


def _compare_together(
    samples: list[EncodedSample], network: VisionLanguageModel, scores: list[Tensor]
) -> Iterator[CaseResult]:
    """Compare all samples in one pack, and in one KV cache, with the reference's separate runs."""
    total = sum(sample.input_ids.numel() for sample in samples)
    together = our_states(network, pack(samples)).text["lm_head"]
    packed = torch.split(together, [len(rows) for rows in scores])
    cached = our_cached_logits(network, samples)
    for name, logits in (("all in one pack", packed), ("side by side in a cache", cached)):
        worst = max(_difference(a, b) for a, b in zip(logits, scores, strict=True))
        yield CaseResult(name, total, {"lm_head": worst}, _tolerance(network))


def _computing_order(layer: str) -> tuple[int, int]:
    """Sort key of a layer in the order of computation."""
    stage, _, index = layer.rpartition(".")
    stages = ("position_ids", "visual.patch_embed", "visual.blocks", "visual.merger")
    order = (*stages, "model.layers", "model.norm", "lm_head")
    return (order.index(stage), int(index)) if index.isdecimal() else (order.index(layer), 0)


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference over the largest absolute value (at least 1); infinite if shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = max(1.0, float(theirs.abs().max()))
    return float((ours.float() - theirs.float()).abs().max()) / scale


@torch.inference_mode()
def _position_difference(sample: EncodedSample, reference: Any) -> float:
    inputs = reference_inputs(sample, reference.model.config)
    wanted = ("input_ids", "mm_token_type_ids", "image_grid_thw", "video_grid_thw")
    given = {name: inputs[name] for name in (*wanted, "second_per_grid_ts") if name in inputs}
    theirs, _ = reference.model.get_rope_index(**given)
    return float((theirs[:, 0] - sample.position_ids).abs().max())


def _tolerance(network: VisionLanguageModel) -> float:
    return TOLERANCE[network.dtype]
