# SPDX-License-Identifier: Apache-2.0
"""Small rules of honesty, each a function from a module to the lines that break it.

Exceptions stand here, each with its reason, and nowhere else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.architecture.source import Module, functions

SPDX = "# SPDX-License-Identifier: Apache-2.0"

MAY_READ_ENVIRONMENT: dict[str, str] = {
    "finesight.threads": "OpenMP reads its settings from there alone, once, when torch is loaded",
}
MAY_PROBE_ATTRIBUTES: dict[str, str] = {}
MAY_TAKE_KEYWORDS: dict[str, str] = {}
MAY_CATCH_ANYTHING: dict[str, str] = {
    "finesight.evals.core.scoring": "a rule that fails on one answer is counted and must not end a run",
}
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


def module_docstring(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield f"{module.path}:1: no module docstring"


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


def star_imports(module: Module) -> Iterator[str]:
    for found in module.imports:
        if "*" in found.names:
            yield f"{module.path}:{found.line}: star import"


def environment(module: Module) -> Iterator[str]:
    """Only the door reads environment variables."""
    if module.layer == "cli" or module.name in MAY_READ_ENVIRONMENT:
        return
    names = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    for node in ast.walk(module.tree):
        is_attribute = (
            isinstance(node, ast.Attribute)
            and node.attr in names
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        )
        if is_attribute:
            yield f"{module.path}:{node.lineno}: environment variable outside cli"
    for found in module.imports:
        if found.module == "os" and names.intersection(found.names):
            yield f"{module.path}:{found.line}: environment variable outside cli"


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


def swallowing(module: Module) -> Iterator[str]:
    """No handler passes in silence, and one for everything raises again."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if all(_is_nothing(statement) for statement in node.body):
            yield f"{module.path}:{node.lineno}: an error is passed over in silence"
        elif module.name not in MAY_CATCH_ANYTHING and _goes_on_after_anything(node):
            yield f"{module.path}:{node.lineno}: catches everything and goes on"


def global_state(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield f"{module.path}:{node.lineno}: global {', '.join(node.names)}"


def _is_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is ...
    )


def _goes_on_after_anything(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    catches_all = any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))
        for kind in kinds
    )
    return catches_all and not any(isinstance(inner, ast.Raise) for inner in ast.walk(handler))


Rule = Callable[[Module], Iterator[str]]
EVERYWHERE: tuple[Rule, ...] = (licence_line, module_docstring, unfinished, silenced, star_imports)
"""Rules for the package and for scripts, examples and benchmarks."""
IN_THE_PACKAGE: tuple[Rule, ...] = (
    *EVERYWHERE,
    *(environment, probing, loose_keywords, swallowing, global_state),
)
