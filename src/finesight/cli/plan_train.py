# SPDX-License-Identifier: Apache-2.0
"""`finesight plan --train RECIPE.toml`: what a training needs, before it starts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from finesight.cli.output import print_json, readable_duration, readable_size

if TYPE_CHECKING:
    import typer

    from finesight.doctor.train_plan import TrainPlan
    from finesight.train.recipe import TrainRecipe

_NOT_COUNTED = (
    "         counted are tensors; not counted are Python and its libraries (250 to 450 MiB in the host's memory",
    "         for each process), ready samples of the data loader, and freed buffers that the allocator keeps",
)

_OWN = ("train", "override", "ranks", "picture_tokens", "as_json", "debug")
"""Options that have a meaning with --train."""


def check_options(context: typer.Context, *, is_training: bool) -> None:
    """Raise `ConfigError` for an option that has no effect with, or without, --train."""
    from finesight.errors import ConfigError

    for parameter in context.command.params:
        name = parameter.name or ""
        found = context.get_parameter_source(name)
        typed = found is not None and found.name in ("COMMANDLINE", "ENVIRONMENT")
        is_own = name in _OWN[:4]
        if name in ("as_json", "debug", "threads") or not typed:
            continue
        if is_training and not is_own:
            raise ConfigError(
                f"{_shown(parameter.opts, name)} has no effect on the plan of a training",
                hint="leave it out; --set changes a value of the recipe",
            )
        if not is_training and is_own:
            raise ConfigError(
                f"{_shown(parameter.opts, name)} has no effect without --train",
                hint="give --train RECIPE.toml",
            )


def _shown(opts: Sequence[str], name: str) -> str:
    return opts[0] if opts and opts[0].startswith("-") else f"{name.upper()}"


def plan_train(
    path: Path,
    overrides: Sequence[str] | None,
    *,
    ranks: int,
    picture_tokens: int | None,
    as_json: bool,
) -> None:
    """Print the plan of a recipe."""
    from finesight.cli.recipe import read
    from finesight.doctor.train_plan import pack_shape, plan_training, planned_config
    from finesight.train.recipe import TrainRecipe

    kinds = cast("Any", TrainRecipe)  # a union, which `type[...]` cannot express
    recipe: TrainRecipe = read(path, kinds, overrides)
    config, source = planned_config(recipe)
    shape = pack_shape(recipe, picture_tokens)
    counts = [2**power for power in range(ranks.bit_length()) if 2**power < ranks] + [ranks]
    plan = plan_training(
        recipe, config, source, shape, speed=_speed(recipe), ranks=dict.fromkeys(counts)
    )
    if as_json:
        print_json(plan.to_dict())
    else:
        sys.stdout.write("".join(line + "\n" for line in plan_lines(plan)))


def _speed(recipe: TrainRecipe) -> float | None:
    """Operations a second of the recipe's device in its precision; None if this machine does not have the device."""
    import torch

    from finesight.doctor.machine import measure_products
    from finesight.errors import ConfigError
    from finesight.model.device import checked_device

    try:
        device = checked_device(recipe.run.device)
    except ConfigError:
        return None
    return measure_products(device, getattr(torch, recipe.run.precision))


def plan_lines(plan: TrainPlan) -> list[str]:
    """The plan as lines of text."""
    shape, step = plan.shape, plan.step
    lines = [f"source   {plan.source}"]
    lines += [f"{'':<20} {'trained':>16} {'of adapters':>14} {'frozen':>16} {'packed':>16}"]
    lines += [
        f"{part.name:<20} {part.trained:>16,} {part.adapters:>14,} {part.frozen:>16,} {part.packed:>16,}"
        for part in plan.parts
    ]
    picture = f"with a picture of {shape.visual_tokens:,} tokens each" if shape.rows else "of text"
    used, other = ("with", "without") if plan.checkpointing else ("without", "with")
    size = readable_size
    lines += [
        f"step     {plan.tokens:,} tokens: {plan.packs} packs of {shape.samples} x {shape.tokens:,} tokens, {picture}",
        f"memory   {size(plan.peak_bytes)} at most, {used} gradient checkpointing:",
        f"         weights {size(plan.weights)}, of them packed {size(plan.packed)}",
        f"         gradients {size(plan.gradients)}, optimizer {size(plan.optimizer)}, averages {size(plan.average)}",
        f"         activations {size(plan.activations(step))}: kept {size(step.saved)}, of them by the vision tower "
        f"{size(step.vision_saved)}",
        f"         {size(plan.peak(plan.other_step))} {other} gradient checkpointing: "
        f"activations {size(plan.activations(plan.other_step))}",
        *_NOT_COUNTED,
    ]
    if plan.reference:
        lines.append(f"         reference {size(plan.reference)}, a frozen copy of the decoder")
    if plan.grid is not None:
        sizes = plan.grid.sizes
        product = " x ".join(f"{name} {number}" for name, number in sizes.items() if number > 1)
        lines.append(
            f"ranks    {plan.grid.ranks} of the recipe ({product}): {size(plan.grid.peak_bytes)} on each, "
            f"{sizes['data'] * sizes['shard'] * plan.tokens:,} tokens a step"
        )
    lines += [
        f"ranks    {each.ranks}: {size(each.peak_bytes)} on each" for each in plan.ranks if each.ranks > 1
    ]  # fmt: skip
    time = f"{plan.flops / 1e12:,.1f} TFLOP a step"
    if plan.seconds:
        time += f": about {readable_duration(plan.seconds)} here, by the speed measured just now"
    else:
        time += "; this machine does not have the recipe's device"
    return [*lines, f"time     {time}"]
