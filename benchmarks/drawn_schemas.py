# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas drawn at random from the keywords that constrained decoding supports, each with an answer that fits."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

Schema = dict[str, Any]

_WORDS = ("a", "total", "Größe", "価格", "x-1", 'quo"te', "")
_VALUES: tuple[Any, ...] = (*_WORDS, 1, -2.5, None, True, [1, "b"], {"k": []})
_PATTERNS = ("^[A-Z]{2}[0-9]+$", "^(ja|nein)$", "[äöü]")


def drawn_schema(rng: random.Random, depth: int = 3) -> Schema:
    """A schema of at most this depth; it may contain a tree, whose schema contains itself."""
    tree = {
        "type": "object",
        "properties": {
            "value": _drawn(rng, 0),
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2},
        },
        "required": ["value"],
        "additionalProperties": False,
    }
    return {**_drawn(rng, depth), "$defs": {"tree": tree}}


def _drawn(rng: random.Random, depth: int) -> Schema:
    leaves = ("string", "integer", "number", "boolean", "null", "enum", "const", "pattern")
    nested = ("object", "object", "array", "array", "tuple", "anyOf", "types", "tree", "format")
    return _KINDS[rng.choice((*leaves, *nested) if depth else leaves)](rng, depth - 1)


def _string(rng: random.Random, _depth: int) -> Schema:
    least, most = rng.choice([None, 0, 3]), rng.choice([None, 5, 12])
    return {"type": "string", **_set(minLength=least, maxLength=most)}


def _integer(rng: random.Random, _depth: int) -> Schema:
    least, most = rng.choice([None, -20, 0, 6]), rng.choice([None, 8, 1000])
    return {
        "type": "integer",
        **_set(minimum=least, maximum=most, multipleOf=rng.choice([None, None, 3])),
    }


def _number(rng: random.Random, _depth: int) -> Schema:
    bound = rng.choice(["minimum", "exclusiveMinimum"])
    least, most = rng.choice([None, -1.5, 0]), rng.choice([None, 2.75])
    return {"type": "number", **_set(**{bound: least}, maximum=most)}


def _object(rng: random.Random, depth: int) -> Schema:
    names = rng.sample(_WORDS, rng.randint(0, 4))
    return {
        "type": "object",
        "properties": {name: _drawn(rng, depth) for name in names},
        "required": [name for name in names if rng.random() < 0.6],
        "additionalProperties": rng.choice([False, False, {"type": "integer"}]),
    }


def _array(rng: random.Random, depth: int) -> Schema:
    least, most = rng.choice([None, 0, 1]), rng.choice([2, 3])
    return {
        "type": "array",
        "items": _drawn(rng, depth),
        **_set(minItems=least, maxItems=most),
    }


def _tuple(rng: random.Random, depth: int) -> Schema:
    first = [_drawn(rng, depth) for _ in range(rng.randint(1, 3))]
    return {"type": "array", "prefixItems": first, "minItems": len(first), "items": False}


def _any_of(rng: random.Random, depth: int) -> Schema:
    return {"anyOf": [_drawn(rng, depth) for _ in range(rng.randint(1, 3))]}


def _format(rng: random.Random, _depth: int) -> Schema:
    return {"type": "string", "format": rng.choice(["date", "time", "uuid", "ipv4"])}


def _set(**values: object) -> Schema:
    return {name: value for name, value in values.items() if value is not None}


_KINDS: Mapping[str, Callable[[random.Random, int], Schema]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _rng, _depth: {"type": "boolean"},
    "null": lambda _rng, _depth: {"type": "null"},
    "enum": lambda rng, _depth: {"enum": rng.sample(_VALUES, 4)},
    "const": lambda rng, _depth: {"const": rng.choice(_VALUES)},
    "pattern": lambda rng, _depth: {"type": "string", "pattern": rng.choice(_PATTERNS)},
    "format": _format,
    "object": _object,
    "array": _array,
    "tuple": _tuple,
    "anyOf": _any_of,
    "types": lambda rng, _depth: {"type": rng.sample(["string", "integer", "boolean", "null"], 2)},
    "tree": lambda _rng, _depth: {"$ref": "#/$defs/tree"},
}
