# SPDX-License-Identifier: Apache-2.0
"""Trace of a run, written step by step, so that a killed run goes on where it stopped.

::

    TRACE/meta.json             goal, settings, model, facts of the screen
    TRACE/steps.jsonl           a line before each act ("pending") and one for each finished step, each synchronised
    TRACE/screens/<sha256>.png  every screen, without secrets, named by the digest of its pixels
    TRACE/result.json           at the end
    TRACE/report.html           at the end
    TRACE/STOP                  made by the user: the run ends before its next step
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import TypeAdapter, ValidationError

from finesight import files
from finesight.apps.agent.records import Run, Step
from finesight.errors import AppError, ConfigError

__all__ = ["FILES", "Trace", "read_steps"]

_STEP = TypeAdapter(Step)
FILES = ("meta.json", "steps.jsonl", "screens", "result.json", "report.html", "STOP", ".lock")
"""Names in the folder of a trace."""
_SETTINGS = ("goal", "model", "options")
"""What has to be the same when a run is resumed."""


class Trace:
    """The folder of one run; locked against other processes.

    Args:
        folder: created if missing; a folder with steps and without a result is resumed.
        meta: goal, settings, model and facts.

    Raises:
        ConfigError: the folder holds a finished run, or one with other settings.
        AppError: another process writes to it.
    """

    def __init__(self, folder: Path, meta: Mapping[str, Any]) -> None:
        self.folder = folder
        (folder / "screens").mkdir(parents=True, exist_ok=True)
        self._lock = files.lock(folder / ".lock", error=AppError)
        try:
            self.steps, self.pending = self._resumed(meta)
        except BaseException:
            self._lock.close()
            raise
        self._lines = (folder / "steps.jsonl").open("ab")

    @property
    def is_stopped(self) -> bool:
        """Whether the user has made the file STOP."""
        return (self.folder / "STOP").exists()

    def keep_screen(self, picture: Image.Image) -> tuple[Path, str]:
        """Store a screen; returns its path and the SHA-256 of its pixels."""
        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        path = self.folder.resolve() / "screens" / f"{digest}.png"
        if not path.exists():
            with files.whole_file(path, error=AppError) as draft:
                picture.save(draft, "PNG")
        return path, digest

    def announce(self, number: int, act: Mapping[str, Any]) -> None:
        """Note that a step is about to be performed: after a crash it may have been."""
        self._append({"pending": number, "act": dict(act)})

    def keep(self, step: Step) -> None:
        """Append a finished step."""
        self.steps.append(step)
        self._append(asdict(step))

    def finish(self, run: Run) -> None:
        """Write the result."""
        files.write_json(self.folder / "result.json", run.to_dict(), error=AppError)

    def close(self) -> None:
        """Release the folder."""
        self._lines.close()
        self._lock.close()

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(line, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which a model may write as \ud800
            text = json.dumps(line).encode()
        self._lines.write(text + b"\n")
        self._lines.flush()
        os.fsync(self._lines.fileno())

    def _resumed(self, meta: Mapping[str, Any]) -> tuple[list[Step], bool]:
        """Steps of a run that was stopped, and whether it had begun another one."""
        path = self.folder / "meta.json"
        if not path.is_file():
            files.write_json(path, dict(meta), error=AppError)
            return [], False
        if (self.folder / "result.json").exists():
            raise ConfigError(f"{self.folder} holds a finished run", hint="give another folder")
        earlier = json.loads(path.read_bytes())
        given = json.loads(json.dumps(dict(meta)))
        for name in _SETTINGS:
            if earlier.get(name) != given.get(name):
                raise ConfigError(
                    f"{self.folder} holds a run with {name} = {earlier.get(name)!s:.200},"
                    f" this one has {given.get(name)!s:.200}",
                    hint="give another folder, or the same command to go on",
                )
        steps, pending = read_steps(self.folder / "steps.jsonl")
        self._cut_to_whole_lines()
        return steps, pending

    def _cut_to_whole_lines(self) -> None:
        path = self.folder / "steps.jsonl"
        content = path.read_bytes() if path.exists() else b""
        if content and not content.endswith(b"\n"):
            files.write_bytes(path, content[: content.rfind(b"\n") + 1], error=AppError)


def read_steps(path: Path) -> tuple[list[Step], bool]:
    """Finished steps of a trace, and whether a further one was begun; a line that was cut off by a crash is ignored.

    Raises:
        AppError: a line inside the file is damaged.
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    steps: list[Step] = []
    pending = False
    for number, line in enumerate(lines[:-1], 1):
        try:
            value = json.loads(line)
            pending = "pending" in value
            if not pending:
                steps.append(_STEP.validate_python(value))
        except (TypeError, ValueError, ValidationError) as error:
            raise AppError(f"{path}: line {number} is no step: {error!s:.200}") from error
    return steps, pending
