# SPDX-License-Identifier: Apache-2.0
"""Ranks of a distributed run: their sizes in the recipe, their groups, and the values that they agree on.

`torchrun --nproc-per-node N -m finesight train RECIPE` starts N ranks. They form a grid with the axes data, shard,
sequence and tensor, the last one varying fastest, so that ranks of a tensor group are neighbours on one machine:

- data: each of these groups has a whole copy of the weights (with `shard` above 1 this is HSDP);
- shard: the weights, gradients and optimizer state are divided (FSDP2);
- sequence: the tokens of one pack are divided (Ulysses); the weights are divided over these ranks, too;
- tensor: every matrix of the decoder is divided (column and row parallel).

Ranks of different data and shard indices read different packs; those of one sequence and tensor group share a pack.
All collectives of a step are called by all ranks in the same order: see `finesight.train.objective.ForwardPass`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from finesight.config.model import ModelConfig
from finesight.config.settings import Settings
from finesight.errors import ConfigError, DataError

DATA, SHARD, TENSOR, SEQUENCE = "data", "shard", "tensor", "sequence"

_HOST_TIMEOUT = timedelta(hours=24)
"""Ranks wait so long for an evaluation by rank 0; a rank that ends is noticed at once by its closed connection."""

_LOST = ("gloo", "connection closed", "connection reset", "broken pipe", "nccl")
"""Parts of messages of torch when a collective fails because another rank has ended."""


class ParallelSection(Settings):
    """Sizes of the grid of ranks; their product is the number of ranks that torchrun starts."""

    data: int = Field(
        1,
        ge=1,
        description="number of whole copies of the weights, each trained on packs of its own",
    )
    shard: int = Field(
        1, ge=1, description="ranks over which weights, gradients and optimizer state are divided"
    )
    tensor: int = Field(
        1, ge=1, description="ranks over which every matrix of the decoder is divided"
    )
    sequence: int = Field(
        1, ge=1, description="ranks over which the tokens of a pack are divided, for long context"
    )

    @property
    def num_ranks(self) -> int:
        """Product of all sizes."""
        return math.prod((self.data, self.shard, self.tensor, self.sequence))


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among the ranks of a run.

    Attributes:
        sizes: sizes of the grid.
        rank: index of this process.
        mesh: grid (data, shard x sequence, tensor) over which the weights are divided; None for one process alone.
        sequence: group of the ranks that divide the tokens of a pack; None if there is one.
        replicas: group of the ranks with the same tensor index, among which gradients are summed.
        host: group for values on the host.
        writers: a second such group, for checkpoints that are written during training.
    """

    sizes: ParallelSection = field(default_factory=ParallelSection)
    rank: int = 0
    mesh: DeviceMesh | None = None
    sequence: dist.ProcessGroup | None = None
    replicas: dist.ProcessGroup | None = None
    host: dist.ProcessGroup | None = None
    writers: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this rank writes logs and files, and scores the model."""
        return self.rank == 0

    @property
    def num_packs(self) -> int:
        """Packs that are computed at a time by all ranks."""
        return self.sizes.data * self.sizes.shard

    @property
    def pack_index(self) -> int:
        """Which of these packs this rank computes."""
        return self.rank // (self.sizes.sequence * self.sizes.tensor)

    @property
    def counts(self) -> bool:
        """Whether this rank is the first of those that share its pack, so that sums over all ranks count it once."""
        return self.rank % (self.sizes.sequence * self.sizes.tensor) == 0

    def sums(self, values: Sequence[float]) -> list[float]:
        """Sum of each value over all ranks, on the host."""
        if self.mesh is None:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.host)
        return tensor.tolist()

    def gathered(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order; any object that can be pickled."""
        if self.mesh is None:
            return [value]
        found: list[Any] = [None] * self.sizes.num_ranks
        dist.all_gather_object(found, value, group=self.host)
        return found

    def wait(self) -> None:
        """Wait for all ranks."""
        self.sums([0.0])

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within the block, a collective that fails because another rank has ended is a `DataError`."""
        try:
            yield
        except RuntimeError as error:
            if self.mesh is None or not any(part in str(error).lower() for part in _LOST):
                raise
            raise DataError(
                f"rank {self.rank} has lost the connection to another rank, which was killed or ended with an error",
                hint="see the messages of the other ranks; the same command resumes from the last checkpoint",
            ) from error


def join(sizes: ParallelSection, device: str) -> Ranks:
    """Join the ranks that torchrun has started, or return one process alone.

    Args:
        sizes: sizes of the recipe.
        device: device of the recipe; with CUDA each rank uses the GPU of its index on its machine.

    Raises:
        ConfigError: the product of the sizes is not the number of ranks.
    """
    if not dist.is_torchelastic_launched():
        _check_product(sizes, 1)
        return Ranks()
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if on_gpu:
        torch.cuda.set_device(dist.get_node_local_rank())
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    _check_product(sizes, dist.get_world_size())
    if sizes.num_ranks == 1:
        return Ranks()
    kind = "cuda" if on_gpu else "cpu"
    groups, tokens = sizes.data * sizes.shard, sizes.sequence
    mesh = init_device_mesh(
        kind,
        (sizes.data, sizes.shard * tokens, sizes.tensor),
        mesh_dim_names=(DATA, SHARD, TENSOR),
    )
    by_pack = init_device_mesh(
        kind, (groups, tokens, sizes.tensor), mesh_dim_names=("pack", SEQUENCE, "place")
    )
    flat = init_device_mesh(
        kind, (groups * tokens, sizes.tensor), mesh_dim_names=("replica", "part")
    )
    return Ranks(
        sizes=sizes,
        rank=dist.get_rank(),
        mesh=mesh,
        sequence=by_pack.get_group(SEQUENCE) if tokens > 1 else None,
        replicas=flat.get_group("replica"),
        host=dist.new_group(backend="gloo", timeout=_HOST_TIMEOUT),
        writers=dist.new_group(backend="gloo", timeout=_HOST_TIMEOUT),
    )


def leave() -> None:
    """Leave the ranks at the end of a run without an error."""
    if dist.is_initialized():
        dist.destroy_process_group()


def check_joined(ranks: Ranks) -> None:
    """Check that a process of several has joined the others: each alone would write to the same folder.

    Raises:
        ConfigError: torchrun has started this process, but its recipe has no [parallel].
    """
    if ranks.mesh is None and dist.is_torchelastic_launched() and not dist.is_initialized():
        raise ConfigError(
            "torchrun has started several processes, but recipes of this kind train in one",
            hint="run `finesight train` without torchrun",
        )


def check_heads(sizes: ParallelSection, config: ModelConfig) -> None:
    """Check that the attention heads, the feed-forward and the vocabulary can be divided.

    Raises:
        ConfigError: a number is no multiple of the ranks.
    """
    text, ranks = config.text, sizes.tensor * sizes.sequence
    for name, number, divisor, keys in (
        ("query heads", text.num_attention_heads, ranks, "parallel.tensor x parallel.sequence"),
        ("key-value heads", text.num_key_value_heads, ranks, "parallel.tensor x parallel.sequence"),
        ("feed-forward columns", text.intermediate_size, sizes.tensor, "parallel.tensor"),
        ("tokens of the vocabulary", text.vocab_size, sizes.tensor, "parallel.tensor"),
    ):
        if number % divisor:
            raise ConfigError(
                f"{keys} = {divisor}, but the model has {number} {name}, which {divisor} does not divide",
                hint="use fewer ranks there, and more for parallel.shard",
            )


def own_part(tensor: Tensor) -> Tensor:
    """The values of a tensor that are on this rank; they share its memory."""
    if type(tensor) in (Tensor, nn.Parameter):
        return tensor  # without loading `torch.distributed.tensor`, which takes seconds
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor, gathered if it is divided; all ranks must call it."""
    if type(tensor) in (Tensor, nn.Parameter):
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def share_of(whole: Tensor, like: Tensor) -> Tensor:
    """The part of a whole tensor that this rank has of `like`, a view."""
    if own_part(like) is like:
        return whole
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    assert isinstance(like, DTensor)
    shape, offset = compute_local_shape_and_global_offset(
        like.shape, like.device_mesh, like.placements
    )
    for axis, (length, start) in enumerate(zip(shape, offset, strict=True)):
        whole = whole.narrow(axis, start if length else 0, length)
    return whole


def divided_like(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor as one that is divided like another of the same shape; others are returned as they are."""
    if own_part(like) is like or own_part(value) is not value or value.shape != like.shape:
        return value
    from torch.distributed.tensor import DTensor

    assert isinstance(like, DTensor)
    return DTensor.from_local(
        share_of(value, like).contiguous(),
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )


def _check_product(sizes: ParallelSection, num_ranks: int) -> None:
    if sizes.num_ranks == num_ranks:
        return
    product = " x ".join(f"{key} {value}" for key, value in sizes.model_dump().items())
    started = f"torchrun started {num_ranks}" if dist.is_torchelastic_launched() else "there is one"
    raise ConfigError(
        f"[parallel] needs {product} = {sizes.num_ranks} ranks, but {started}",
        hint=f"run torchrun --nproc-per-node {sizes.num_ranks} -m finesight train RECIPE, or change the sizes: "
        f"--set parallel.shard={num_ranks}",
    )
