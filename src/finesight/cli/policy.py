# SPDX-License-Identifier: Apache-2.0
"""Sampling and rewards of recipes of kind grpo: the engine, and the metrics of `finesight eval`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finesight.conversation import Conversation, Reply
    from finesight.engine.options import EngineOptions
    from finesight.errors import FinesightError
    from finesight.model.vl import VisionLanguageModel
    from finesight.processor.processor import Processor
    from finesight.sampling import Sampling
    from finesight.train.recipe import TrainRecipe
    from finesight.train.rollouts import RolloutFunctions


def rollout_functions(recipe: TrainRecipe) -> RolloutFunctions | None:
    """The engine and the rewards of a recipe; None for a recipe that samples nothing."""
    from finesight.train.recipe import GrpoRecipe

    if not isinstance(recipe, GrpoRecipe):
        return None
    from finesight.engine.options import EngineOptions
    from finesight.evals.rewards import REWARDS
    from finesight.processor.processor import Processor
    from finesight.train.rollouts import RolloutFunctions

    processor = Processor.from_folder(recipe.model.folder)
    # Without kernels, the engine computes with the layers of the training, adapters included.
    options = EngineOptions(
        max_sequences=recipe.grpo.max_sequences, kernels=False, cuda_graphs=False
    )
    return RolloutFunctions(
        generate=lambda model, asked: _answers(model, asked, processor, options), rewards=REWARDS
    )


def _answers(
    model: VisionLanguageModel,
    asked: Sequence[tuple[Conversation, Sampling]],
    processor: Processor,
    options: EngineOptions,
) -> list[Reply | FinesightError]:
    """Answer with the weights as they are, without a copy; caches of an earlier engine would be of older weights."""
    from finesight.engine.engine import Engine
    from finesight.engine.request import Request

    was_training = model.training
    engine = Engine(model, processor, options=options)
    try:
        found = dict(engine.run(Request(conversation=one, sampling=how) for one, how in asked))
    finally:
        engine.close()
        model.train(was_training)
    return [found[index] for index in range(len(asked))]
