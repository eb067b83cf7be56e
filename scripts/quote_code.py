#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Keep the code quoted in docs/ alive: copy it from the source, or check that it is the same.

A page quotes a function, class or constant by name, and this script fills in what stands between
the markers:

    <!-- code: src/finesight/geometry.py Resize.to_original body -->
    <!-- end -->

The last word is optional: `head` quotes signature and docstring, `body` leaves the docstring out,
nothing quotes it whole. So no page can show code that is not in the tree, and none has to name line
numbers.

    python scripts/quote_code.py            says which pages are out of date, exit code 1
    python scripts/quote_code.py --write    brings them up to date
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUOTE = re.compile(
    r"^<!-- code: (?P<path>\S+) (?P<symbol>\S+)(?: (?P<part>head|body))? -->\n"
    r"(?P<shown>.*?)^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)


OPENED = re.compile(r"^<!-- code: ", re.MULTILINE)


class QuoteError(Exception):
    """A page names code that is not there, or a quote has no end."""


def main() -> int:
    """Check or renew every page; returns the exit code."""
    parser = argparse.ArgumentParser(description="Keep the code quoted in docs/ alive.")
    parser.add_argument("--write", action="store_true", help="renew the pages instead of checking")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with docs/ and the source")
    options = parser.parse_args()
    stale = 0
    for page in sorted(options.root.glob("docs/**/*.md")):
        text = page.read_text(encoding="utf-8")
        try:
            renewed = renew(text, page=page, root=options.root)
        except QuoteError as error:
            print(f"{page.relative_to(options.root)}: {error}", file=sys.stderr)
            return 1
        if renewed == text:
            continue
        stale += 1
        if options.write:
            page.write_text(renewed, encoding="utf-8")
        print(f"{page.relative_to(options.root)}: {'renewed' if options.write else 'out of date'}")
    if stale and not options.write:
        print("run `make docs`", file=sys.stderr)
    return 1 if stale and not options.write else 0


def renew(text: str, *, page: Path, root: Path) -> str:
    """The page with every quote as the source has it now."""

    def fill(match: re.Match[str]) -> str:
        path, symbol, part = match["path"], match["symbol"], match["part"] or ""
        up = "../" * len(page.relative_to(root).parts[:-1])
        marker = " ".join(word for word in ("code:", path, symbol, part) if word)
        code = quote(root / path, symbol, part)
        return f"<!-- {marker} -->\n[`{path}`]({up}{path})\n\n```python\n{code}\n```\n<!-- end -->"

    renewed, quotes = QUOTE.subn(fill, text)
    if quotes != len(markers := OPENED.findall(text)):
        raise QuoteError(
            f"{len(markers)} markers `<!-- code: ... -->` but {quotes} quotes; each ends with `<!-- end -->`"
        )
    return renewed


def quote(path: Path, symbol: str, part: str = "") -> str:
    """Source of one symbol, not indented; `part` is "", "head" or "body".

    Raises:
        QuoteError: the file or the symbol in it does not exist.
    """
    if not path.is_file():
        raise QuoteError(f"quotes {path.name}, which is not in the tree")
    text = path.read_text(encoding="utf-8")
    node = find(ast.parse(text), symbol)
    if node is None:
        raise QuoteError(f"quotes {symbol} of {path.name}, which is not there")
    lines = text.splitlines()
    return textwrap.dedent("\n".join(lines[number - 1] for number in _lines(node, part)))


def find(tree: ast.Module, symbol: str) -> ast.stmt | None:
    """The statement that defines `Class.method`, `function` or `CONSTANT`."""
    body: list[ast.stmt] = tree.body
    found: ast.stmt | None = None
    for name in symbol.split("."):
        found = next((node for node in body if name in _defined(node)), None)
        if found is None:
            return None
        body = found.body if isinstance(found, ast.ClassDef) else []
    return found


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()


def _lines(node: ast.stmt, part: str) -> Iterator[int]:
    """Line numbers of the wanted part."""
    last = node.end_lineno or node.lineno
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield from range(node.lineno, last + 1)
        return
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    docstring = node.body[0] if ast.get_docstring(node) is not None else None
    doc_last = (docstring.end_lineno or first) if docstring else node.body[0].lineno - 1
    if part == "head":
        yield from range(first, doc_last + 1)
    elif part == "body" and docstring:
        yield from range(first, docstring.lineno)
        yield from range(doc_last + 1, last + 1)
    else:
        yield from range(first, last + 1)


if __name__ == "__main__":
    sys.exit(main())
