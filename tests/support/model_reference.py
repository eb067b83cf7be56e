# SPDX-License-Identifier: Apache-2.0
"""transformers' Qwen2.5-VL with the weights of one of our models, and the inputs it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from finesight.batch import EncodedSample
from finesight.config.model import ModelConfig
from finesight.model.vl import VisionLanguageModel

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration


def their_config(config: ModelConfig) -> Qwen2_5_VLConfig:
    """Read from the published dictionary, as from a file."""
    from transformers import Qwen2_5_VLConfig  # takes seconds

    return Qwen2_5_VLConfig(**config.to_hf())


def their_name(name: str) -> str:
    """The name a released tensor has inside transformers 5."""
    for ours, theirs in (("visual.", "model.visual."), ("model.", "model.language_model.")):
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def reference_of(model: VisionLanguageModel) -> Qwen2_5_VLForConditionalGeneration:
    """Build the reference from the configuration and copy the weights, name by name."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    reference = Qwen2_5_VLForConditionalGeneration(their_config(model.config)).to(model.dtype)
    state = {their_name(name): tensor for name, tensor in model.state_dict().items()}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}
    return reference.eval()


def media_inputs(samples: Sequence[EncodedSample], dtype: torch.dtype) -> dict[str, Tensor]:
    """Pictures and videos of the samples, as transformers wants them: two lists."""
    inputs: dict[str, Tensor] = {}
    names = {
        "image": ("pixel_values", "image_grid_thw"),
        "video": ("pixel_values_videos", "video_grid_thw"),
    }
    for kind, (patches, grids) in names.items():
        items = [v for sample in samples for v in sample.vision if v.record.kind == kind]
        if items:
            inputs[patches] = torch.cat([item.patches for item in items]).to(dtype)
            inputs[grids] = torch.tensor([item.grid_thw for item in items])
    return inputs


def reference_logits(reference: Any, sample: EncodedSample) -> Tensor:
    """`[L, V]` of one sample."""
    with torch.inference_mode():
        out = reference(
            input_ids=sample.input_ids[None],
            position_ids=sample.position_ids[:, None],
            **media_inputs([sample], reference.dtype),
        )
    return out.logits[0]


def reference_batch_logits(
    reference: Any, samples: Sequence[EncodedSample], *, side: str
) -> list[Tensor]:
    """`[L, V]` of each sample, computed as one batch padded on the given side."""
    longest = max(sample.input_ids.numel() for sample in samples)
    input_ids = torch.zeros(len(samples), longest, dtype=torch.int64)
    mask = torch.zeros_like(input_ids)
    positions = torch.zeros(3, len(samples), longest, dtype=torch.int64)
    places = []
    for row, sample in enumerate(samples):
        length = sample.input_ids.numel()
        place = slice(0, length) if side == "right" else slice(longest - length, longest)
        input_ids[row, place], mask[row, place] = sample.input_ids, 1
        positions[:, row, place] = sample.position_ids
        places.append(place)
    with torch.inference_mode():
        out = reference(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions,
            **media_inputs(samples, reference.dtype),
        )
    return [out.logits[row, place] for row, place in enumerate(places)]
