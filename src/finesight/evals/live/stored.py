# SPDX-License-Identifier: Apache-2.0
"""Stored episodes as answers: result folders of OSWorld, and tables of episodes.

Stored scores of OSWorld are checked against its rule that FAIL, and only FAIL, solves an infeasible task and never
solves a feasible one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Reply, Sampling
from finesight.errors import AppError, EvalError
from finesight.evals.core.episode import Episode, Step
from finesight.evals.core.responders import canned
from finesight.evals.core.rows import rows
from finesight.evals.core.task import Item
from finesight.evals.responders.replay import Replay, file_of_answers

EPISODE_COLUMNS = {
    "task": ("task", "task_template", "task_name"),
    "instance": ("instance", "instance_id", "seed"),
    "success": ("success", "is_successful", "score", "reward"),
}
"""Column -> its names in tables of episodes, preferred first."""


class OsWorldRecords:
    """A result folder of OSWorld's run scripts: .../{app}/{id}/ with result.txt and traj.jsonl.

    Args:
        folder: any parent folder, of one run.

    Raises:
        EvalError: it contains no result, or two of one task.
    """

    reads_media = False
    declares_resize = False

    def __init__(self, folder: Path) -> None:
        self.name = f"stored run {folder.name}"
        self._folders: dict[str, Path] = {}
        for path in sorted(folder.rglob("result.txt")):
            key = f"{path.parent.parent.name}/{path.parent.name}"
            if key in self._folders:
                raise EvalError(
                    f"{folder} holds two results of {key}: {self._folders[key]} and {path.parent}",
                    hint="give the folder of one run",
                )
            self._folders[key] = path.parent
        if not self._folders:
            raise EvalError(f"{folder} holds no result.txt", hint="give the folder of one run")

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The stored episode of a task.

        Raises:
            EvalError: it is missing or cannot be read.
            AppError: its score contradicts its last action.
        """
        del sampling
        folder = self._folders.get(item.id)
        if folder is None:
            raise EvalError(f"task {item.id} has no result among {len(self._folders)}")
        score = _number(folder / "result.txt")
        actions = list(_actions(folder / "traj.jsonl"))
        last = actions[-1][0] if actions else None
        feasible = item.truth["config"]["evaluator"].get("func") != "infeasible"
        _check_rule(item.id, score, last, is_feasible=feasible)
        episode = Episode(
            episode=item.id,
            instruction=str(item.truth["config"]["instruction"]),
            score=score,
            end="stored",
            facts={"last_action": last},
            steps=[_step(*each) for each in actions],
        )
        return canned(episode.text())


def stored_successes(path: Path) -> Replay:
    """A table of episodes with task, instance and success as stored answers, such as AndroidWorld's summary.

    Raises:
        EvalError: a row is broken, or an episode occurs twice.
    """
    stored: dict[str, str] = {}
    optional = {"instance": EPISODE_COLUMNS["instance"]}
    columns = {name: EPISODE_COLUMNS[name] for name in ("task", "success")}
    for row in rows(file_of_answers(path), columns=columns, optional=optional):
        if row.error is not None:
            raise EvalError(f"{row.where}: {row.error}")
        key = episode_name(row["task"], row.get("instance"))
        if key in stored:
            raise EvalError(f"{row.where}: a second episode {key!r}")
        score = _success(row["success"], row.where)
        stored[key] = Episode(episode=key, instruction="", score=score, end="stored").text()
    return Replay(f"stored run {path.name}", stored, {})


def episode_name(task: Any, instance: Any) -> str:
    """Name of an episode of a table; a missing instance is 0."""
    is_whole = (
        isinstance(instance, float) and instance.is_integer()
    )  # some tables store integers as floats
    return f"{task}/{int(instance) if is_whole else instance or 0}"


def _success(value: Any, where: str) -> float:
    words = {"true": 1.0, "false": 0.0}
    try:
        score = words.get(str(value).strip().lower())
        score = float(value) if score is None else score
    except ValueError:
        raise EvalError(f"{where}: success is {value!r}, not a number") from None
    if not 0 <= score <= 1:
        raise EvalError(f"{where}: success is {value!r}, not between 0 and 1")
    return score


def _number(path: Path) -> float:
    text = path.read_text(encoding="utf-8").strip()
    try:
        return float({"True": "1", "False": "0"}.get(text, text))
    except ValueError:
        raise EvalError(f"{path} contains {text[:80]!r}, not a score") from None


def _actions(path: Path) -> Iterator[tuple[str | None, str, str]]:
    """Action, answer and problem of each line of a trajectory; empty without the file."""
    if not path.exists():
        return
    # The lines of a text would also end at U+2028, which answers may contain.
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            values: Mapping[str, Any] = json.loads(line)
        except ValueError as error:
            raise EvalError(f"{path}, line {number} is not JSON: {error}") from error
        action = values.get("action")
        if isinstance(action, Mapping):  # the other action space: {"action_type": "FAIL"}
            kind = action.get("action_type")
            action = kind if kind in ("WAIT", "FAIL", "DONE") else json.dumps(action)
        problem = str(values.get("Error") or values.get("error") or "")
        if action is not None or problem:
            yield action, str(values.get("response") or ""), problem


def _check_rule(name: str, score: float, last: str | None, *, is_feasible: bool) -> None:
    """Raise if the stored score contradicts OSWorld's rule."""
    if last is None:
        return
    kind = "feasible" if is_feasible else "infeasible"
    wanted = float(last == "FAIL")
    is_wrong = (score > 0 and last == "FAIL") if is_feasible else score != wanted
    if is_wrong:
        raise AppError(
            f"task {name} is {kind} and its last action is {last[:60]!r}, yet its score is {score:g}"
        )


def _step(action: str | None, answer: str, problem: str) -> Step:
    act = None if action is None else {"kind": "recorded", "text": action}
    return Step(answer=answer, act=act, problem=problem, screenshot="")
