# SPDX-License-Identifier: Apache-2.0
"""States of torch's random generators, stored in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_GPU = ".cuda"


def current(rank: int) -> dict[str, Tensor]:
    """uint8 states of the generators of this rank, by name."""
    found = {str(rank): torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found[f"{rank}{_GPU}"] = torch.cuda.get_rng_state()
    return found


def restore(states: Mapping[str, Tensor], rank: int, step: int) -> None:
    """Restore the generators of this rank.

    A rank that the stored run did not have starts with a seed of its own. Without any state, as in checkpoints of
    earlier versions, nothing changes.
    """
    if not states:
        return
    if str(rank) not in states:
        torch.manual_seed((step << 20) + rank)
        return
    torch.set_rng_state(states[str(rank)])
    if f"{rank}{_GPU}" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[f"{rank}{_GPU}"])
