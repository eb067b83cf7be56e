# SPDX-License-Identifier: Apache-2.0
"""Settings of a run, stored in its folder; answers of different settings are never mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finesight import files
from finesight.errors import EvalError
from finesight.evals.core.journal import Journal
from finesight.evals.core.results import RESULT_FILE
from finesight.evals.core.task import Task

SETTINGS_FILE = "run.json"


def settle(folder: Path, settings: dict[str, Any]) -> None:
    """Store the settings in the folder; they are fixed from the first answer on.

    Args:
        folder: of a run.
        settings: plain JSON values.

    Raises:
        EvalError: the folder holds answers of other settings, or another process writes to it.
    """
    path = folder / SETTINGS_FILE
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(settings))
    before = read_settings(folder) if path.exists() else {}
    changed = [name for name, value in plain.items() if before.get(name) != value]
    if not changed:
        return
    if before:
        journals = _unanswered(folder)
        if journals is None:
            name = changed[0]
            raise EvalError(
                f"{folder} holds a run with {name}={before.get(name)!r}, now it is {plain[name]!r}",
                hint="give another folder; answers of two settings make no one number",
            )
        for each in (*journals, folder / RESULT_FILE):
            each.unlink(missing_ok=True)
    files.write_json(path, plain, error=EvalError)


def read_settings(folder: Path, task: Task | None = None) -> dict[str, Any]:
    """Settings of the run in a folder.

    Args:
        folder: of a run.
        task: the benchmark it must be of; None takes any.

    Raises:
        EvalError: it holds none, or those of another benchmark.
    """
    path = folder / SETTINGS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvalError(
            f"{path} cannot be read: {error}", hint="give the folder of one task's run"
        ) from error
    if not isinstance(found, dict) or not {"task", "prompt", "space"} <= found.keys():
        raise EvalError(f"{path} holds no settings of a run", hint="give another folder")
    if task is not None and found["task"] != task.name:
        raise EvalError(f"{folder} holds a run of {found['task']!r}, not of {task.name!r}")
    return found


def _unanswered(folder: Path) -> list[Path] | None:
    """Journals of a run without any answer, which may be deleted; None if there is an answer.

    Raises:
        EvalError: another process writes to one.
    """
    journals = sorted(folder.glob("samples*.jsonl"))
    for path in journals:
        with Journal(path) as journal:
            if any(sample.text is not None for sample in journal.samples.values()):
                return None
    return journals
