# SPDX-License-Identifier: Apache-2.0
"""One training step on fake tensors: the memory of its activations, without weights.

The step runs the code of the training on tensors that have shapes but no values. It runs with few layers; what a layer
adds is the difference between two such runs, so a model of any depth takes less than a second. Nothing about a layer is
written down here, and a change of the model changes the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import init
from torch.overrides import TorchFunctionMode

from finesight.batch import EncodedSample, PackedBatch, VisionInput, pack
from finesight.config.model import ModelConfig
from finesight.conversation import MediaRecord
from finesight.doctor.memory_trace import MemoryTrace
from finesight.geometry import Resize, Size
from finesight.kernels.formats import Format, packed_shape
from finesight.model.head import chunk_rows
from finesight.model.packed_linear import PackedLinear
from finesight.model.rope import text_rotary, vision_rotary
from finesight.model.vl import VisionLanguageModel
from finesight.processor.windows import patch_positions, window_order
from finesight.train.base import adapt, has_loaded_base
from finesight.train.optim import rule_of
from finesight.train.recipe import TrainRecipe

__all__ = [
    "PackShape",
    "StepMemory",
    "fake_model",
    "step_memory",
    "traced_step",
    "without_values",
]

_SHALLOW, _DEEPER = 2, 3
"""Layers of the runs; with fewer, what a single layer needs beside the output head counts as a share of each layer."""

_GATHERED = ("model.layers.", "visual.blocks.")
"""Weights that ranks gather in the precision of the run; see `finesight.train.parallel_weights`."""


@dataclass(frozen=True, slots=True)
class PackShape:
    """The samples of a pack, all of one shape.

    Attributes:
        samples: number of samples.
        tokens: tokens of a sample, its visual tokens included.
        rows: rows of visual tokens of its picture; 0 for text alone.
        columns: columns of visual tokens.
    """

    samples: int
    tokens: int
    rows: int
    columns: int

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of a sample."""
        return self.rows * self.columns

    def batch(self, config: ModelConfig) -> PackedBatch:
        """The pack, without pixels; every token that is not visual is a target."""
        sample = EncodedSample(
            input_ids=torch.zeros(self.tokens, dtype=torch.int64),
            labels=torch.zeros(self.tokens, dtype=torch.int64),
            position_ids=torch.zeros((3, self.tokens), dtype=torch.int64),
            rope_delta=0,
            visual_index=torch.arange(self.visual_tokens),
            vision=(self._picture(config),) if self.rows else (),
        )
        return pack([sample] * self.samples)

    def _picture(self, config: ModelConfig) -> VisionInput:
        grid = (1, 2 * self.rows, 2 * self.columns)
        order, lengths = window_order(grid, config.vision)
        side = config.vision.resize_factor
        size = Size(width=side * self.columns, height=side * self.rows)
        return VisionInput(
            patches=torch.zeros((1, config.vision.patch_values)).expand(4 * self.visual_tokens, -1),
            grid_thw=grid,
            position_hw=patch_positions(grid),
            window_order=order,
            window_lengths=lengths,
            position_seconds=(),
            record=MediaRecord(
                kind="image",
                source="planned",
                resize=Resize(original=size, resized=size),
                visual_tokens=self.visual_tokens,
            ),
        )


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes of a step besides weights, optimizer state and averages; gradients are included as they appear.

    Attributes:
        vision: most bytes while the vision tower runs forward.
        vision_saved: bytes that the tower keeps.
        forward: most bytes until the loss is known.
        saved: bytes that are kept for the backward pass.
        backward: most bytes until the gradient leaves the decoder.
        vision_backward: most bytes after that.
    """

    vision: float
    vision_saved: float
    forward: float
    saved: float
    backward: float
    vision_backward: float

    @property
    def peak(self) -> float:
        """The most of all."""
        return max(self.vision, self.forward, self.backward, self.vision_backward)

    def plus(self, layers: int, other: StepMemory) -> StepMemory:
        """This plus a number of times another."""
        values = (
            getattr(self, each.name) + layers * getattr(other, each.name) for each in fields(self)
        )
        return StepMemory(*values)


class _NoInit(TorchFunctionMode):
    """Skip random initialisation, which would take most of the time."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (init.kaiming_uniform_, init.normal_, init.uniform_):
            return None
        return func(*args, **(kwargs or {}))


def without_values() -> FakeTensorMode:
    """Within its block, new tensors have no values."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def fake_model(
    recipe: TrainRecipe, config: ModelConfig, *, is_divided: bool = False
) -> VisionLanguageModel:
    """The network of a recipe as `finesight.train.base.new_model` makes it.

    Call it within `without_values`, or on the device "meta"; its values are not initialised.

    Args:
        recipe: of the training.
        config: of the model.
        is_divided: whether layers have weights in the precision of the run, as ranks gather them.

    Raises:
        ConfigError: a target of the adapters matches no layer.
    """
    lora, dtype = recipe.lora, torch.float32
    with _NoInit():
        model = VisionLanguageModel(config)
        if lora is not None and has_loaded_base(lora):
            dtype = getattr(torch, recipe.run.precision)
            if lora.base in ("int8", "int4"):
                _pack(model.model, "int4" if lora.base == "int4" else "int8")
        if lora is not None:
            adapt(model, lora)
    for name, parameter in list(model.named_parameters()):
        rule = rule_of(f"model.{name}", parameter, recipe.optim)
        is_trained = rule is not None and rule.algorithm != "frozen"
        parent, _, own = name.rpartition(".")
        kept = torch.float32 if is_trained else dtype
        if is_divided and name.startswith(_GATHERED):
            kept = getattr(torch, recipe.run.precision)
        values = torch.empty(parameter.shape, dtype=kept)
        setattr(model.get_submodule(parent), own, nn.Parameter(values, requires_grad=is_trained))
    model.set_gradient_checkpointing(recipe.run.gradient_checkpointing)
    return model.train()


def _pack(module: nn.Module, name: Format) -> None:
    """Replace linear layers by packed ones; keys and values have at least 8 bits, as `finesight.model.packed` does."""
    for path, linear in list(module.named_modules()):
        if not isinstance(linear, nn.Linear):
            continue
        parent, _, own = path.rpartition(".")
        kind: Format = "int8" if own in ("k_proj", "v_proj") else name
        shape = packed_shape(linear.out_features, linear.in_features, kind)
        packed = PackedLinear(
            torch.empty(shape, dtype=torch.uint8),
            linear.bias,
            in_features=linear.in_features,
            out_features=linear.out_features,
        )
        setattr(module.get_submodule(parent), own, packed)


def step_memory(
    recipe: TrainRecipe, config: ModelConfig, shape: PackShape, *, is_divided: bool = False
) -> StepMemory:
    """Memory of the step of a recipe on a pack of this shape.

    Args:
        recipe: the recipe.
        config: of the whole model.
        shape: of the pack.
        is_divided: whether the weights are divided over ranks: then no copies of them in the precision of the run are
            kept, and the step is that of a first pack.
    """
    batch = shape.batch(config)

    def traced(layers: int, depth: int, *, sees: bool = True) -> StepMemory:
        few_layers = _shallow(config, layers, depth)
        return _traced(recipe, few_layers, batch, sees=sees, is_divided=is_divided)

    few = traced(_SHALLOW, _SHALLOW)
    text = traced(_DEEPER, _SHALLOW, sees=False)
    before = traced(_SHALLOW, _SHALLOW, sees=False)
    missing = config.text.num_hidden_layers - _SHALLOW
    total = few.plus(missing, text).plus(-missing, before)
    if _trains_tower(recipe, config):  # else its blocks keep nothing
        deeper = traced(_SHALLOW, _DEEPER)
        missing = config.vision.depth - _SHALLOW
        total = total.plus(missing, deeper).plus(-missing, few)
    return total


def _trains_tower(recipe: TrainRecipe, config: ModelConfig) -> bool:
    """Whether blocks of the vision tower keep activations: they, or the patch embedding before them, are trained."""
    with torch.device("meta"):
        model = fake_model(recipe, _shallow(config, _SHALLOW, _SHALLOW))
    parts = (model.visual.patch_embed, model.visual.blocks)
    return any(one.requires_grad for part in parts for one in part.parameters())


def _shallow(config: ModelConfig, layers: int, depth: int) -> ModelConfig:
    """With few layers; the second of the tower has full attention, the others a window."""
    text = config.text.model_copy(update={"num_hidden_layers": layers})
    vision = config.vision.model_copy(update={"depth": depth, "full_attention_layers": (1,)})
    return config.model_copy(update={"text": text, "vision": vision})


def _traced(
    recipe: TrainRecipe, config: ModelConfig, batch: PackedBatch, *, sees: bool, is_divided: bool
) -> StepMemory:
    """The step of a shallow model; without `sees`, visual tokens are given, and one chunk of targets has a loss."""
    # The constants of both are kept for later calls, so they need values.
    text_rotary(batch.position_ids[:, :1], config.text)
    vision_rotary(torch.zeros((1, 2), dtype=torch.int64), config.vision)
    with without_values() as mode:
        if batch.vision is not None:  # else a view of the patches would count as a copy
            patches = mode.from_tensor(batch.vision.patches)
            batch = replace(batch, vision=replace(batch.vision, patches=patches))
        model = fake_model(recipe, config, is_divided=is_divided)
        dtype = getattr(torch, recipe.run.precision)
        packs = 1 if is_divided else min(recipe.run.accumulate, 2)
        for _ in range(packs):  # in a second pack the gradients are there from the beginning
            found = traced_step(model, batch, dtype, sees=sees)
    return found


def traced_step(
    model: VisionLanguageModel, batch: PackedBatch, dtype: torch.dtype, *, sees: bool = True
) -> StepMemory:
    """Run a pack forward and backward, and measure.

    Args:
        model: with values or without.
        batch: the pack.
        dtype: of autocast; float32 uses none.
        sees: whether the vision tower runs; otherwise visual tokens without values are given.
    """
    num_targets = batch.labels.numel() - batch.visual_index.numel()
    if not sees:
        num_targets = min(num_targets, chunk_rows(model.config.text.vocab_size))
    held = sum(one.grad.nbytes for one in model.parameters() if one.grad is not None)
    trace, after_decoder = MemoryTrace(), list[float]()

    def leaves_decoder(_: Tensor) -> None:
        after_decoder.append(trace.restart())

    rows = torch.arange(num_targets)
    with trace, torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        visual = None
        if batch.vision is not None and sees:
            visual = model.encode_vision(batch.vision)
        elif batch.vision is not None:
            flows = any(one.requires_grad for one in model.visual.parameters())
            width = model.config.text.hidden_size
            visual = torch.empty(batch.visual_index.numel(), width, requires_grad=flows)
        vision_saved, vision = trace.live, trace.restart()
        hidden = model(batch, vision_embeds=visual)
        loss, _, _ = model.lm_head.loss(hidden[rows], batch.labels[rows])
        saved, forward = trace.live, trace.restart()
    del hidden
    if visual is not None and visual.requires_grad:
        visual.register_hook(leaves_decoder)
    del visual
    with trace:
        if loss.requires_grad:
            loss.backward()
    last = trace.restart()
    backward = after_decoder[0] if after_decoder else last
    vision_backward = last if after_decoder else 0.0
    return StepMemory(
        *(held + each for each in (vision, vision_saved, forward, saved, backward, vision_backward))
    )
