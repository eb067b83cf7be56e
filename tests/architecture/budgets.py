# SPDX-License-Identifier: Apache-2.0
"""Limits that keep code readable and that ruff does not have: lengths and depth of nesting."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from tests.architecture.source import Module, functions

FILE_LINES, FILE_LINES_MOST = 350, 400
FUNCTION_LINES, FUNCTION_LINES_MOST = 35, 60
TEST_FILE_LINES_MOST = 500
NESTING_MOST = 4
SHARE = 0.9
"""This share of files and functions keeps the lower limit; the upper one holds for all."""

BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


@dataclass(frozen=True)
class Measured:
    """A number and where it was found."""

    value: int
    where: str


def file_lengths(modules: Sequence[Module]) -> list[Measured]:
    return [Measured(len(module.text.splitlines()), module.path) for module in modules]


def function_lengths(modules: Sequence[Module]) -> list[Measured]:
    """From `def` to the last line, docstring included."""
    return [
        Measured((node.end_lineno or node.lineno) - node.lineno + 1, f"{module.path}:{name}")
        for module in modules
        for name, node, _ in functions(module.tree)
    ]


def nesting_depths(modules: Sequence[Module]) -> list[Measured]:
    """Blocks inside blocks of one function; `elif` opens none, a function inside starts anew."""
    return [
        Measured(_depth(node.body), f"{module.path}:{name}")
        for module in modules
        for name, node, _ in functions(module.tree)
    ]


def over(measured: Sequence[Measured], most: int) -> list[str]:
    """Everything above the limit, longest first."""
    ranked = sorted(measured, key=lambda item: -item.value)
    return [f"{item.where}: {item.value}, at most {most}" for item in ranked if item.value > most]


def too_many_over(measured: Sequence[Measured], limit: int) -> list[str]:
    """What exceeds the lower limit, if that is more than its share."""
    kept = ceil(SHARE * len(measured))
    breaks = over(measured, limit)
    return breaks if len(measured) - len(breaks) < kept else []


def _depth(body: Sequence[ast.stmt]) -> int:
    deepest = 0
    for statement in body:
        if isinstance(statement, BLOCKS):
            deepest = max(deepest, 1 + max(_depth(part) for part in _bodies(statement)))
            if isinstance(statement, ast.If) and _is_elif(statement):
                deepest = max(deepest, _depth(statement.orelse))
    return deepest


def _bodies(block: ast.stmt) -> list[list[ast.stmt]]:
    if isinstance(block, ast.Match):
        return [case.body for case in block.cases]
    bodies = [block.body] + [handler.body for handler in getattr(block, "handlers", [])]
    if not (isinstance(block, ast.If) and _is_elif(block)):
        bodies.append(getattr(block, "orelse", []))
    bodies.append(getattr(block, "finalbody", []))
    return bodies


def _is_elif(block: ast.If) -> bool:
    return len(block.orelse) == 1 and isinstance(block.orelse[0], ast.If)
