# SPDX-License-Identifier: Apache-2.0
"""Find mistakes in a user's schema before a page is read: parts without effect, unknown names, empty sets."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from finesight.apps.extract.checks import FUNCTIONS, check_rules, parse_rule, rules_of
from finesight.apps.extract.schema import Node, Schema, kind_of
from finesight.apps.extract.values import check_format
from finesight.errors import ConfigError
from finesight.inputs import shown

__all__ = ["check_schema"]

_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "not", "if", "then", "else")
_VALUES = {"x-date-order": ("DMY", "MDY"), "x-decimal": (".", ",")}
_KEYS = ("x-labels", "x-check", *_VALUES)


def check_schema(schema: Schema) -> None:
    """Refuse a schema with a mistake.

    Raises:
        ConfigError: an `x-` key, its value, a format or a rule is wrong, or there is no value to extract.
        AppError: a format needs python-stdnum, which is not installed.
    """
    root = schema.resolved(schema.root)
    if not schema.properties(root) and not isinstance(root.get("additionalProperties"), Mapping):
        raise ConfigError(
            "the schema names no value to extract",
            hint='name the values in "properties": {"total": {"type": "number"}}',
        )
    for path, node in _parts(schema.root, "the schema"):
        _check_part(path, node)
    check_rules(schema)
    _check_names(schema, schema.root, "", set())


def _parts(node: Any, path: str) -> Iterator[tuple[str, Node]]:
    """Every part of a schema that is itself a schema, with its place."""
    if not isinstance(node, Mapping):
        return
    yield path, node
    for key in _MAPS:
        for name, one in node.get(key, {}).items():
            yield from _parts(one, f"{path}, {name}")
    for key in _LISTS:
        for one in node.get(key, ()):
            yield from _parts(one, f"{path}, {key}")
    for key in _SINGLE:
        yield from _parts(node.get(key), f"{path}, {key}")


def _check_part(path: str, node: Node) -> None:
    for key in node:
        if str(key).startswith("x-") and key not in _KEYS:
            raise ConfigError(
                f"{path}: the key {shown(key)} is not known", hint=f"it knows {', '.join(_KEYS)}"
            )
    for key, members in _VALUES.items():
        if key in node and node[key] not in members:
            raise ConfigError(
                f"{path}: {key} is {shown(node[key])}", hint=f"it is {' or '.join(members)}"
            )
    labels = node.get("x-labels", [])
    if not isinstance(labels, list) or not all(isinstance(one, str) and one for one in labels):
        raise ConfigError(
            f"{path}: x-labels is {shown(labels)}", hint='it is a list of texts: ["Grand total"]'
        )
    if node.get("enum") == []:
        raise ConfigError(
            f"{path}: the enum is empty, so that no value is allowed",
            hint="list its members, or leave enum out",
        )
    rest = node.get("additionalProperties")
    if node.get("properties") == {} and not isinstance(rest, Mapping) and "allOf" not in node:
        raise ConfigError(
            f"{path}: the properties are empty, so that there is no value to extract",
            hint='name the values: {"total": {"type": "number"}}',
        )
    if "format" in node:
        check_format(str(node["format"]))


def _check_names(schema: Schema, node: Any, path: str, known: set[str]) -> None:
    """Refuse rules that name what their object does not have, where the schema says what it has."""
    key = repr(node)
    if key in known:  # a structure that contains itself
        return
    known.add(key)
    plain = schema.resolved(node)
    rules = rules_of(plain)
    if rules and kind_of(plain) != "object":
        raise ConfigError(
            f"{path or 'the schema'}: x-check has no effect, because this is not an object",
            hint="move the rule to the object that has the fields",
        )
    for rule in rules:
        for part in ast.walk(parse_rule(rule)):
            if isinstance(part, ast.Name | ast.Attribute):
                _check_name(schema, plain, part, rule)
    for name, one in schema.properties(plain).items():
        _check_names(schema, one, f"{path}.{name}" if path else name, known)
    for key, place in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(plain.get(key), Mapping):
            _check_names(schema, plain[key], f"{path}{place}", known)


def _check_name(schema: Schema, root: Node, part: ast.Name | ast.Attribute, rule: str) -> None:
    if isinstance(part, ast.Name):
        owner, name = root, part.id
        if name in FUNCTIONS:
            return
    else:
        found, name = _node_of(schema, root, part.value), part.attr
        if found is None:
            return
        owner = found
    fields = schema.properties(owner)
    if name not in fields and (fields or kind_of(owner) == "leaf"):
        names = ", ".join(fields) or "no fields"
        raise ConfigError(
            f"the rule {rule[:160]!r} names {name}, which is not in the schema",
            hint=f"there: {names[:300]}",
        )


def _node_of(schema: Schema, root: Node, part: ast.expr) -> Node | None:
    """The schema of what a name in a rule stands for, of a list that of its items; None if it is not known."""
    match part:
        case ast.Name(id=name):
            owner: Node | None = root
        case ast.Attribute(value=inner, attr=name):
            owner = _node_of(schema, root, inner)
        case ast.Subscript(value=inner):
            return _node_of(schema, root, inner)
        case _:
            return None
    fields = {} if owner is None else schema.properties(owner)
    if name not in fields:
        return None
    found = schema.resolved(fields[name])
    while kind_of(found) == "array":
        found = schema.resolved(found.get("items", {}))
    is_open = not found or bool({"prefixItems", "type"} & found.keys()) is False
    return None if is_open and kind_of(found) == "leaf" else found
