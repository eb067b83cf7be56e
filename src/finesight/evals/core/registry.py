# SPDX-License-Identifier: Apache-2.0
"""Registry of benchmarks by name.

A family of benchmarks is a sub-package of `finesight.evals.tasks` with a file `tasks.toml`; see
`finesight.evals.core.benchmark`. Its modules define `TASKS = {name: function}`; each function makes a task from its
table. Modules without `TASKS` are shared by the family.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from finesight.errors import ConfigError, EvalError
from finesight.evals.core.benchmark import Build, read_benchmarks, read_tables
from finesight.evals.core.task import Extractor, Prompt, Task

PACKAGE = "finesight.evals.tasks"
BENCHMARKS_FILE = "tasks.toml"
TABLES_FILE = "report_tables.toml"

Named = TypeVar("Named", Prompt, Extractor)


@lru_cache(maxsize=8)
def tasks(package: str = PACKAGE) -> Mapping[str, Task]:
    """Every benchmark, sorted by name.

    Args:
        package: whose sub-packages are families of benchmarks; contains `report_tables.toml`.

    Raises:
        EvalError: a benchmark has no function or a function no benchmark, or two have one name.
        ConfigError: a `tasks.toml` is wrong.
    """
    (root,) = map(Path, importlib.import_module(package).__path__)
    tables = read_tables(root / TABLES_FILE)
    found: dict[str, Task] = {}
    for path in sorted(root.glob(f"*/{BENCHMARKS_FILE}")):
        functions = _functions(f"{package}.{path.parent.name}", path.parent)
        benchmarks = read_benchmarks(path, tables)
        if functions.keys() != benchmarks.keys():
            alone = ", ".join(sorted(functions.keys() ^ benchmarks.keys()))
            raise EvalError(f"only one of {path} and TASKS of the modules beside it has: {alone}")
        for name, benchmark in benchmarks.items():
            if name in found:
                raise EvalError(f"{path} has a second benchmark called {name!r}")
            found[name] = functions[name](benchmark)
    return MappingProxyType(dict(sorted(found.items())))


def _functions(family: str, folder: Path) -> dict[str, Build]:
    """`TASKS` of all modules of a family."""
    functions: dict[str, Build] = {}
    for module in pkgutil.iter_modules([str(folder)], f"{family}."):
        listed = vars(importlib.import_module(module.name)).get("TASKS", {})
        if not isinstance(listed, Mapping) or not all(map(callable, listed.values())):
            raise EvalError(
                f"TASKS of {module.name} must map names to functions, it is a {type(listed).__name__}"
            )
        if twice := functions.keys() & listed.keys():
            raise EvalError(f"{module.name} has a second function for {', '.join(sorted(twice))}")
        functions |= listed
    return functions


def task(name: str, package: str = PACKAGE) -> Task:
    """The benchmark of a name.

    Raises:
        ConfigError: there is none; suggests similar names.
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
    """The prompt of a name; None takes the task's first.

    Raises:
        ConfigError: the task has none of that name; names those it has.
    """
    return _named(task, "prompt", task.prompts, name)


def find_extractor(task: Task, name: str | None) -> Extractor:
    """The extractor of a name; None takes the task's first.

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
