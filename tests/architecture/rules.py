# SPDX-License-Identifier: Apache-2.0
"""Rules that ruff does not have, each a function from a module to the lines that break it.

Their exceptions are the tables below; exceptions to ruff's rules are in pyproject.toml, each with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.architecture.source import Module, functions

SPDX = "# SPDX-License-Identifier: Apache-2.0"

MAY_PROBE_ATTRIBUTES: dict[str, str] = {}
MAY_TAKE_KEYWORDS: dict[str, str] = {}
"""Dotted module name (with `:function` where that is enough) -> why it may."""

UNFINISHED = re.compile(
    r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|NotImplemented" + r"Error|pragma:\s*no " + r"cover"
)
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|ro" + r"ot|farm|opt/wheels|opt/pypi)\b")
BARE_IGNORE = re.compile(r"#\s*type:\s*ignore(?!\[[\w, -]+\]\s+#\s*\S)")
BARE_NOQA = re.compile(r"#\s*noqa(?!:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*\s+#\s*\S)", re.IGNORECASE)


def licence_line(module: Module) -> Iterator[str]:
    """The first line, or the one after `#!`, names the licence."""
    lines = module.text.splitlines()
    if not lines:
        return
    if lines[1 if lines[0].startswith("#!") else 0 : 2][:1] != [SPDX]:
        yield f"{module.path}:1: the first line is not {SPDX!r}"


def unfinished(module: Module) -> Iterator[str]:
    for number, line in enumerate(module.text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield f"{module.path}:{number}: {found.group()}"


def silenced(module: Module) -> Iterator[str]:
    """A silenced checker says which rule and why."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if BARE_IGNORE.search(line):
            yield f"{module.path}:{number}: write # type: ignore[code]  # reason"
        if BARE_NOQA.search(line):
            yield f"{module.path}:{number}: write # noqa: CODE  # reason"


def probing(module: Module) -> Iterator[str]:
    """Our own objects have types; nobody asks them whether they have an attribute."""
    if module.name in MAY_PROBE_ATTRIBUTES:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            with_default = node.func.id == "getattr" and len(node.args) == 3
            if node.func.id == "hasattr" or with_default:
                yield f"{module.path}:{node.lineno}: {node.func.id} probes an object"


def loose_keywords(module: Module) -> Iterator[str]:
    """No public function takes `**anything`; `**options: Unpack[...]` names what it takes."""
    for name, node, _ in functions(module.tree):
        is_public = not any(part.startswith("_") for part in name.split("."))
        loose = node.args.kwarg
        if loose is None or not is_public or f"{module.name}:{name}" in MAY_TAKE_KEYWORDS:
            continue
        if not (loose.annotation and ast.unparse(loose.annotation).startswith("Unpack[")):
            yield f"{module.path}:{node.lineno}: {name} takes **{loose.arg}"


Rule = Callable[[Module], Iterator[str]]
EVERYWHERE: tuple[Rule, ...] = (licence_line, unfinished, silenced)
"""Rules for the package and for scripts, examples and benchmarks."""
IN_THE_PACKAGE: tuple[Rule, ...] = (*EVERYWHERE, probing, loose_keywords)
