# SPDX-License-Identifier: Apache-2.0
"""Read the recipe file of a command, with helpful errors for a wrong file name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from finesight.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

ModelT = TypeVar("ModelT", bound="BaseModel")
_HEAD_BYTES = 64


def read(path: Path, kind: type[ModelT], overrides: Sequence[str] | None) -> ModelT:
    """Read and check a recipe; see `finesight.config.load.read_recipe`.

    Raises:
        ConfigError: there is no such file (names similar ones), it is not text, or a key or value is wrong.
    """
    from finesight.config.load import read_recipe

    if not path.is_file():
        raise ConfigError(
            f"recipe {path} cannot be read: {'it is a folder' if path.is_dir() else 'no such file'}",
            hint=_nearest(path),
        )
    _refuse_binary(path)
    return read_recipe(path, kind, overrides=overrides or ())


def _nearest(path: Path) -> str:
    """A hint with the recipes whose names are similar, else all recipes of the folder."""
    folder = path if path.is_dir() else path.parent
    names = {each.name: str(each) for each in sorted(folder.glob("*.toml"))}
    if not names:
        return "" if folder.is_dir() else f"there is no folder {folder}"
    if path.is_dir():
        return f"it contains {', '.join(names)}"
    near = difflib.get_close_matches(path.name, names, n=3)
    found = " or ".join(names[name] for name in near)
    return f"did you mean {found}?" if near else f"{folder} contains {', '.join(names)}"


def _refuse_binary(path: Path) -> None:
    from finesight.media.source import kind_of

    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if b"\0" in head or head[:1] >= b"\x80":
        raise ConfigError(f"recipe {path} is not TOML but a {kind_of(head)}")
