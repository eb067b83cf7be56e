# SPDX-License-Identifier: Apache-2.0
"""Loggers of a run besides its `log.jsonl`: TensorBoard and Weights & Biases.

Both write into the run's folder. `wandb_offline` needs no network and no key; its run is uploaded later by
`wandb sync`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from finesight.errors import ConfigError

Logger = Callable[[int, dict[str, float]], None]
"""Called with a step and its values by name."""


def open_loggers(names: Sequence[str], folder: Path, config: dict[str, Any]) -> list[Logger]:
    """Loggers of a recipe.

    Args:
        names: "tensorboard", "wandb" or "wandb_offline".
        folder: folder of the run.
        config: settings of the run, which Weights & Biases shows.

    Raises:
        ConfigError: a library is not installed, or Weights & Biases cannot be reached.
    """
    return [
        _tensorboard(folder) if name == "tensorboard" else _wandb(name, folder, config)
        for name in names
    ]


def _tensorboard(folder: Path) -> Logger:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            f"run.loggers names tensorboard, which cannot be imported: {error}",
            hint='install it: pip install "finesight[loggers]"',
        ) from error
    writer = SummaryWriter(str(folder / "tensorboard"))

    def log(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return log


def _wandb(name: str, folder: Path, config: dict[str, Any]) -> Logger:
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(
            f"run.loggers names {name}, which cannot be imported: {error}",
            hint="install it: pip install wandb",
        ) from error
    try:
        run = wandb.init(
            project="finesight",
            name=folder.name,
            id=folder.name,
            resume="allow",
            dir=str(folder),
            config=config,
            mode="offline" if name == "wandb_offline" else "online",
        )
    except wandb.Error as error:
        raise ConfigError(
            f"Weights & Biases cannot start a run: {error}",
            hint='log in by `wandb login`, or set run.loggers = ["wandb_offline"]',
        ) from error

    def log(step: int, values: dict[str, float]) -> None:
        run.log(values, step=step)

    return log
