# SPDX-License-Identifier: Apache-2.0
"""The source tree as the architecture tests see it: parsed modules and what each imports."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "finesight"
IGNORED_FOLDERS = frozenset(
    {".git", ".harnesses", ".llama", "runs", "build", "dist", "node_modules"}
)
PROGRAMS = ("scripts", "examples", "benchmarks")


@dataclass(frozen=True)
class Import:
    """One imported module: `lazy` inside a function, `typing_only` under `if TYPE_CHECKING`."""

    module: str
    names: tuple[str, ...]
    line: int
    lazy: bool = False
    typing_only: bool = False


@dataclass(frozen=True)
class Module:
    """One parsed file; `name` is dotted, `finesight.text.tokenizer`."""

    name: str
    path: str
    text: str
    tree: ast.Module = field(repr=False)

    @classmethod
    def parse(cls, name: str, text: str, path: str = "") -> Module:
        return cls(name, path or f"{name.replace('.', '/')}.py", text, ast.parse(text))

    @property
    def layer(self) -> str:
        """The first name below the package: `text`; `""` for the package itself."""
        return layer_of(self.name)

    @cached_property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree))


def layer_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    found = []
    for path in sorted((ROOT / "src" / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(
            Module.parse(name, path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
        )
    return tuple(found)


@cache
def programs() -> tuple[Module, ...]:
    """Scripts, examples and benchmarks: held to budgets and rules of honesty, not to layers."""
    return tuple(
        Module.parse(path.stem, path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
        for folder in PROGRAMS
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


def text_files(*suffixes: str) -> Iterator[Path]:
    """Files of the checkout with one of these endings, without environments, runs and caches."""
    for folder, inner, files in os.walk(ROOT):
        inner[:] = sorted(name for name in inner if not _is_ignored(name))  # not walked into
        for name in sorted(files):
            if Path(name).suffix in suffixes or name in suffixes:
                yield Path(folder, name)


def _is_ignored(folder: str) -> bool:
    is_environment = folder.startswith(".venv")
    return is_environment or folder in IGNORED_FOLDERS or folder.endswith(("_cache", ".egg-info"))


def functions(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Every function with its dotted name and whether it is a method."""

    def walk(
        node: ast.AST, prefix: str, in_class: bool
    ) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield prefix + child.name, child, in_class
                yield from walk(child, f"{prefix}{child.name}.", False)
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.", True)
            else:
                yield from walk(child, prefix, in_class)

    yield from walk(tree, "", False)


def _imports(tree: ast.Module) -> Iterator[Import]:
    def walk(node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, (), child.lineno, lazy, typing_only)
            elif isinstance(child, ast.ImportFrom):
                names = tuple(alias.name for alias in child.names)
                yield Import(child.module or "", names, child.lineno, lazy, typing_only)
            elif isinstance(child, ast.If) and _is_type_checking(child.test):
                for inner in child.body:
                    yield from walk(ast.Module([inner], []), lazy, True)
                for inner in child.orelse:
                    yield from walk(ast.Module([inner], []), lazy, typing_only)
            else:
                is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(child, lazy or is_function, typing_only)

    yield from walk(tree, False, False)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
