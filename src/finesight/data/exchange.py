# SPDX-License-Identifier: Apache-2.0
"""Exchange of small objects between ranks, for decisions that all of them make alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from finesight.errors import ConfigError

Exchange = Callable[[Any], list[Any]]
"""Takes this rank's object and returns those of all ranks, in order of rank; all ranks call it equally often."""


def gather_for(rank: int, num_ranks: int) -> Exchange:
    """The exchange between ranks that read different data.

    It has a process group of its own on the host, so it does not mix with the collectives of the model. Processes that
    read the same data, as with tensor parallelism, have the same `rank`.

    Raises:
        ConfigError: there are several ranks, but torch.distributed is not initialised.
    """
    if num_ranks == 1:
        return lambda value: [value]
    if not dist.is_initialized():
        raise ConfigError(
            f"rank {rank} of {num_ranks} cannot reach the others: torch.distributed is not initialised",
            hint="start the ranks with torchrun",
        )
    group = dist.new_group(backend="gloo")
    world = dist.get_world_size()

    def gather(value: Any) -> list[Any]:
        found: list[Any] = [None] * world
        dist.all_gather_object(found, (rank, value), group=group)
        by_rank = dict(found)
        return [by_rank[one] for one in range(num_ranks)]

    return gather
