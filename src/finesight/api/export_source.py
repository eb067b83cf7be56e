# SPDX-License-Identifier: Apache-2.0
"""What `finesight export` reads: a checkpoint folder or a name, perhaps with an adapter, or the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from finesight.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from finesight.checkpoints.export.formats import ExportSource

_RUN_RECIPE = "config.toml"
_RUN_CHECKPOINTS = "checkpoints"


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training run."""
    return (folder / _RUN_RECIPE).is_file() and (folder / _RUN_CHECKPOINTS).is_dir()


def source_folder(model: str) -> Path:
    """The checkpoint folder with the small files of a model: of a run, the one that its recipe names.

    Raises:
        FinesightError: there is no such model.
    """
    from finesight.api.checkpoints import find_checkpoint

    if is_run(Path(model)):
        return _model_folder(Path(model))
    return find_checkpoint(model)


def open_source(
    model: str,
    folder: Path,
    *,
    adapter: Path | None,
    is_separate: bool,
    dtype: torch.dtype | None,
) -> ExportSource:
    """Load the network to export.

    Args:
        model: as typed.
        folder: from `source_folder`.
        adapter: folder of an adapter; None if there is none.
        is_separate: whether adapters are left apart from the weights.
        dtype: of the weights; None takes the checkpoint's, of a run bfloat16.

    Raises:
        FinesightError: the model or its adapter cannot be used.
    """
    from finesight.checkpoints.export.formats import ExportSource
    from finesight.checkpoints.export.plain import plain_model

    name = Path(model).name or model
    if is_run(Path(model)):
        if adapter is not None:
            raise ConfigError(
                f"--adapter {adapter}: {model} is the folder of a run, which has its own adapters",
                hint="export the run first, and add the adapter to the result",
            )
        return _from_run(Path(model), folder, name, is_separate=is_separate, dtype=dtype)
    network = plain_model(folder, adapter=None if is_separate else adapter, dtype=dtype)
    return ExportSource(name, folder, network, adapter if is_separate else None)


def _from_run(
    run: Path, folder: Path, name: str, *, is_separate: bool, dtype: torch.dtype | None
) -> ExportSource:
    """The averaged weights of the newest checkpoint of a run."""
    import torch

    from finesight.checkpoints.export.formats import ExportSource
    from finesight.model.lora import merge_lora
    from finesight.train.export import averaged_model, trained_whole

    network = averaged_model(run, folder)
    if not is_separate:
        merge_lora(network)
    for each, parameter in network.named_parameters():
        if not each.endswith(".lora_magnitude_vector"):  # changes of it are small
            parameter.data = parameter.data.to(dtype or torch.bfloat16)
    trained = tuple(trained_whole(run)) if is_separate else ()
    return ExportSource(name, folder, network.eval(), is_run=True, trained=trained)


def _model_folder(run: Path) -> Path:
    """The model folder in the recipe of a run."""
    from finesight.config.load import read_toml

    path = run / _RUN_RECIPE
    section = read_toml(path).get("model")
    folder = section.get("folder") if isinstance(section, dict) else None
    if not isinstance(folder, str):
        raise ConfigError(
            f"{path} has no model.folder", hint="it is the recipe that `finesight train` stored"
        )
    if not (Path(folder) / "config.json").is_file():
        raise ConfigError(
            f"{path}: model.folder {folder} has no config.json",
            hint="run the command in the folder in which the run was started",
        )
    return Path(folder)
