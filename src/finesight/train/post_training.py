# SPDX-License-Identifier: Apache-2.0
"""Parts of the start of a preference training or a policy optimisation: the trainer of rounds, and the reference."""

from __future__ import annotations

from collections.abc import Sequence

from finesight.errors import ConfigError
from finesight.model.shards import some_of
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.train.base import has_loaded_base, new_model
from finesight.train.initial import check_folder, load_weights
from finesight.train.parallel import Ranks
from finesight.train.policy import Policy
from finesight.train.policy_loop import PolicyTrainer
from finesight.train.recipe import DpoRecipe, GrpoRecipe
from finesight.train.rollouts import RolloutFunctions, Rollouts

__all__ = ["check_reference", "policy_trainer", "reference_model"]


def policy_trainer(
    recipe: GrpoRecipe,
    processor: Processor,
    model: VisionLanguageModel,
    functions: RolloutFunctions,
    ranks: Ranks,
) -> PolicyTrainer:
    """The trainer of a recipe."""
    config = recipe.grpo
    reference = None
    if config.kl and config.reference == "copy":
        reference = reference_model(recipe, processor, model)
    rollouts = Rollouts(recipe.run.folder, config, recipe.data, processor, functions)
    return PolicyTrainer(
        model,
        Policy(config, reference),
        rollouts,
        pack_tokens=recipe.data.pack_tokens,
        optim=recipe.optim,
        schedule=recipe.schedule,
        run=recipe.run,
        saves_frozen=not has_loaded_base(recipe.lora),
        ranks=ranks,
    )


def reference_model(
    recipe: DpoRecipe | GrpoRecipe, processor: Processor, model: VisionLanguageModel
) -> VisionLanguageModel:
    """A frozen copy of the initial decoder of a run, with the vision tower of the trained model.

    Its weights are read anew, so that a resumed run has the reference of its first start. Each of several ranks has a
    whole copy.
    """
    reference = new_model(recipe, processor.model_config).eval()
    reference.requires_grad_(False).to(recipe.run.device)
    if recipe.model.start_from is not None and not has_loaded_base(recipe.lora):
        check_folder("model.start_from", recipe.model.start_from)
        load_weights(reference, recipe.model.start_from, recipe.model.folder, notes=[])
    reference.visual = model.visual
    return reference


def check_reference(
    model: VisionLanguageModel, recipe: DpoRecipe | GrpoRecipe, decoder: Sequence[str]
) -> None:
    """Raise `ConfigError` if weights are trained that the reference model shares.

    Args:
        model: of the run.
        recipe: of the run.
        decoder: names of trained weights of the decoder itself.
    """
    tower = [
        name
        for name, value in model.visual.named_parameters(prefix="visual")
        if value.requires_grad
    ]
    if tower:
        raise ConfigError(
            f"the reference model shares the vision tower, but {some_of(tower)} are trained",
            hint='freeze it: begin the [[optim.group]] rules with match = "model.visual.*", algorithm = "frozen"',
        )
    section = recipe.dpo if isinstance(recipe, DpoRecipe) else recipe.grpo
    is_needed = isinstance(recipe, DpoRecipe) or recipe.grpo.kl > 0
    if is_needed and section.reference == "adapters" and decoder:
        raise ConfigError(
            f"the reference is the model without its adapters, but {some_of(decoder)} are trained",
            hint=f'freeze them, or set {recipe.kind}.reference = "copy"',
        )
