# SPDX-License-Identifier: Apache-2.0
"""Atomic checkpoints, which are written while the training goes on.

A checkpoint is a folder that is written under a temporary name and renamed when complete; a run resumes from the
newest. Tensors are stored as safetensors, other state as JSON: nothing is pickled. A save first copies all tensors to
the host; a thread then writes the copies.

::

    runs/<name>/checkpoints/step_00001200/
        train.safetensors      weights, averages of those that are trained, optimizer state, temporary heads, state of
                               random generators; in a run of several ranks one file for the part of each rank
        state.json             step, position in the data, counts
    runs/<name>/best.safetensors   see `finesight.train.early_stop`

One process and any number of ranks read each other's checkpoints, see `finesight.train.checkpoint_parts`.
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
from finesight.train.parallel import divided_like

_TENSORS = "train.safetensors"
STATE = "state.json"
BEST_FILE = "best.safetensors"
"""Trained weights with the lowest held-back loss, in the folder of a run; see `finesight.train.early_stop`."""
_NAME = re.compile(r"^step_(\d{8})$")

Parts = Mapping[str, Mapping[str, Tensor]]
"""Named groups of tensors, as in `{"weights": {...}, "optimizer": {...}}`."""


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


def save_checkpoint(folder: Path, state: TrainState, parts: Parts, *, keep: int) -> Path:
    """Write a checkpoint of one process, and delete the oldest.

    Args:
        folder: folder of the run's checkpoints.
        state: state of the run.
        parts: its tensors.
        keep: number of newest checkpoints to keep.

    Returns:
        The folder of the checkpoint.

    Raises:
        DataError: it cannot be written; earlier checkpoints are kept.
    """
    final = folder_of(folder, state)
    remove_unfinished(folder)
    tensors = {name: value.detach().contiguous() for name, value in flat(parts).items()}
    try:
        with files.whole_folder(final, error=None, sync=True) as writing:
            save_file(tensors, writing / _TENSORS)
            (writing / STATE).write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise unwritable(final, error) from error
    remove_oldest(folder, keep)
    return final


def load_checkpoint(
    folder: Path, division: Mapping[str, Tensor] | None = None
) -> tuple[TrainState, dict[str, dict[str, Tensor]]]:
    """Read one checkpoint folder.

    Args:
        folder: the folder, written by one process or by several ranks.
        division: parameters by name in a run of several ranks; this rank reads its part of each, and of the tensors
            that belong to it. All ranks must call it.

    Raises:
        DataError: a file is missing, truncated or malformed.
    """
    try:
        values = json.loads((folder / STATE).read_text(encoding="utf-8"))
        shards = values.pop("files", None)
        state = TrainState(**values)
        if shards is None and division is None:
            tensors = load_file(folder / _TENSORS)
        else:
            from finesight.train.checkpoint_parts import read_parts

            tensors = read_parts(folder, shards or {}, division)
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(
            f"checkpoint {folder} cannot be read: {error}",
            hint="delete this folder to resume from the checkpoint before it",
        ) from error
    parts: dict[str, dict[str, Tensor]] = {}
    for full_name, value in tensors.items():
        part, _, name = full_name.partition("/")
        parts.setdefault(part, {})[name] = value
    return state, parts


def unwritable(final: Path, error: Exception) -> DataError:
    """The error of a checkpoint that cannot be written."""
    return DataError(
        f"checkpoint {final} cannot be written: {error}",
        hint="free disk space, then run the same command: it resumes from the last checkpoint",
    )


def folder_of(folder: Path, state: TrainState) -> Path:
    """The folder of the checkpoint of a state."""
    return folder / f"step_{state.step:08d}"


def flat(parts: Parts) -> dict[str, Tensor]:
    """All tensors; names are `<part>/<name>`."""
    return {
        f"{part}/{name}": value for part, group in parts.items() for name, value in group.items()
    }


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed while writing has left; nothing else may write to the folder."""
    for unfinished in folder.glob(".step_*"):
        shutil.rmtree(unfinished)


def remove_oldest(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the newest."""
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def averaged_weights(parts: Parts) -> dict[str, Tensor]:
    """All weights of a checkpoint: the averages of those that were trained, and the frozen ones.

    Earlier versions named the weights otherwise, and stored averages of all.
    """
    return {**parts.get("weights", {}), **parts["average"]}


def load_fitting(module: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load weights into a module with the same names and shapes, of which this rank may have a part.

    Raises:
        DataError: names or shapes differ; the message contains `source`.
    """
    own = dict(module.named_parameters())
    given = {
        name: divided_like(value, own[name]) if name in own else value
        for name, value in tensors.items()
    }
    try:
        module.load_state_dict(given, strict=True)
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


def newest(
    run_folder: Path, division: Mapping[str, Tensor] | None = None
) -> dict[str, dict[str, Tensor]]:
    """Tensors of the newest checkpoint of a run.

    Args:
        run_folder: folder of the run.
        division: see `load_checkpoint`.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    saved = checkpoints(run_folder / "checkpoints")
    if not saved:
        raise DataError(
            f"run {run_folder} has no finished checkpoint",
            hint="give the folder of a run, its run.folder",
        )
    return load_checkpoint(saved[-1], division)[1]


def final_weights(
    run_folder: Path, division: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The weights a run is exported with: those of its newest checkpoint, averaged, or its best ones if it kept them.

    Raises:
        DataError: there is no checkpoint, or a file cannot be read.
    """
    weights = averaged_weights(newest(run_folder, division))
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
