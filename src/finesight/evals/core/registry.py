# SPDX-License-Identifier: Apache-2.0
"""All benchmarks by name, found by looking through the families of `finesight.evals.tasks`.

A module of a family that says `TASKS = (Task(...), ...)` is found; there is no list to keep. Modules without it are
shared by the family.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from finesight.errors import ConfigError, EvalError
from finesight.evals.core.task import Extractor, Prompt, Task

PACKAGE = "finesight.evals.tasks"

Named = TypeVar("Named", Prompt, Extractor)


@lru_cache(maxsize=8)
def tasks(package: str = PACKAGE) -> Mapping[str, Task]:
    """Every benchmark, sorted by name.

    Args:
        package: a package whose sub-packages are families of benchmarks.

    Raises:
        EvalError: a `TASKS` is not a tuple of tasks, or two tasks have one name.
    """
    found: dict[str, Task] = {}
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        listed = vars(importlib.import_module(module.name)).get("TASKS", ())
        if not isinstance(listed, tuple) or not all(isinstance(each, Task) for each in listed):
            raise EvalError(
                f"TASKS of {module.name} is no tuple of tasks but {type(listed).__name__}"
            )
        for each in listed:
            if each.name in found:
                raise EvalError(f"{module.name} has a second task called {each.name!r}")
            found[each.name] = each
    return MappingProxyType(dict(sorted(found.items())))


def task(name: str, package: str = PACKAGE) -> Task:
    """The benchmark of a name.

    Raises:
        ConfigError: there is none; names those whose names are near.
    """
    known = tasks(package)
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"there is no task {name!r}", hint=f"{hint}`finesight eval list` shows all {len(known)}"
        )
    return known[name]


def find_prompt(task: Task, name: str | None) -> Prompt:
    """The way to ask of a name; None takes the task's first.

    Raises:
        ConfigError: the task has none of that name; names those it has.
    """
    return _named(task, "prompt", task.prompts, name)


def find_extractor(task: Task, name: str | None) -> Extractor:
    """The rule of a name; None takes the task's first.

    Raises:
        ConfigError: the task has none of that name; names those it has.
    """
    return _named(task, "extractor", task.extractors, name)


def _named(task: Task, kind: str, known: Sequence[Named], name: str | None) -> Named:
    found = known[0] if name is None else next((each for each in known if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in known)
        raise ConfigError(f"task {task.name} has no {kind} {name!r}", hint=f"there are: {names}")
    return found
