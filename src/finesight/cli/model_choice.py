# SPDX-License-Identifier: Apache-2.0
"""Options that choose a model and how it is loaded, and a model that is opened with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli import options
from finesight.cli.imports import import_torch
from finesight.cli.progress import StageProgress

if TYPE_CHECKING:
    from finesight.api.model import Model
    from finesight.engine.options import EngineOptions
    from finesight.engine.request import OnStage


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model and how it is loaded: options of commands that do not guess tokens.

    Attributes:
        draft_tokens: see `DraftingModel`.
    """

    name: options.ModelName = options.DEFAULT_MODEL
    mmproj: options.Mmproj = None
    adapters: options.Adapters = None
    device: options.Device = "auto"
    dtype: options.Dtype = None
    weights: options.Weights = None
    vision_weights: options.VisionWeights = None
    draft_tokens: int = 0

    def folder(self) -> Path:
        """The folder of the checkpoint; raises `ConfigError` or `WeightsError` if there is none."""
        from finesight.api.checkpoints import find_checkpoint

        return find_checkpoint(self.name, mmproj=self.mmproj)

    def open(self, folder: Path, engine: EngineOptions, on_stage: OnStage) -> Model:
        """The model of this folder; its weights are loaded at their first use.

        Raises:
            ConfigError: an option is wrong.
        """
        from finesight.api.adapters import adapter_folders
        from finesight.api.model import open_model

        return open_model(
            self.name,
            folder,
            device=self.device,
            dtype=self.dtype,
            weights=self.weights,
            adapters=adapter_folders(self.adapters),
            vision_weights=self.vision_weights,
            engine=engine,
            on_stage=on_stage,
        )

    def opened(self, concurrency: int = 1, *, deterministic: bool = False) -> Model:
        """A model for `concurrency` questions at once, which shows progress while its weights are loaded."""
        import_torch()
        from finesight.engine.options import EngineOptions

        progress = StageProgress()

        def on_stage(stage: str, done: int, total: int) -> None:
            if stage == "load":  # later stages are those of single questions
                progress(stage, done, total)
                if done == total:
                    progress.close()

        engine = EngineOptions(
            max_sequences=concurrency,
            max_step_tokens=max(2048, concurrency),
            draft_tokens=self.draft_tokens,
            deterministic=deterministic,
        )
        return self.open(self.folder(), engine, on_stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftingModel(ModelChoice):
    """A model that may guess tokens from the prompt and check them."""

    draft_tokens: options.DraftTokens = 0
