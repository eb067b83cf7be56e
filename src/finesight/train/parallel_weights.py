# SPDX-License-Identifier: Apache-2.0
"""Divide the weights of a model over ranks: tensor parallelism inside matrices, FSDP2 over whole layers.

Units of FSDP2: every decoder layer, every block of the vision tower, the rest of the tower (patch embedding and
merger), and the rest of the model (embedding, final norm, output head). The tower is divided by block and not as one
unit: as one unit its weights and float32 gradients are whole on every rank during the backward pass, 4 GB for the
published tower, and its gathering cannot overlap with computation.

In bfloat16 the layers and blocks compute on gathered bfloat16 copies of their float32 weights, and gradients are summed
in float32. The embedding and the final norm are gathered in float32, so that the residual stream of the decoder has
the precision that it has on one rank.

Tensor parallelism: query, key, value, gate and up projections are divided by column, output and down projections by
row, the embedding and the output head by the vocabulary. Norms and the vision tower, a hundredth of the weights of the
largest model, are whole on each rank of a tensor group.
"""

from __future__ import annotations

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.fsdp import register_fsdp_forward_method as register_forward
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)

from finesight.attention_plan import AttentionPlan
from finesight.batch import MERGE_AREA, PackedBatch, VisionBatch
from finesight.config.model import ModelConfig
from finesight.data.loader import TextOnly
from finesight.errors import ConfigError
from finesight.model.lora import lora_layers
from finesight.model.vl import VisionLanguageModel
from finesight.train.ema import copy_with
from finesight.train.objective import Blank
from finesight.train.parallel import DATA, SHARD, TENSOR, Ranks
from finesight.train.parallel_head import ParallelHead
from finesight.train.parallel_sequence import Ulysses


def divide(model: VisionLanguageModel, ranks: Ranks, precision: torch.dtype) -> None:
    """Divide the weights of a model over the ranks, in place; nothing changes for one process alone.

    Args:
        model: the network with the same float32 weights on all ranks, or without memory: its parts then get some.
        ranks: the ranks.
        precision: dtype of the computation.

    Raises:
        ConfigError: the model has adapters, and parallel.tensor is above 1.
    """
    if ranks.mesh is None:
        return
    if ranks.sequence is not None:
        model.model.divide_rows(Ulysses(ranks.sequence))
    if ranks.sizes.tensor > 1:
        _divide_matrices(model, ranks.mesh[TENSOR])
    _divide_layers(model, ranks, precision)
    if model.device.type == "meta":
        model.to_empty(device=ranks.mesh.device_type)


def _divide_matrices(model: VisionLanguageModel, mesh: DeviceMesh) -> None:
    if lora_layers(model):
        raise ConfigError(
            f"parallel.tensor = {mesh.size()} with adapters: a low-rank matrix cannot be divided like its layer",
            hint="with adapters use parallel.shard, which divides frozen weights, too",
        )
    states = (Replicate(), None, None, None)
    plan: dict[str, ParallelStyle] = {
        "model.embed_tokens": RowwiseParallel(input_layouts=Replicate()),
        "model.layers.*.self_attn": PrepareModuleInput(
            input_layouts=states, desired_input_layouts=states
        ),
        "model.layers.*.self_attn.[qkv]_proj": ColwiseParallel(),
        "model.layers.*.self_attn.o_proj": RowwiseParallel(),
        "model.layers.*.mlp": PrepareModuleInput(
            input_layouts=(Replicate(),), desired_input_layouts=(Replicate(),)
        ),
        "model.layers.*.mlp.gate_proj": ColwiseParallel(),
        "model.layers.*.mlp.up_proj": ColwiseParallel(),
        "model.layers.*.mlp.down_proj": RowwiseParallel(),
    }
    parallelize_module(model, mesh, plan)
    model.lm_head = ParallelHead(model.lm_head, model.model.embed_tokens, mesh)


def _divide_layers(model: VisionLanguageModel, ranks: Ranks, precision: torch.dtype) -> None:
    assert ranks.mesh is not None
    mesh = ranks.mesh[DATA, SHARD] if ranks.sizes.data > 1 else ranks.mesh[SHARD]
    is_half = precision != torch.float32
    half = MixedPrecisionPolicy(
        param_dtype=precision if is_half else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    for layer in (*model.visual.blocks, *model.model.layers):
        fully_shard(layer, mesh=mesh, mp_policy=half)
    fully_shard(model.visual, mesh=mesh, mp_policy=half)
    whole = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    # Between passes the output head reads its weight outside of `forward`, so the last unit stays gathered.
    fully_shard(model, mesh=mesh, mp_policy=whole, reshard_after_forward=False)
    register_forward(model, "encode_vision")  # which may be the first call of a pass
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Losses are divided by the targets of all ranks, so gradients are summed; gloo only has a plain sum.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def blank(config: ModelConfig) -> Blank:
    """What packs without pictures, or without texts to compare, compute in a run of several ranks."""
    plan = AttentionPlan.from_lengths([MERGE_AREA], causal=False)
    first, token = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    vision = VisionBatch(
        patches=torch.zeros(MERGE_AREA, config.vision.patch_values),
        grid_thw=torch.tensor([[1, 2, 2]]),
        position_hw=torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]),
        window_index=first,
        window_restore=first,
        window=plan,
        frame=plan,
    )
    text = PackedBatch.from_tokens(
        token, torch.zeros(3, 1, dtype=torch.int64), AttentionPlan.from_lengths([1], causal=True)
    )
    return Blank(vision, TextOnly(text, token[:0]))


def without_values(model: VisionLanguageModel) -> VisionLanguageModel:
    """A copy of a model without memory for its parameters."""
    named = {name: value.to("meta") for name, value in model.named_parameters()}
    copied = copy_with(model, named)
    assert isinstance(copied, VisionLanguageModel)
    return copied
