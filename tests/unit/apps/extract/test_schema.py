# SPDX-License-Identifier: Apache-2.0
"""Schemas of any structure: the answer's schema, the data in the user's own form, references, pydantic models."""

from __future__ import annotations

import copy
import json
import random

import llguidance
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from finesight.apps.document.read import PageImage
from finesight.apps.document.records import ReadPage
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.extract import extract
from finesight.apps.extract.schema import load_schema
from finesight.apps.extract.schema_checks import check_schema
from finesight.errors import ConfigError
from finesight.geometry import Size
from tests.support.app_responders import Oracle

WORDS = ("alpha", "Beta Gamma", "10 Downing Street", "naïve", "数据", 'quote "x"', "a\\b", "12-B")


class Drawn:
    """Draws a schema and an instance of it that an oracle can write."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.defs: dict = {}
        self.num = 0

    def schema(self) -> dict:
        root = self.object(0)
        if self.defs:
            root["$defs"] = self.defs
        return root

    def name(self) -> str:
        self.num += 1
        return self.rng.choice(("name", "total", "date", "a b", "größe", "x-ray", "item")) + str(
            self.num
        )

    def object(self, depth: int) -> dict:
        keys = [self.name() for _ in range(self.rng.randint(1, 4))]
        properties: dict = {keys[0]: {"type": "string"}}
        for key in keys[1:]:
            properties[key] = self.node(depth + 1)
        optional = {key for key in keys[1:] if self.rng.random() < 0.3}
        found = {
            "type": "object",
            "properties": properties,
            "required": [key for key in keys if key not in optional],
        }
        if self.rng.random() < 0.4:
            found["additionalProperties"] = False
        return found

    def node(self, depth: int) -> dict:
        kinds = ["leaf", "leaf", "nullable"] + (
            ["object", "array", "list", "ref", "tree"] if depth < 4 else []
        )
        kind = self.rng.choice(kinds)
        if kind == "leaf":
            return self.leaf()
        if kind == "nullable":
            inner = self.leaf()
            return {"anyOf": [inner, {"type": "null"}]}
        if kind == "object":
            return self.object(depth)
        if kind == "list":
            return {"type": "array", "items": {"type": self.rng.choice(("string", "integer"))}}
        if kind == "array":
            return {"type": "array", "items": self.object(depth)}
        name = self.name()
        if kind == "ref":
            self.defs[name] = self.leaf() if self.rng.random() < 0.5 else self.object(depth)
        else:
            self.defs[name] = {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": f"#/$defs/{name}"}},
                },
                "required": ["title", "children"],
            }
        return {"$ref": f"#/$defs/{name}"}

    def leaf(self) -> dict:
        return copy.deepcopy(
            self.rng.choice(
                (
                    {"type": "string"},
                    {"type": "integer"},
                    {"type": "number"},
                    {"type": "boolean"},
                    {"type": "string", "format": "date"},
                    {"enum": ["open", "paid", "late"]},
                    {"type": "integer", "enum": [1, 2, 3]},
                    {"const": "EUR"},
                )
            )
        )

    def instance(self, node: dict, root: dict, depth: int = 0):
        """An instance, and what the oracle writes for it."""
        rng = self.rng
        if "$ref" in node:
            return self.instance(root["$defs"][node["$ref"].split("/")[-1]], root, depth)
        if "anyOf" in node:
            return (
                (None, "") if rng.random() < 0.4 else self.instance(node["anyOf"][0], root, depth)
            )
        if "const" in node:
            return node["const"], node["const"]
        if "enum" in node:
            value = rng.choice(node["enum"])
            return value, str(value)
        if node["type"] == "object":
            pairs = {}
            for key, one in node["properties"].items():
                pair = self.instance(one, root, depth + 1)
                is_leaf = not isinstance(pair[1], (dict, list))
                if (
                    key not in node["required"]
                    and is_leaf
                    and "anyOf" not in one
                    and rng.random() < 0.5
                ):
                    pair = (Ellipsis, "")
                pairs[key] = pair
            data = {key: a for key, (a, _) in pairs.items() if a is not Ellipsis}
            return data, {key: b for key, (_, b) in pairs.items()}
        if node["type"] == "array":
            pairs = [
                self.instance(node["items"], root, depth + 1)
                for _ in range(rng.randint(0, 2 if depth < 5 else 0))
            ]
            return [a for a, _ in pairs], [b for _, b in pairs]
        value = {
            "string": lambda: "2024-03-04" if "format" in node else rng.choice(WORDS),
            "integer": lambda: rng.randint(-5, 99999),
            "number": lambda: rng.randint(1, 999) / 4,
            "boolean": lambda: rng.random() < 0.5,
        }[node["type"]]()
        text = value if isinstance(value, str) else json.dumps(value)
        return value, text


def ordered(value):
    """The value with the order of its keys, for comparison."""
    if isinstance(value, dict):
        return [(key, ordered(one)) for key, one in value.items()]
    return [ordered(one) for one in value] if isinstance(value, list) else value


def check_drawn(seed: int) -> None:
    drawn = Drawn(seed)
    schema = drawn.schema()
    before = json.dumps(schema)
    data, written = drawn.instance(schema, schema)
    pixels = np.full((56, 56, 3), 255, np.uint8)
    page = ReadPage(source="a.png", index=0, number=1, size=Size(56, 56), status="read")
    oracle = Oracle(lambda question: json.dumps(written, ensure_ascii=seed % 2 == 0))
    own = load_schema(schema)
    options = ExtractOptions(check_below=0)
    found = extract([(page, PageImage("a.png", 0, 1, pixels))], own, oracle, options)
    Draft202012Validator(schema).validate(found.data)
    assert ordered(found.data) == ordered(data)
    assert found.problems == ()
    assert json.dumps(schema) == before
    Draft202012Validator(own.answer()).validate(written)
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(own.answer()))
    assert llguidance.LLMatcher.validate_grammar(grammar) == ""


@pytest.mark.parametrize("seed", range(20))
def test_drawn_schemas(seed):
    check_drawn(seed)


@pytest.mark.slow
def test_three_hundred_drawn_schemas():
    for seed in range(1000, 1300):
        check_drawn(seed)


class Line(BaseModel):
    name: str
    amount: float


class Receipt(BaseModel):
    """A receipt."""

    company: str
    total: float | None = None
    lines: list[Line]


def test_a_pydantic_model_is_a_schema():
    schema = load_schema(Receipt)
    assert schema.blank() == {"company": "", "total": "", "lines": [{"name": "", "amount": ""}]}
    answer = schema.answer()
    assert list(answer["properties"]) == ["company", "total", "lines"]
    assert answer["properties"]["total"] == {"type": "string"}


def test_a_model_that_is_not_defined_whole_is_refused():
    class Unfinished(BaseModel):
        when: SomeDay  # noqa: F821  # the name is unknown on purpose

    with pytest.raises(ConfigError, match="Unfinished has no JSON Schema"):
        load_schema(Unfinished)


def test_a_linked_list_ends():
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "required": ["name", "next"],
    }
    schema = load_schema(node)
    assert schema.blank() == {"name": "", "next": {"name": "", "next": None}}
    Draft202012Validator(schema.answer()).validate(
        {"name": "a", "next": {"name": "b", "next": None}}
    )


def test_descriptions_and_closed_sets_are_notes_of_the_prompt():
    schema = load_schema(
        {
            "type": "object",
            "properties": {
                "total": {"type": "number", "description": "with  tax"},
                "rows": {"type": "array", "items": {"properties": {"unit": {"enum": ["kg", "m"]}}}},
            },
        }
    )
    assert schema.notes() == ["total: with tax", "rows[].unit: one of kg, m"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{nonsense", "not JSON"),
        ("/nowhere/schema.json", "cannot be read"),
        ({"type": "array"}, "not an object"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "has no #/\\$defs/b"),
        ({"type": "object", "properties": {"a": {"$ref": "http://example.com"}}}, "has no http"),
        ({"$ref": "#"}, "refers to itself"),
        ("[1]", "cannot be read"),
        (
            {"type": "object", "properties": {"a": {"type": "banana"}}},
            "properties, a, type: 'banana'",
        ),
        ({"type": "object", "properties": 5}, "properties: 5"),
    ],
)
def test_wrong_schemas_are_refused(source, words):
    with pytest.raises(ConfigError, match=words):
        load_schema(source)


LINES = {"type": "array", "items": {"$ref": "#/$defs/line"}}
LINE = {"type": "object", "properties": {"amount": {"type": "number"}, "x-ray": {}}}


def of(node: dict, **more) -> dict:
    return {
        "type": "object",
        "properties": {"a": node, "lines": LINES},
        "$defs": {"line": LINE},
        **more,
    }


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (of({}, **{"x-check": "totl > 0"}), "names totl"),
        (of({}, **{"x-check": "a == sum(lines.amont)"}), "names amont"),
        (of({"type": "number"}, **{"x-check": "a.b > 0"}), "names b"),
        (of({"type": "string", "x-check": "a > 0"}), "not an object"),
        (of({"format": "date", "x-date-order": "XYZ"}), "x-date-order is .XYZ"),
        (of({"type": "number", "x-decimal": "x"}), "x-decimal is .x"),
        (of({"x-chek": "a > 0"}), "x-chek. is not known"),
        (of({"x-labels": "Total"}), "x-labels is"),
        (of({"enum": []}), "the enum is empty"),
        (of({"type": "object", "properties": {}}), "properties are empty"),
        ({"type": "object", "properties": {}}, "names no value"),
        ({"type": "object"}, "names no value"),
        (of({"type": "string", "format": "ibann"}), "format .ibann"),
        (
            {
                "type": "object",
                "additionalProperties": {"properties": {"net": {}}, "x-check": "nett == 1"},
            },
            "names nett",
        ),
        (of({"type": "string", "format": "IBAN"}), "format .IBAN"),
        (of({"type": "string", "format": "eu"}), "format .eu"),
    ],
)
def test_mistakes_are_refused_before_a_page_is_read(source, words):
    schema = load_schema(source)
    with pytest.raises(ConfigError, match=words):
        check_schema(schema)


@pytest.mark.parametrize(
    "source",
    [
        of({"type": "number", "x-decimal": ","}, **{"x-check": "a == sum(lines.amount)"}),
        of({}, **{"x-check": ["a.b == 1", "lines[0].amount < 2", "len(lines) > 0"]}),
        of({"format": "eu.vat"}),
        of({"format": "iso11649"}),
        of({"format": "uuid"}),
        of({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, **{"x-check": "a.a.lines.amount != []"}),
        {"type": "object", "additionalProperties": {"type": "string"}, "x-check": "b == 1"},
    ],
)
def test_sound_schemas_are_accepted(source):
    check_schema(load_schema(source))
