# SPDX-License-Identifier: Apache-2.0
"""Record the outputs of every layer, of our network and of transformers', under the same names.

The vision blocks of the two networks order patches differently. Rows are aligned by matching the
inputs of the first block, so that the check depends on neither order.

Legend: N patches, M visual tokens, L tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from finesight.attention_plan import AttentionPlan
from finesight.batch import EncodedSample, PackedBatch, pack
from finesight.model.attention import VARLEN_BLOCK_MULTIPLE
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel


@dataclass(frozen=True, slots=True)
class LayerStates:
    """Layer outputs of one run, in the order of computation.

    Attributes:
        vision: float[N, D] after the patch embedding and each block, rows in the run's order.
        text: the visual tokens, then float[L, D] after each decoder layer and the last norm, then
            the logits float[L, V].
    """

    vision: dict[str, Tensor] = field(default_factory=dict)
    text: dict[str, Tensor] = field(default_factory=dict)


@torch.inference_mode()
def our_states(network: VisionLanguageModel, batch: PackedBatch) -> LayerStates:
    """Run our network over a pack."""
    states = LayerStates()
    with _recorded(network.visual.blocks, network.model.layers, states):
        hidden = network(batch, vision_embeds=_visual_tokens(network, batch, states))
    states.text["model.norm"] = hidden
    states.text["lm_head"] = network.logits(hidden)
    return states


def _visual_tokens(
    network: VisionLanguageModel, batch: PackedBatch, states: LayerStates
) -> Tensor | None:
    if batch.vision is None:
        return None
    embeds = network.encode_vision(batch.vision)
    states.text["visual.merger"] = embeds
    return embeds


@torch.inference_mode()
def our_cached_logits(network: VisionLanguageModel, samples: list[EncodedSample]) -> list[Tensor]:
    """Logits of each sample in one shared KV cache, with the last token in a separate step."""
    device, count = network.device, len(samples)
    lengths = [sample.input_ids.numel() - 1 for sample in samples]
    block_size = -(-(max(lengths) + 1) // VARLEN_BLOCK_MULTIPLE) * VARLEN_BLOCK_MULTIPLE
    kv = KVCache(network.config.text, count, block_size, dtype=network.dtype, device=device)
    blocks = [[index] for index in range(count)]
    prompts = replace(
        pack([_cut(sample, 0, -1) for sample in samples]),
        attention=AttentionPlan.paged(lengths, lengths, blocks, block_size),
    )
    first = network.logits(network(prompts.to(device), kv=kv))
    ends = replace(
        pack([_cut(sample, -1, None) for sample in samples]),
        attention=AttentionPlan.paged(
            [1] * count, [length + 1 for length in lengths], blocks, block_size
        ),
    )
    last = network.logits(network(ends.to(device), kv=kv))
    parts = zip(torch.split(first, lengths), torch.split(last, 1), strict=True)
    return [torch.cat(part) for part in parts]


def _cut(sample: EncodedSample, start: int, stop: int | None) -> EncodedSample:
    """A token range of a sample; the media belong to the range from 0 (no sample ends in a picture)."""
    is_start = start == 0
    return EncodedSample(
        input_ids=sample.input_ids[start:stop],
        labels=sample.labels[start:stop],
        position_ids=sample.position_ids[:, start:stop],
        rope_delta=sample.rope_delta,
        visual_index=sample.visual_index if is_start else sample.visual_index[:0],
        vision=sample.vision if is_start else (),
    )


@torch.inference_mode()
def their_states(reference: Any, sample: EncodedSample) -> LayerStates:
    """Run transformers' model over one sample; it computes its own positions."""
    states = LayerStates()
    inner = reference.model
    with _recorded(inner.visual.blocks, inner.language_model.layers, states):
        handles = [
            inner.language_model.norm.register_forward_hook(_keep(states.text, "model.norm")),
            inner.visual.register_forward_hook(_keep_visual_tokens(states.text)),
        ]
        try:
            logits = reference(**reference_inputs(sample, inner.config), use_cache=False).logits
        finally:
            for handle in handles:
                handle.remove()
    states.text["lm_head"] = logits[0]
    return states


def reference_inputs(sample: EncodedSample, config: Any) -> dict[str, Tensor]:
    """Inputs of transformers' model for a sample: pictures and videos separate, no positions."""
    ids = sample.input_ids[None]
    kinds = (ids == config.image_token_id).int() + 2 * (ids == config.video_token_id).int()
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds}
    for kind, suffix, grid_name in (
        ("image", "", "image_grid_thw"),
        ("video", "_videos", "video_grid_thw"),
    ):
        items = [item for item in sample.vision if item.record.kind == kind]
        if items:
            inputs[f"pixel_values{suffix}"] = torch.cat([item.whole_patches() for item in items])
            inputs[grid_name] = torch.tensor([item.grid_thw for item in items])
        if items and kind == "video":
            inputs["second_per_grid_ts"] = torch.tensor(
                [2 / item.record.sample_fps for item in items if item.record.sample_fps]
            )
    return inputs


def aligned(states: LayerStates, entering: Tensor) -> dict[str, Tensor]:
    """Vision states with their rows in the order of another run.

    Args:
        states: the states to reorder.
        entering: float[N, D], the other run's patch embeddings.
    """
    if not states.vision:
        return {}
    own = next(iter(states.vision.values()))
    order = torch.cdist(entering.float(), own.float()).argmin(dim=1)
    return {name: rows[order] for name, rows in states.vision.items()}


@contextmanager
def _recorded(blocks: nn.ModuleList, layers: nn.ModuleList, states: LayerStates) -> Iterator[None]:
    """Record the input of the first vision block and the outputs of all blocks and layers by forward hooks."""
    handles = [
        blocks[0].register_forward_pre_hook(_keep_input(states.vision, "visual.patch_embed"))
    ]
    for prefix, modules, kept in (
        ("visual.blocks", blocks, states.vision),
        ("model.layers", layers, states.text),
    ):
        for index, module in enumerate(modules):
            handles.append(module.register_forward_hook(_keep(kept, f"{prefix}.{index}")))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _keep(kept: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        rows = output[0] if isinstance(output, tuple) else output
        _append(kept, name, rows.reshape(-1, rows.shape[-1]))  # without a batch dimension

    return hook


def _keep_input(kept: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any], None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        _append(kept, name, inputs[0])

    return hook


def _keep_visual_tokens(kept: dict[str, Tensor]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        _append(kept, "visual.merger", output.pooler_output)

    return hook


def _append(kept: dict[str, Tensor], name: str, rows: Tensor) -> None:
    """Append a copy of rows: our layers add in place, and the reference runs its tower twice.

    It runs the tower once for the pictures of a sample and once for its videos.
    """
    kept[name] = torch.cat([kept[name], rows]) if name in kept else rows.clone()
