# SPDX-License-Identifier: Apache-2.0
"""Sampling and rewards of recipes of kind grpo: the engine, and the metrics of `finesight eval`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finesight.conversation import Conversation, Reply
    from finesight.errors import FinesightError
    from finesight.model.vl import VisionLanguageModel
    from finesight.sampling import Sampling as AnswerSampling
    from finesight.train.recipe import TrainRecipe
    from finesight.train.rollouts import Sampling


def sampling_of(recipe: TrainRecipe) -> Sampling | None:
    """The engine and the rewards of a recipe; None for a recipe that samples nothing."""
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions
    from finesight.engine.request import Request
    from finesight.evals.rewards import REWARDS
    from finesight.processor.processor import Processor
    from finesight.train.recipe import GrpoRecipe
    from finesight.train.rollouts import Sampling

    if not isinstance(recipe, GrpoRecipe):
        return None
    processor = Processor.from_folder(recipe.model.folder)
    # Without kernels, the engine computes with the layers of the training, adapters included.
    options = EngineOptions(
        max_sequences=recipe.grpo.max_sequences, kernels=False, cuda_graphs=False
    )

    def generate(
        model: VisionLanguageModel, asked: Sequence[tuple[Conversation, AnswerSampling]]
    ) -> list[Reply | FinesightError]:
        """Answer with the weights as they are; caches of an earlier call would be of older weights."""
        was_training = model.training
        engine = Engine(model, processor, options=options)
        try:
            requests = [Request(conversation=one, sampling=how) for one, how in asked]
            found = dict(engine.run(requests))
        finally:
            engine.close()
            model.train(was_training)
        return [found[index] for index in range(len(asked))]

    return Sampling(generate, REWARDS)
