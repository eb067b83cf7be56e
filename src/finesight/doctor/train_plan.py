# SPDX-License-Identifier: Apache-2.0
"""Estimate parameters, memory and time of a training before it starts; no weights are needed.

Memory is that of tensors: the process with its libraries, ready samples of the data loader and freed buffers that the
allocator keeps are not counted. Weights, gradients, optimizer state and averages are counted from the shapes of the
whole network. Activations come from a step on fake tensors (`finesight.doctor.train_step`). Time is the number of
operations over the measured speed of matrix products: accurate to a factor of two. The estimate is that of next-token
prediction; other losses need more. Of a recipe of kind dpo or grpo, a copied reference model is counted as well, the
sampling of answers is not.

With several ranks, `parallel.shard` and `parallel.sequence` divide everything but packed weights, `parallel.tensor` the
matrices of the decoder, and `parallel.sequence` the activations of the decoder. Activations that `parallel.tensor`
divides are counted whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import isqrt
from typing import Any

import torch
from torch import nn

from finesight.config.model import ModelConfig
from finesight.config.sizes import named_config, released_size
from finesight.doctor.train_step import PackShape, StepMemory, fake_model, step_memory
from finesight.errors import ConfigError
from finesight.kernels.formats import format_of
from finesight.model import flops
from finesight.model.packed_linear import PackedLinear
from finesight.train.optim import GroupRule, assign
from finesight.train.parallel import ParallelSection, check_heads
from finesight.train.pretrain import heads
from finesight.train.recipe import DpoRecipe, GrpoRecipe, TrainRecipe

__all__ = ["Part", "RankMemory", "TrainPlan", "pack_shape", "plan_training", "planned_config"]

_SHARE = 0.5
"""Share of the measured matrix product speed that a training step reaches."""

_USUAL_PICTURE = 1024
"""Visual tokens of a picture unless the recipe has smaller packs."""

_STATES = {"adamw": 2, "muon": 1, "frozen": 0}
"""Values of optimizer state for each trained value."""

_PARTS = {"visual.merger.": "merger", "visual.": "vision", "model.layers.": "language"}
"""Parts of the network by the beginning of names; the rest is embedding, final norm and head."""


@dataclass(frozen=True, slots=True)
class Part:
    """Parameters of a part of the network.

    Attributes:
        name: vision, merger, language, or embedding and head.
        trained: number of trained values, adapters included.
        adapters: number of values of adapters.
        frozen: number of frozen values that are not packed.
        packed: number of packed values.
    """

    name: str
    trained: int = 0
    adapters: int = 0
    frozen: int = 0
    packed: int = 0


@dataclass(frozen=True, slots=True)
class RankMemory:
    """Peak memory of each of a number of ranks, in bytes, and the sizes of their grid by name."""

    ranks: int
    peak_bytes: float
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The estimate; memory in bytes, for one rank unless stated otherwise.

    Attributes:
        source: origin of the model's configuration.
        parts: parameters by part.
        shape: the pack.
        packs: packs of an optimizer step.
        weights: all weights; `packed` of them are packed.
        packed: packed weights.
        gradients: of all trained weights.
        optimizer: optimizer state.
        average: averaged weights.
        step: memory of forward and backward pass as the recipe runs them.
        other_step: the same with gradient checkpointing switched to the other value.
        divided_step: memory of a pack on one of several ranks, without gradients and gathered weights.
        optimizer_step: temporary memory of the optimizer.
        gathered: largest layer that a rank gathers twice, if there are several.
        matrices: bytes of weights, gradients, optimizer state and averages that `parallel.tensor` divides.
        reference: frozen copy of the decoder that answers are compared with, whole on each rank.
        checkpointing: whether the recipe uses gradient checkpointing.
        flops: operations of an optimizer step.
        seconds: time of an optimizer step, 0 if the speed is unknown.
        ranks: peak memory by number of ranks.
        grid: peak memory of the ranks of the recipe; None if it has one.
    """

    source: str
    parts: tuple[Part, ...]
    shape: PackShape
    packs: int
    weights: int
    packed: int
    gradients: int
    optimizer: int
    average: int
    step: StepMemory
    other_step: StepMemory
    divided_step: StepMemory
    optimizer_step: int
    gathered: int
    matrices: int
    reference: int
    checkpointing: bool
    flops: float
    seconds: float
    ranks: tuple[RankMemory, ...] = ()
    grid: RankMemory | None = None

    @property
    def tokens(self) -> int:
        """Tokens of an optimizer step of one rank."""
        return self.packs * self.shape.samples * self.shape.tokens

    def activations(self, step: StepMemory) -> float:
        """Most memory of a step besides the gradients."""
        return max(step.peak - self.gradients, 0.0)

    def peak(self, step: StepMemory, sizes: ParallelSection | None = None) -> float:
        """Most memory of each rank of a grid; of one rank alone without a grid."""
        sizes = sizes or ParallelSection()
        shards = sizes.shard * sizes.sequence
        state = self.weights - self.packed + self.gradients + self.optimizer + self.average
        divided = (self.matrices / sizes.tensor + state - self.matrices) / shards
        working = self.activations(step)
        if sizes.num_ranks > 1:
            decoder = (step.forward - step.vision_saved) / sizes.sequence
            working = max(step.vision, step.vision_saved + decoder)
            working += 2 * self.gathered / sizes.tensor  # its weights, and their gradients
        updating = self.optimizer_step / (shards * sizes.tensor)
        return divided + self.packed + self.reference + max(working, updating)

    def memory_of(self, sizes: ParallelSection) -> RankMemory:
        """Memory of the ranks of a grid."""
        step = self.step if sizes.num_ranks == 1 else self.divided_step
        return RankMemory(sizes.num_ranks, self.peak(step, sizes), sizes.model_dump())

    @property
    def peak_bytes(self) -> float:
        """Most memory of one rank alone."""
        return self.peak(self.step)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        totals = {
            "tokens": self.tokens,
            "activations": self.activations(self.step),
            "other_activations": self.activations(self.other_step),
            "peak_bytes": self.peak_bytes,
            "other_peak_bytes": self.peak(self.other_step),
        }
        return {**asdict(self), **totals}


def planned_config(recipe: TrainRecipe) -> tuple[ModelConfig, str]:
    """The model's configuration and where it is from: its folder, or the name of a release.

    Raises:
        ConfigError: `model.folder` is neither.
    """
    folder = recipe.model.folder
    if (folder / "config.json").is_file():
        return ModelConfig.from_folder(folder), str(folder)
    size = released_size(folder.name)
    if size is None:
        raise ConfigError(
            f"model.folder = {str(folder)!r} has no config.json, and is not named like a release",
            hint="give a model folder, or a name such as Qwen2.5-VL-7B-Instruct, of which no file is read",
        )
    return named_config(size), f"the released shape of {folder.name}, no file of it was read"


def pack_shape(recipe: TrainRecipe, picture_tokens: int | None = None) -> PackShape:
    """A full pack of a recipe: equal samples, each with one picture.

    Args:
        recipe: its data section has the size of packs.
        picture_tokens: visual tokens of a picture; 0 for text alone; None takes 1,024, or three quarters of a pack.

    Raises:
        ConfigError: the picture does not fit into a pack.
    """
    tokens = recipe.data.pack_tokens
    most = tokens if isinstance(recipe, GrpoRecipe) else recipe.data.pack_patches // 4
    if picture_tokens is None:
        picture_tokens = min(_USUAL_PICTURE, most, tokens * 3 // 4)
    if picture_tokens > min(most, tokens - 1):
        raise ConfigError(
            f"a picture of {picture_tokens} tokens does not fit into packs of {tokens} tokens and {4 * most} patches",
            hint="data.pack_tokens and data.pack_patches are the limits; a visual token is four patches",
        )
    if picture_tokens == 0:
        return PackShape(1, tokens, 0, 0)
    rows = isqrt(picture_tokens)
    columns = picture_tokens // rows
    fitting = min(most // (rows * columns), tokens * 3 // 4 // (rows * columns))
    samples = max(fitting, 1)
    return PackShape(samples, tokens // samples, rows, columns)


def plan_training(
    recipe: TrainRecipe,
    config: ModelConfig,
    source: str,
    shape: PackShape,
    *,
    speed: float | None,
    ranks: Iterable[int] = (),
) -> TrainPlan:
    """Estimate a training.

    Args:
        recipe: what is trained, and how.
        config: of the model.
        source: origin of the configuration.
        shape: of a pack.
        speed: operations a second of a matrix product in the precision of the run; None leaves out the time.
        ranks: numbers of ranks to plan for.

    Raises:
        ConfigError: a rule of the optimizer, a target of the adapters or the grid of ranks does not fit the model.
    """
    check_heads(recipe.parallel, config)
    with torch.device("meta"):
        model = fake_model(recipe, config)
        owned: dict[str, nn.Module] = {"model": model}
        if not isinstance(recipe, DpoRecipe | GrpoRecipe):
            owned |= {one.name: one for one in heads(recipe, config.text) if one is not None}
    trained = _trained(nn.ModuleDict(owned), recipe)
    sizes = [value.nbytes for _, value in trained.values()]
    packed = sum(one.nbytes for one in model.buffers())
    grids = [*(ParallelSection(shard=count) for count in ranks), recipe.parallel]
    is_divided = any(grid.num_ranks > 1 for grid in grids)
    step = step_memory(recipe, config, shape)
    operations = recipe.run.accumulate * _step_flops(recipe, config, shape, trained)
    plan = TrainPlan(
        source=source,
        parts=tuple(_parts(model, trained)),
        shape=shape,
        packs=recipe.run.accumulate,
        weights=packed + sum(one.nbytes for one in nn.ModuleDict(owned).parameters()),
        packed=packed,
        gradients=sum(sizes),
        optimizer=sum(_STATES[rule.algorithm] * value.nbytes for rule, value in trained.values()),
        average=sum(sizes),
        step=step,
        other_step=step_memory(_switched(recipe), config, shape),
        divided_step=step_memory(recipe, config, shape, is_divided=True) if is_divided else step,
        # On a GPU torch updates all parameters at once, with a temporary of each.
        optimizer_step=max(sizes) if recipe.run.device == "cpu" else sum(sizes),
        gathered=_largest_layer(model),
        matrices=_matrix_bytes(model, trained),
        reference=_reference_bytes(recipe, model),
        checkpointing=recipe.run.gradient_checkpointing,
        flops=operations,
        seconds=0.0 if speed is None else operations / (speed * _SHARE),
    )
    *found, own = map(plan.memory_of, grids)
    return replace(plan, ranks=tuple(found), grid=own if own.ranks > 1 else None)


def _trained(owned: nn.Module, recipe: TrainRecipe) -> dict[str, tuple[GroupRule, torch.Tensor]]:
    """The parameters that are trained, by name, with their rules."""
    return {
        name: (rule, value)
        for rule, members in assign(owned.named_parameters(), recipe.optim)
        for name, value in members.items()
        if rule.algorithm != "frozen"
    }


def _matrix_bytes(model: nn.Module, trained: Mapping[str, tuple[GroupRule, torch.Tensor]]) -> int:
    """Bytes of the matrices of the decoder with their gradients, optimizer state and averages."""
    total = 0
    for name, value in model.named_parameters():
        if value.ndim == 2 and not name.startswith("visual."):
            found = trained.get(f"model.{name}")
            total += value.nbytes * (1 if found is None else 3 + _STATES[found[0].algorithm])
    return total


def _reference_bytes(recipe: TrainRecipe, model: nn.Module) -> int:
    """Bytes of a frozen copy of the decoder; 0 if the reference is the model without its adapters, or none."""
    if isinstance(recipe, DpoRecipe):
        is_copied = recipe.dpo.reference == "copy"
    else:
        is_copied = (
            isinstance(recipe, GrpoRecipe)
            and recipe.grpo.kl > 0
            and recipe.grpo.reference == "copy"
        )
    if not is_copied:
        return 0
    return sum(
        value.nbytes for name, value in model.named_parameters() if not name.startswith("visual.")
    )


def _switched(recipe: TrainRecipe) -> TrainRecipe:
    """The recipe with gradient checkpointing switched to the other value."""
    is_on = not recipe.run.gradient_checkpointing
    run = recipe.run.model_copy(update={"gradient_checkpointing": is_on})
    return recipe.model_copy(update={"run": run})


def _part_of(name: str) -> str:
    return next(
        (part for start, part in _PARTS.items() if name.startswith(start)), "embedding and head"
    )


def _parts(
    model: nn.Module, trained: Mapping[str, tuple[GroupRule, torch.Tensor]]
) -> Iterable[Part]:
    names = (*dict.fromkeys(_PARTS.values()), "embedding and head")
    counts = {name: {"trained": 0, "adapters": 0, "frozen": 0, "packed": 0} for name in names}
    for name, value in model.named_parameters():
        part = counts[_part_of(name)]
        part["trained" if f"model.{name}" in trained else "frozen"] += value.numel()
        part["adapters"] += value.numel() if ".lora_" in name else 0
    for name, one in model.named_modules():
        if isinstance(one, PackedLinear):
            assert format_of(one.weight)
            bias = 0 if one.bias is None else one.out_features
            counts[_part_of(f"{name}.")]["packed"] += one.in_features * one.out_features + bias
    return [Part(name, **each) for name, each in counts.items()]


def _largest_layer(model: nn.Module) -> int:
    """Bytes of the parameters of the largest block."""
    sizes: dict[str, int] = {}
    for name, value in model.named_parameters():
        block = ".".join(name.split(".")[:3])
        sizes[block] = sizes.get(block, 0) + value.nbytes
    return max(sizes.values())


def _step_flops(
    recipe: TrainRecipe,
    config: ModelConfig,
    shape: PackShape,
    trained: Mapping[str, tuple[GroupRule, torch.Tensor]],
) -> float:
    """Operations of a pack: a pass forward; backward one for the inputs, and one for the weights that are trained.

    The gradient of a part flows if weights in it or before it are trained. Checkpointing adds a pass forward.
    """
    grids = [(1, 2 * shape.rows, 2 * shape.columns)] * (shape.samples if shape.rows else 0)
    again = 1 if recipe.run.gradient_checkpointing else 0
    names = [name.removeprefix("model.") for name in trained]
    is_seen = any(name.startswith("visual.") for name in names)
    flows = {
        "vision": any(_part_of(name) == "vision" for name in names),
        "language": is_seen or any(_part_of(name) != "merger" for name in names),
    }
    whole = {
        "vision": flops.vision_parameters(config.vision),
        "language": config.text.num_hidden_layers * flops.layer_parameters(config.text),
    }
    forward = {
        "vision": flops.vision_flops(config.vision, grids),
        "language": flops.prefill_flops(config.text, [shape.tokens] * shape.samples, logit_rows=0),
    }
    total = 0.0
    for part, operations in forward.items():
        values = sum(
            value.numel()
            for name, (_, value) in trained.items()
            if _part_of(name.removeprefix("model.")) == part
        )
        share = min(values / whole[part], 1.0)
        total += operations * (1 + flows[part] * (1 + share + again))
    targets = shape.samples * (shape.tokens - shape.visual_tokens)
    head = 2.0 * config.text.vocab_size * config.text.hidden_size * targets
    is_head = any(name in ("lm_head.weight", "model.embed_tokens.weight") for name in names)
    return total + head * (2 + is_head)
