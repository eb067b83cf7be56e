# SPDX-License-Identifier: Apache-2.0
"""Element-wise operations in chunks of rows that fit a CPU's cache.

On a CPU, allocating one float32 temporary for a large picture costs more time than the arithmetic, so inference
runs element-wise operations chunk by chunk. Training and GPUs use whole tensors: there a chunk would only add calls.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_CHUNK_ELEMENTS = 262_144
"""Elements per chunk: 1 MiB in float32, half of an L2 cache with its result."""


def in_chunks(
    compute: Callable[..., Tensor], num_rows: int, first: Tensor, *others: Tensor
) -> Tensor:
    """`compute(first, *others)`, chunk by chunk on a CPU without gradients, at once otherwise.

    Args:
        compute: independent per row; its result has the shape and dtype of `first`.
        num_rows: rows of a chunk.
        first: `[N, ...]`.
        others: `[N, ...]` each, split like `first`.
    """
    rows = first.shape[0]
    if rows <= num_rows or first.device.type != "cpu" or torch.is_grad_enabled():
        return compute(first, *others)
    out = torch.empty(first.shape, dtype=first.dtype)
    for start in range(0, rows, num_rows):
        stop = min(start + num_rows, rows)
        out[start:stop] = compute(first[start:stop], *(other[start:stop] for other in others))
    return out


def chunk_rows(states: Tensor) -> int:
    """Rows of an element-wise chunk of `states`."""
    return max(1, _CHUNK_ELEMENTS * states.shape[0] // max(states.numel(), 1))


def add_(states: Tensor, update: Tensor) -> Tensor:
    """`states + update`, in place where no gradient is recorded.

    The caller must own `states`: nothing else may read it afterwards.
    """
    if torch.is_grad_enabled():
        return states + update
    return states.add_(update)
