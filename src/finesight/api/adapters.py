# SPDX-License-Identifier: Apache-2.0
"""Names and folders of the LoRA adapters that a user gives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from finesight.errors import ConfigError
from finesight.inputs import shown

__all__ = ["AdapterSources", "adapter_folders"]

AdapterSources = (
    Mapping[str, str | PathLike[str]] | Sequence[str | PathLike[str]] | str | PathLike[str]
)
"""Folders by name, a list of folders or of texts NAME=FOLDER, or one of these."""

_NAMED = re.compile(r"([\w.:/-]+)=(.+)", re.DOTALL)
_FILES = ("adapter_model.safetensors", "adapter_config.json", "adapter_model.bin")


def adapter_folders(given: AdapterSources | None) -> dict[str, Path]:
    """The folders of adapters by name; without one, an adapter has the name of its folder.

    Raises:
        ConfigError: something is no folder, or two adapters have one name.
    """
    if given is None:
        return {}
    if isinstance(given, (str, PathLike)):
        given = [given]
    if isinstance(given, Mapping):
        pairs = [(name, _folder(each)) for name, each in given.items()]
    elif isinstance(given, Sequence):
        pairs = [_pair(each) for each in given]
    else:
        raise ConfigError(
            f"adapters is {shown(given)}", hint="give folders, or a mapping of names to folders"
        )
    found: dict[str, Path] = {}
    for name, folder in pairs:
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"the name of an adapter is {shown(name)}", hint="give a text")
        if name in found:
            raise ConfigError(
                f"two adapters have the name {name}: {found[name]} and {folder}",
                hint="give one of them another name: NAME=FOLDER",
            )
        found[name] = folder
    return found


def _pair(given: str | PathLike[str]) -> tuple[str, Path]:
    named = _NAMED.fullmatch(given) if isinstance(given, str) else None
    if named and not Path(str(given)).exists():
        return named[1], _folder(named[2])
    folder = _folder(given)
    return folder.resolve().name, folder


def _folder(given: object) -> Path:
    if not isinstance(given, (str, PathLike)):
        raise ConfigError(f"an adapter is {shown(given)}", hint="give the path of its folder")
    folder = Path(given).expanduser()
    if folder.name in _FILES and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ConfigError(
            f"the adapter {folder} {what}",
            hint="give a folder with adapter_config.json and adapter_model.safetensors",
        )
    return folder
