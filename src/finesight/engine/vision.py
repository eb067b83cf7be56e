# SPDX-License-Identifier: Apache-2.0
"""Visual tokens of one picture or video, computed chunk by chunk.

A chunk is a number of whole frame pairs. The vision tower does not mix frame pairs, so the result is that of the whole
item, and memory is that of one chunk and of the visual tokens.

Legend: M visual tokens, D decoder width.
"""

from __future__ import annotations

from torch import Tensor

from finesight.batch import VisionInput, pack_vision
from finesight.model.vl import VisionLanguageModel

MAX_PATCHES = 2**13
"""Patches of a chunk: 2,048 visual tokens, enough to fill the cores of a machine."""


def visual_tokens(model: VisionLanguageModel, item: VisionInput) -> Tensor:
    """Encode one item.

    Returns:
        `[M, D]`, on the device of the model.

    Raises:
        MediaError: a frame of a streamed video cannot be decoded.
    """
    found: Tensor | None = None
    filled = 0
    for chunk in item.chunks(MAX_PATCHES):
        part = model.encode_vision(pack_vision([chunk]).to(model.device))
        if chunk.num_visual_tokens == item.num_visual_tokens:
            return part
        if (
            found is None
        ):  # filled in place: joining the parts afterwards would need the memory twice
            found = part.new_empty(item.num_visual_tokens, part.shape[1])
        found[filled : filled + part.shape[0]] = part
        filled += part.shape[0]
    assert found is not None
    return found
