# SPDX-License-Identifier: Apache-2.0
"""The user's schema, and what is asked of the model for it.

The model copies every value as it is written: in its answer, each number, date and identifier is a text. So the text
can be found on the page again, and its type is decided by code (`finesight.apps.extract.values`). The answer has its
own schema for constrained decoding; the user's schema is never changed.

Extensions of JSON Schema, all optional: `x-labels` (words that stand beside the value), `x-date-order` ("DMY" or
"MDY"), `x-decimal` ("." or ","), `x-check` (rules between fields, see `finesight.apps.extract.checks`), and `format`
with the name of a module of python-stdnum, such as "iban" or "eu.vat".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, PydanticUserError

from finesight.apps.extras import required
from finesight.errors import ConfigError
from finesight.inputs import shown

__all__ = ["Node", "Schema", "SchemaSource", "kind_of", "load_schema"]

Node: TypeAlias = Mapping[str, Any]
SchemaSource: TypeAlias = Mapping[str, Any] | str | Path | type[BaseModel]
Kind: TypeAlias = Literal["object", "array", "leaf"]

_MOST_ITEMS = 500
"""Most items of one list on one page; a model that repeats itself would not stop."""


def load_schema(source: SchemaSource) -> Schema:
    """Read a schema.

    Args:
        source: a mapping, a pydantic model, JSON as text, or the path of a file.

    Raises:
        ConfigError: it is no JSON Schema of an object, or one of its references leads nowhere.
    """
    if isinstance(source, type) and issubclass(source, BaseModel):
        content: Any = _of_model(source)
    elif isinstance(source, Mapping):
        content = source
    else:
        content = _parsed(source)
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"the schema is {shown(content)}", hint='a schema is an object: {"type": "object", ...}'
        )
    _check_form(content)
    schema = Schema(content)
    if kind_of(schema.resolved(content)) != "object":
        raise ConfigError(
            f"the schema is of the type {shown(content.get('type'))}, not an object",
            hint='put it into an object: {"type": "object", "properties": {"items": ...}}',
        )
    schema.answer()  # follows every reference
    return schema


def _check_form(content: Mapping[str, Any]) -> None:
    """Refuse what is no JSON Schema, such as an unknown type."""
    with required("jsonschema", "extraction by schema"):
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
    try:
        Draft202012Validator.check_schema(dict(content))
    except SchemaError as error:
        place = "".join(f", {step}" for step in error.absolute_path)
        raise ConfigError(
            f"the schema{place}: {error.message[:300]}",
            hint="types are string, number, integer, boolean, object, array and null",
        ) from error


def _of_model(source: type[BaseModel]) -> Any:
    try:
        return source.model_json_schema()
    except PydanticUserError as error:
        raise ConfigError(
            f"the model {source.__name__} has no JSON Schema: {error.message}",
            hint="every type that it names must be known where it is defined",
        ) from error


def _parsed(source: str | Path) -> Any:
    is_text = isinstance(source, str) and source.lstrip().startswith("{")
    try:
        text = str(source) if is_text else Path(source).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigError(
            f"the schema {str(source)[:160]} cannot be read: {error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the schema {str(source)[:160]} is not JSON: {error}") from error


def kind_of(node: Node) -> Kind:
    """Whether a resolved schema describes an object, a list, or a single value."""
    types = _types(node)
    if "properties" in node or "object" in types or "additionalProperties" in node:
        return "object"
    return "array" if "items" in node or "prefixItems" in node or "array" in types else "leaf"


def _types(node: Node) -> tuple[str, ...]:
    given = node.get("type", ())
    return (given,) if isinstance(given, str) else tuple(given)


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON Schema of an object.

    Attributes:
        root: as the user wrote it.
    """

    root: Node

    def resolved(self, node: Any) -> Node:
        """A part of the schema without references, with `allOf` joined and without the alternative "null".

        Of several other alternatives, the first is taken.

        Raises:
            ConfigError: a reference leads nowhere or to itself.
        """
        found: dict[str, Any] = dict(node) if isinstance(node, Mapping) else {}
        for _ in range(100):
            if "$ref" in found:
                rest = {key: value for key, value in found.items() if key != "$ref"}
                found = {**self._target(str(found["$ref"])), **rest}
            elif "allOf" in found:
                found = _joined(found, [self.resolved(part) for part in found["allOf"]])
            elif options := self._options(found):
                rest = {key: found[key] for key in found if key not in ("anyOf", "oneOf")}
                found = {**options[0], **rest}
            else:
                return found
        raise ConfigError(
            f"the schema refers to itself without end at {shown(found)}",
            hint="a reference must lead to a type",
        )

    def is_nullable(self, node: Any) -> bool:
        """Whether null is one of the values that a part of the schema allows."""
        if not isinstance(node, Mapping):
            return True
        if "$ref" in node:
            return self.is_nullable(self._target(str(node["$ref"])))
        if any(self.is_nullable(one) for key in ("anyOf", "oneOf") for one in node.get(key, ())):
            return True
        if "enum" in node:
            return None in node["enum"]
        return not node or "null" in _types(node) or ("const" in node and node["const"] is None)

    def properties(self, node: Node) -> dict[str, Any]:
        """Properties of a resolved object, in order."""
        return dict(node.get("properties", {}))

    def answer(self) -> dict[str, Any]:
        """The schema of the model's answer: the same structure, with a text for every single value."""
        places: dict[str, str] = {}
        parts: dict[str, Any] = {}
        found = self._answer(self.root, places, parts)
        return {**found, "$defs": parts} if parts else found

    def blank(self) -> Any:
        """The answer with empty texts, which shows the model the structure."""
        return self._blank(self.root, ())

    def notes(self) -> list[str]:
        """Descriptions of fields, as lines of a prompt."""
        return [f"{path}: {text}" for path, text in self._notes(self.root, "", ())]

    def _target(self, ref: str) -> Node:
        found: Any = self.root
        for step in ref.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, Mapping) else None
        if not ref.startswith("#") or not isinstance(found, Mapping):
            raise ConfigError(
                f"the schema has no {ref[:160]}",
                hint="references are to its own parts: #/$defs/NAME",
            )
        return found

    def _options(self, node: Node) -> list[Node]:
        options = [*node.get("anyOf", ()), *node.get("oneOf", ())]
        return [one for one in options if isinstance(one, Mapping) and one.get("type") != "null"]

    def _answer(self, node: Any, places: dict[str, str], parts: dict[str, Any]) -> dict[str, Any]:
        if isinstance(node, Mapping) and "$ref" in node:
            ref = str(node["$ref"])
            if ref not in places:
                places[ref] = f"part{len(places)}"
                parts[places[ref]] = self._answer(self._target(ref), places, parts)
            return {"$ref": f"#/$defs/{places[ref]}"}
        options = self._options(node) if isinstance(node, Mapping) else []
        if options and "properties" not in node:
            forms = [self._answer(one, places, parts) for one in options]
            unlike = [form for index, form in enumerate(forms) if form not in forms[:index]]
            return unlike[0] if len(unlike) == 1 else {"anyOf": unlike}
        plain = self.resolved(node)
        if kind_of(plain) == "object":
            return self._object(plain, places, parts)
        if kind_of(plain) == "array":
            items = self._answer(plain.get("items", {}), places, parts)
            most = min(plain.get("maxItems", _MOST_ITEMS), _MOST_ITEMS)
            return {"type": "array", "items": items, "maxItems": most}
        return _leaf(plain)

    def _object(self, node: Node, places: dict[str, str], parts: dict[str, Any]) -> dict[str, Any]:
        properties = self.properties(node)
        if not properties:
            rest = node.get("additionalProperties")
            return {
                "type": "object",
                "additionalProperties": self._answer(
                    rest if isinstance(rest, Mapping) else {}, places, parts
                ),
            }
        forms = {}
        for key, one in properties.items():
            form = self._answer(one, places, parts)
            # A structure that may be missing may be null: otherwise one that contains itself would not end.
            is_needed = key in node.get("required", ()) and not self.is_nullable(one)
            is_single = form.get("type") == "string" or "enum" in form
            forms[key] = form if is_needed or is_single else {"anyOf": [form, {"type": "null"}]}
        return {
            "type": "object",
            "properties": forms,
            "required": list(forms),
            "additionalProperties": False,
        }

    def _blank(self, node: Any, inside: tuple[str, ...]) -> Any:
        ref = _ref_of(node)
        if ref and ref in inside:
            return None
        inside = (*inside, ref) if ref else inside
        plain = self.resolved(node)
        if kind_of(plain) == "object":
            return {key: self._blank(one, inside) for key, one in self.properties(plain).items()}
        if kind_of(plain) == "array":
            item = self._blank(plain.get("items", {}), inside)
            return [] if item is None else [item]
        return ""

    def _notes(self, node: Any, path: str, inside: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        ref = _ref_of(node)
        if ref and ref in inside:
            return
        inside = (*inside, ref) if ref else inside
        plain = self.resolved(node)
        if path and (text := " ".join(str(plain.get("description", "")).split())):
            yield path, text
        if path and "enum" in plain:
            yield path, "one of " + ", ".join(_text(one) for one in plain["enum"])
        if kind_of(plain) == "object":
            for key, one in self.properties(plain).items():
                yield from self._notes(one, f"{path}.{key}" if path else key, inside)
        elif kind_of(plain) == "array":
            yield from self._notes(plain.get("items", {}), f"{path}[]", inside)


def _ref_of(node: Any) -> str:
    """The reference of a part, also of one that may be null."""
    if not isinstance(node, Mapping):
        return ""
    if "$ref" in node:
        return str(node["$ref"])
    options = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return next((ref for one in options if (ref := _ref_of(one))), "")


def _joined(node: Node, parts: list[Node]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in [*parts, {key: node[key] for key in node if key != "allOf"}]:
        properties = {**found.get("properties", {}), **part.get("properties", {})}
        required = [*found.get("required", ()), *part.get("required", ())]
        found |= part
        found |= {"properties": properties} if properties else {}
        found |= {"required": required} if required else {}
    return found


def _leaf(node: Node) -> dict[str, Any]:
    """A text; of a closed set, one of its members. The empty text stands for a value that is not there."""
    if "const" in node:
        return {"enum": [_text(node["const"]), ""]}
    if "enum" in node:
        members = dict.fromkeys(_text(one) for one in node["enum"] if one is not None)
        return {"enum": list(dict.fromkeys([*members, ""]))}
    if "boolean" in _types(node):
        return {"enum": ["true", "false", ""]}
    return {"type": "string"}


def _text(value: Any) -> str:
    return re.sub(r"\s+", " ", value) if isinstance(value, str) else json.dumps(value)
