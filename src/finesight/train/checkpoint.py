# SPDX-License-Identifier: Apache-2.0
"""Atomic checkpoints.

A checkpoint is a folder that is written under a temporary name and renamed when complete; a run resumes from the
newest. Tensors are stored as safetensors, other state as JSON: nothing is pickled.

::

    runs/<name>/checkpoints/step_00001200/
        train.safetensors      weights, averages of those that are trained, optimizer state, temporary heads
        state.json             step, position in the data, counts
    runs/<name>/best.safetensors   see `finesight.train.early_stop`
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finesight import files
from finesight.errors import DataError

_TENSORS = "train.safetensors"
_STATE = "state.json"
BEST_FILE = "best.safetensors"
"""Trained weights with the lowest held-back loss, in the folder of a run; see `finesight.train.early_stop`."""
_NAME = re.compile(r"^step_(\d{8})$")


@dataclass(frozen=True, slots=True)
class TrainState:
    """State of a run besides its tensors.

    Attributes:
        step: optimizer steps done.
        cursor: position in the data, of the last pack.
        samples: samples trained on.
        average_updates: updates of the averaged weights.
        seconds: training time.
    """

    step: int
    cursor: Mapping[str, Any]
    samples: int
    average_updates: int
    seconds: float


def save_checkpoint(
    folder: Path, state: TrainState, parts: Mapping[str, Mapping[str, Tensor]], *, keep: int
) -> Path:
    """Write a checkpoint, and delete the oldest.

    Args:
        folder: folder of the run's checkpoints.
        state: state of the run.
        parts: named groups of tensors, as in `{"model": {...}, "optimizer": {...}}`.
        keep: number of newest checkpoints to keep.

    Returns:
        The folder of the checkpoint.

    Raises:
        DataError: it cannot be written; earlier checkpoints are kept.
    """
    final = folder / f"step_{state.step:08d}"
    for unfinished in folder.glob(".step_*"):  # of a run that was killed while writing
        shutil.rmtree(unfinished)
    tensors = {
        f"{part}/{name}": value.detach().contiguous()
        for part, group in parts.items()
        for name, value in group.items()
    }
    try:
        with files.whole_folder(final, error=None, sync=True) as writing:
            save_file(tensors, writing / _TENSORS)
            (writing / _STATE).write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"checkpoint {final} cannot be written: {error}",
            hint="free disk space, then run the same command: it resumes from the last checkpoint",
        ) from error
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def load_checkpoint(folder: Path) -> tuple[TrainState, dict[str, dict[str, Tensor]]]:
    """Read one checkpoint folder.

    Raises:
        DataError: a file is missing, truncated or malformed.
    """
    try:
        state = TrainState(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
        tensors = load_file(folder / _TENSORS)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise DataError(
            f"checkpoint {folder} cannot be read: {error}",
            hint="delete this folder to resume from the checkpoint before it",
        ) from error
    parts: dict[str, dict[str, Tensor]] = {}
    for full_name, value in tensors.items():
        part, _, name = full_name.partition("/")
        parts.setdefault(part, {})[name] = value
    return state, parts


def averaged_weights(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """All weights of a checkpoint: the averages of those that were trained, and the frozen ones.

    Earlier versions named the weights otherwise, and stored averages of all.
    """
    return {**parts.get("weights", {}), **parts["average"]}


def load_fitting(module: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load weights into a module with the same names and shapes.

    Raises:
        DataError: names or shapes differ; the message contains `source`.
    """
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"the weights of {source} do not fit the model of this recipe: {reason}",
            hint="resume a run with its own model, and start a new one from weights of the same model size",
        ) from error


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints of a run, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name))


def newest(run_folder: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors of the newest checkpoint of a run.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    saved = checkpoints(run_folder / "checkpoints")
    if not saved:
        raise DataError(
            f"run {run_folder} has no finished checkpoint",
            hint="give the folder of a run, its run.folder",
        )
    return load_checkpoint(saved[-1])[1]


def final_weights(run_folder: Path) -> dict[str, Tensor]:
    """The weights a run is exported with: those of its newest checkpoint, averaged, or its best ones if it kept them.

    Raises:
        DataError: there is no checkpoint, or a file cannot be read.
    """
    weights = averaged_weights(newest(run_folder))
    best = run_folder / BEST_FILE
    if not best.is_file():
        return weights
    try:
        return {**weights, **load_file(best)}
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{best} cannot be read: {error}",
            hint="delete it to use the weights of the newest checkpoint",
        ) from error
