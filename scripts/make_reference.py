#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages that repeat what the code says, or check that they still do.

- docs/reference/cli.md: the help of each command, as the program prints it
- docs/reference/config.md: every setting with its type, default and meaning, from its field

::

    python scripts/make_reference.py            says which pages are out of date, exit code 1
    python scripts/make_reference.py --write    brings them up to date
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parents[1]
HELP = ROOT / "src" / "finesight" / "cli" / "help"
CONFIG_PACKAGES = ("finesight.config", "finesight.media", "finesight.data", "finesight.train")


def main() -> int:
    """Check or renew both pages; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/reference/ from the code.")
    parser.add_argument("--write", action="store_true", help="renew the pages instead of checking")
    options = parser.parse_args()
    stale = 0
    for name, text in (("cli.md", cli_page()), ("config.md", config_page())):
        page = ROOT / "docs" / "reference" / name
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if options.write:
            page.write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}: {'renewed' if options.write else 'out of date'}")
    if stale and not options.write:
        print("run `make docs`", file=sys.stderr)
    return 1 if stale and not options.write else 0


def cli_page() -> str:
    """Help of the program, then of each command in alphabetical order."""
    files = sorted(HELP.glob("*.txt"), key=lambda path: (path.stem != "finesight", path.stem))
    sections = [_help_section(path) for path in files]
    return "\n\n".join(["# Command line", "Written by `make docs`.", *sections]) + "\n"


def _help_section(path: Path) -> str:
    words = path.stem.replace("-", " ")  # eval-run is `finesight eval run`
    title = "finesight" if path.stem == "finesight" else f"finesight {words}"
    return f"## {title}\n\n```text\n{path.read_text(encoding='utf-8').strip()}\n```"


def config_page() -> str:
    """One table for each class of settings."""
    sections = [_settings_section(kind) for kind in settings()]
    head = "# Settings\n\nWritten by `make docs` from the fields themselves."
    return "\n\n".join([head, *sections]) + "\n"


def settings() -> Iterator[type[BaseModel]]:
    """Public pydantic models of the package, in the order of their modules and lines."""
    for package in CONFIG_PACKAGES:
        found = importlib.import_module(package)
        for entry in pkgutil.walk_packages(found.__path__, f"{package}."):
            module = importlib.import_module(entry.name)
            for name, kind in vars(module).items():
                is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
                is_own = is_model and (kind.__module__, kind.__name__) == (entry.name, name)
                if is_own and kind.model_fields and not name.startswith("_"):
                    yield kind


def _settings_section(kind: type[BaseModel]) -> str:
    summary = (kind.__doc__ or "").strip().splitlines()[0]
    rows = [_row(name, entry) for name, entry in kind.model_fields.items()]
    head = f"## {kind.__name__}\n\n{summary} Defined in `{kind.__module__}`.\n"
    return "\n".join([head, "| name | type | default | meaning |", "|---|---|---|---|", *rows])


def _row(name: str, entry: FieldInfo) -> str:
    cells = (f"`{name}`", f"`{_type(entry)}`", _default(entry), entry.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(entry: FieldInfo) -> str:
    annotation = entry.annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return (
        str(annotation).replace("typing.", "").replace("pathlib.", "").replace("NoneType", "None")
    )


def _default(entry: FieldInfo) -> str:
    if entry.default_factory is not None:
        return "its own"
    return "required" if entry.default is PydanticUndefined else f"`{entry.default!r}`"


if __name__ == "__main__":
    sys.exit(main())
