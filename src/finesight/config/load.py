# SPDX-License-Identifier: Apache-2.0
"""Read recipes: a TOML file, the file it `extends`, and `--set` overrides.

The resolved recipe can be written as a TOML file, which a run stores. An unknown key is an error that lists the nearest
valid names.
"""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, TypeAdapter, ValidationError

from finesight.errors import ConfigError

ModelT = TypeVar("ModelT", bound=BaseModel)

KINDS = {
    "data": "finesight data build takes recipes of kind data",
    "pretrain": "finesight train takes recipes of kind pretrain",
    "sft": "finesight train takes recipes of kind sft",
    "dpo": "finesight train takes recipes of kind dpo",
    "grpo": "finesight train takes recipes of kind grpo",
    "sample": "finesight data sample takes recipes of kind sample",
}
"""Command for each kind of recipe."""


def read_recipe(path: Path, kind: type[ModelT], *, overrides: Sequence[str] = ()) -> ModelT:
    """Read and check a recipe.

    Args:
        path: the TOML file.
        kind: model of the recipe, or a union of models with different values of `kind`.
        overrides: `dotted.key=value` items; a value is TOML, or else a string.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; contains the dotted key and
            the file, or "--set" if the file is right without the overrides.
    """
    values = read_toml(path)
    if not overrides:
        return validate(values, kind, where=str(path))
    changed = copy.deepcopy(values)
    for item in overrides:
        _override(changed, item)
    return validate(changed, kind, where="--set" if _is_valid(values, kind) else str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, merged with the file it extends.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or extends a file that extends another.
    """
    values = _parse(path)
    parent_name = values.pop("extends", None)
    if parent_name is None:
        return values
    parent = _parse(path.parent / parent_name)
    if "extends" in parent:
        raise ConfigError(
            f"{path} extends {parent_name}, which extends {parent['extends']!r}: only one step is allowed"
        )
    return _merged(parent, values)


def validate(values: Mapping[str, Any], kind: type[ModelT], *, where: str) -> ModelT:
    """Check values against a model.

    Raises:
        ConfigError: contains the dotted key, the value, what was expected and the nearest valid names.
    """
    kinds = _models(kind)
    _check_kind(values, kinds, where)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        # A misspelt key is reported before the required key it was meant to be.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        location = first["loc"][1:] if len(kinds) > 1 else first["loc"]  # a union prepends the kind
        location = _without_kinds(values, location)
        key = ".".join(map(str, location)) or "(top level)"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(
                str(first["loc"][-1]), sorted(set().union(*map(_all_field_names, kinds))), n=3
            )
            raise ConfigError(
                f"{where}: unknown key {key}",
                hint=f"did you mean {', '.join(near)}?" if near else "",
            ) from None
        if first["type"] == "union_tag_not_found":
            key = ".".join(map(str, (*location, "kind")))
            raise ConfigError(f"{where}: {key} is missing") from None
        if first["type"] == "missing":
            raise ConfigError(f"{where}: {key} is missing") from None
        found = first.get("input")
        given = "" if isinstance(found, Mapping) else f" = {found!r}"  # the message names the keys
        raise ConfigError(f"{where}: {key}{given}: {first['msg']}") from None


def _is_valid(values: Mapping[str, Any], kind: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(values)
    except ValidationError:
        return False
    return True


def _without_kinds(values: Any, location: Sequence[int | str]) -> tuple[int | str, ...]:
    """A location as it is written in the file: pydantic adds the kind of a table that may have several."""
    path: list[int | str] = []
    for item in location:
        if isinstance(values, Mapping):
            if item not in values and item == values.get("kind"):
                continue
            values = values.get(item)
        elif isinstance(values, list) and isinstance(item, int):
            values = values[item]
        path.append(item)
    return tuple(path)


def _models(kind: Any) -> list[type[BaseModel]]:
    """The model, or the members of a union of models."""
    if isinstance(kind, type):
        return [kind]
    return [model for part in get_args(kind) if part is not None for model in _models(part)]


def _check_kind(values: Mapping[str, Any], kinds: Sequence[type[BaseModel]], where: str) -> None:
    """Raise for a recipe of another kind, whose keys would all be errors."""
    entries = [model.model_fields["kind"] for model in kinds if "kind" in model.model_fields]
    known = [name for entry in entries for name in get_args(entry.annotation)]
    found = values.get("kind")
    if not known or found is None or found in known:
        return
    near = difflib.get_close_matches(str(found), KINDS, n=1)
    hint = f"did you mean {near[0]}?" if near and found not in KINDS else KINDS.get(str(found), "")
    wanted = " or ".join(map(repr, known))
    raise ConfigError(f"{where} is a recipe of kind {found!r}, kind {wanted} is needed", hint=hint)


def overridden(config: ModelT, overrides: Sequence[str]) -> ModelT:
    """A recipe with `dotted.key=value` items applied, as in `read_recipe`.

    Raises:
        ConfigError: a key or value is wrong; contains the dotted key.
    """
    if not overrides:
        return config
    values = config.model_dump(mode="json", exclude_none=True)
    for item in overrides:
        _override(values, item)
    return validate(values, type(config), where="--set")


def recipe_text(config: BaseModel) -> str:
    """A resolved recipe as TOML, which `read_recipe` reads."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def write_recipe(config: BaseModel, path: Path) -> None:
    """Write a resolved recipe as TOML, which `read_recipe` reads."""
    path.write_text(recipe_text(config), encoding="utf-8")


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path} is not TOML: {error}") from error


def _merged(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Child over parent; tables are merged, everything else is replaced."""
    result = dict(parent)
    for key, value in child.items():
        both_tables = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both_tables else value
    return result


def _override(values: dict[str, Any], item: str) -> None:
    key, equals, text = item.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {item!r} is not of the form dotted.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.split(".")
    for name in tables:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {item!r}: {name} is not a table")
    values[last] = value


def _all_field_names(kind: type[BaseModel]) -> set[str]:
    names = set(kind.model_fields)
    parts: list[Any] = [entry.annotation for entry in kind.model_fields.values()]
    while parts:
        part = parts.pop()
        parts += get_args(part)
        if isinstance(part, type) and issubclass(part, BaseModel):
            names |= _all_field_names(part)
    return names
