# SPDX-License-Identifier: Apache-2.0
"""Estimate tokens, memory and time of a question without loading weights.

The shapes of the releases are part of the package. Their vocabulary is not, so their text tokens are
counted with the embedded model's smaller vocabulary: the estimate is up to twice too large.

Lengths come from the processor's plan, operations and bytes from `model.flops`. Time is the number
of operations over the measured speed: accurate to a factor of two, too rough for comparisons.

Legend: N patches, T prompt tokens, D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from finesight.config.model import ModelConfig, TextConfig
from finesight.config.sizes import named_config
from finesight.conversation import Conversation, ImagePart, MediaRecord
from finesight.doctor.machine import Speed
from finesight.kernels.formats import Format, packed_shape
from finesight.model import flops
from finesight.model.device import available_bytes
from finesight.model.packed import Weights
from finesight.processor.plan import SamplePlan
from finesight.processor.prepare import grid_of_record
from finesight.processor.processor import Processor
from finesight.text.tokenizer import Tokenizer

_TYPICAL_SHARE = 0.7
"""Share of the measured matrix product speed that a forward pass reaches."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens, memory and time of a question.

    Attributes:
        model: name of the model.
        source: origin of its configuration.
        text_is_exact: whether text was counted with the model's vocabulary; visual tokens are always exact.
        device: the device.
        dtype: of the weights.
        weights: format of the language model's packed weights; None if they are not packed.
        parameters: number of parameters.
        media: one record per picture or video.
        budgets: the pixel budget of each item, where one was chosen to make the prompt fit.
        prompt_tokens: length of the prompt.
        visual_tokens: number of visual tokens in the prompt.
        max_new_tokens: longest answer.
        context_tokens: context length of the model (prompt and answer).
        weight_bytes: memory of the weights.
        cache_bytes: memory of the KV cache for prompt and longest answer.
        working_bytes: memory of activations.
        available_bytes: free memory of the device; 0 if unknown.
        vision_seconds: time to encode the media.
        prefill_seconds: time of prefill.
        decode_seconds: time to decode the longest answer.
        flops_per_second: measured speed of matrix products.
        bytes_per_second: measured memory bandwidth.
    """

    model: str
    source: str
    text_is_exact: bool
    device: str
    dtype: str
    weights: Weights | None
    parameters: int
    media: tuple[MediaRecord, ...]
    budgets: tuple[str, ...]
    prompt_tokens: int
    visual_tokens: int
    max_new_tokens: int
    context_tokens: int
    weight_bytes: int
    cache_bytes: int
    working_bytes: int
    available_bytes: int
    vision_seconds: float
    prefill_seconds: float
    decode_seconds: float
    flops_per_second: float
    bytes_per_second: float

    @property
    def memory_bytes(self) -> int:
        """Total memory."""
        return self.weight_bytes + self.cache_bytes + self.working_bytes

    @property
    def seconds(self) -> float:
        """Total time without loading."""
        return self.vision_seconds + self.prefill_seconds + self.decode_seconds

    @property
    def fits_memory(self) -> bool:
        """Whether the device has that much free memory; True if that is unknown."""
        return not self.available_bytes or self.memory_bytes <= self.available_bytes

    @property
    def fits_context(self) -> bool:
        """Whether prompt and longest answer fit into the model's context."""
        return self.prompt_tokens + self.max_new_tokens <= self.context_tokens

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        totals = {
            "memory_bytes": self.memory_bytes,
            "seconds": self.seconds,
            "fits_memory": self.fits_memory,
            "fits_context": self.fits_context,
        }
        return {**asdict(self), **totals}


@dataclass(frozen=True, slots=True)
class Target:
    """Model and device of an estimate.

    Attributes:
        name: of the model.
        source: origin of its configuration.
        text_is_exact: whether the processor has the model's vocabulary.
        processor: of the model, with its configuration.
        device: "cpu", "cuda", ...
        dtype: of the weights; of packed ones, of what is not packed.
        speed: of the device in that dtype.
        weights: format of the language model's packed weights; None if they are not packed.
        file_bytes: size of the file of packed weights; None if they are packed when loaded.
    """

    name: str
    source: str
    text_is_exact: bool
    processor: Processor
    device: str
    dtype: torch.dtype
    speed: Speed
    weights: Weights | None = None
    file_bytes: int | None = None


def release_processor(size: str, vocabulary_folder: Path) -> Processor:
    """A processor with the shape and pixel budgets of a release and the vocabulary of another checkpoint.

    Args:
        size: such as "7b".
        vocabulary_folder: a checkpoint whose tokenizer counts the text.
    """
    tokens = ModelConfig.from_folder(vocabulary_folder).special_tokens
    config = named_config(size, special_tokens=tokens)
    return Processor(Tokenizer.from_folder(vocabulary_folder), config)


def estimate(
    target: Target,
    conversation: Conversation,
    *,
    max_new_tokens: int,
    fit_tokens: int | None = None,
    add_vision_id: bool = False,
) -> Estimate:
    """Estimate one question.

    Args:
        target: model and machine.
        conversation: the question with its media.
        max_new_tokens: longest answer.
        fit_tokens: choose pixel budgets so that the prompt has at most this many tokens.
        add_vision_id: write "Picture 1: " and the like before each medium.

    Raises:
        MediaError: a picture or video cannot be opened.
        ConfigError: even the smallest pictures do not fit into `fit_tokens`.
    """
    processor, config = target.processor, target.processor.model_config
    budgets: tuple[str, ...] = ()
    if fit_tokens is not None:
        fitted = processor.fit_into(conversation, fit_tokens, add_vision_id=add_vision_id)
        budgets = tuple(_budgets(conversation, fitted))
        conversation = fitted
    plan = processor.plan(conversation, add_vision_id=add_vision_id)
    vision, text, size = config.vision, config.text, target.dtype.itemsize
    grids = [grid_of_record(record, vision) for record in plan.media]
    flops_per_second = target.speed.flops_per_second * _TYPICAL_SHARE
    length = plan.num_tokens + max_new_tokens
    weight_bytes, read_bytes = _weight_bytes(target, size)
    step_bytes = read_bytes + flops.cache_bytes(text, length, bytes_per_number=size)
    return Estimate(
        model=target.name,
        source=target.source,
        text_is_exact=target.text_is_exact,
        device=target.device,
        dtype=str(target.dtype).removeprefix("torch."),
        weights=target.weights,
        parameters=flops.vision_parameters(vision) + flops.text_parameters(text),
        media=plan.media,
        budgets=budgets,
        prompt_tokens=plan.num_tokens,
        visual_tokens=plan.visual_tokens,
        max_new_tokens=max_new_tokens,
        context_tokens=config.text.max_position_embeddings,
        weight_bytes=weight_bytes,
        cache_bytes=flops.cache_bytes(text, length, bytes_per_number=size),
        working_bytes=working_bytes(config, plan, size),
        available_bytes=available_bytes(target.device),
        vision_seconds=flops.vision_flops(vision, grids) / flops_per_second,
        prefill_seconds=flops.prefill_flops(text, [plan.num_tokens]) / flops_per_second,
        decode_seconds=max_new_tokens * step_bytes / target.speed.bytes_per_second,
        flops_per_second=target.speed.flops_per_second,
        bytes_per_second=target.speed.bytes_per_second,
    )


def _weight_bytes(target: Target, size: int) -> tuple[int, int]:
    """Memory of all weights, and those of them that each token of an answer reads: layers and output head."""
    config = target.processor.model_config
    text = config.text
    plain = flops.weight_bytes(config, bytes_per_number=size)
    layers = text.num_hidden_layers * flops.layer_parameters(text)
    head = text.vocab_size * text.hidden_size
    if target.weights is None:
        return plain, size * (layers + head)
    shares_embedding = (
        target.weights == "bf16" and target.dtype == torch.bfloat16 and text.tie_word_embeddings
    )
    packed_layers, packed_head = _packed_bytes(text, target.weights)
    replaced = layers + (0 if text.tie_word_embeddings else head)
    added = packed_layers + (0 if shares_embedding else packed_head)
    found = plain - size * replaced + added
    return target.file_bytes or found, packed_layers + packed_head


def _packed_bytes(config: TextConfig, weights: Weights) -> tuple[int, int]:
    """Bytes of the packed matrices of all layers, and of the output head; it, keys and values have at least 8 bits."""
    width, inner = config.hidden_size, config.intermediate_size
    keys = config.num_key_value_heads * config.head_dim
    shapes = [(width, width)] * 2 + [(inner, width)] * 2 + [(width, inner)]
    exact: Format = "int8" if weights == "int4" else weights  # of what 4 bits would cost too much
    layer = sum(_matrix_bytes(rows, columns, weights) for rows, columns in shapes)
    layer += 2 * _matrix_bytes(keys, width, exact)
    head = _matrix_bytes(config.vocab_size, width, exact)
    return config.num_hidden_layers * layer, head


def _matrix_bytes(rows: int, columns: int, name: Format) -> int:
    return math.prod(packed_shape(rows, columns, name)) * (2 if name == "bf16" else 1)


def working_bytes(config: ModelConfig, plan: SamplePlan, size: int) -> int:
    """Peak memory of activations: patches, the largest layer, one row of logits."""
    vision, text = config.vision, config.text
    patches = [record.visual_tokens * vision.merge_area for record in plan.media]
    per_patch = (6 * vision.hidden_size + 3 * vision.intermediate_size) * size
    per_token = (6 * text.hidden_size + 3 * text.intermediate_size) * size
    widest = max(max(patches, default=0) * per_patch, plan.num_tokens * per_token)
    return sum(patches) * vision.patch_values * 4 + widest + 4 * text.vocab_size


def _budgets(before: Conversation, after: Conversation) -> Iterator[str]:
    """The pixel budgets that `fit_into` chose, as one text for each medium."""
    for index, (old, new) in enumerate(zip(before.media(), after.media(), strict=True), 1):
        if old is not new and new.max_pixels is not None:
            kind = "picture" if isinstance(new, ImagePart) else "video"
            yield f"{kind} {index}: min_pixels {new.min_pixels}, max_pixels {new.max_pixels}"
