# SPDX-License-Identifier: Apache-2.0
"""Rules between fields, such as `total == sum(lines.amount) + tax`, evaluated without Python's `eval`.

A rule stands in the schema of an object, under `x-check`, as a text or a list of texts. Names are fields of this
object; `a.b` is a field of an object, or of each object of a list; `a[0]` is an item of a list. Beside numbers and
texts there are + - * /, comparisons, and, or, not, in, and the functions sum, min, max, len, abs and round. Numbers
are decimal, so that 0.1 + 0.2 is 0.3.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from finesight.apps.extract.records import CheckResult
from finesight.apps.extract.schema import Schema, kind_of
from finesight.errors import ConfigError

__all__ = ["FUNCTIONS", "check_rules", "checks_of", "parse_rule", "rules_of"]

_LONGEST = 1000
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, group: item in group,
    ast.NotIn: lambda item, group: item not in group,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda items: sum(items, Decimal(0)),
    "min": min,
    "max": max,
    "len": lambda items: Decimal(len(items)),
    "abs": abs,
    "round": lambda number, digits=Decimal(0): round(number, int(digits)),
}
"""Functions of rules, by name."""


class _Unknown(Exception):
    """A value that a rule needs is not there, or is not of a type that the rule can use."""


def parse_rule(rule: str) -> ast.expr:
    """The expression of a rule.

    Raises:
        ConfigError: it is no expression, or it uses what rules do not have.
    """
    try:
        if len(rule) > _LONGEST:
            raise ConfigError(f"a rule has {len(rule)} characters; at most {_LONGEST} are accepted")
        body = ast.parse(rule.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"the rule {rule[:160]!r} is no expression: {error}",
            hint='for example "total == sum(lines.amount) + tax"',
        ) from error
    for node in ast.walk(body):
        if not _is_allowed(node):
            raise ConfigError(
                f"the rule {rule[:160]!r} has {type(node).__name__}",
                hint="rules have names, numbers, texts, + - * /, comparisons, and, or, not, in, "
                f"and the functions {', '.join(FUNCTIONS)}",
            )
    return body


def check_rules(schema: Schema) -> None:
    """Raise `ConfigError` if a rule of the schema is wrong."""

    def visit(node: Any, *, is_names: bool = False) -> None:
        if isinstance(node, Mapping):
            if not is_names:
                for rule in rules_of(node):
                    parse_rule(rule)
            for key, one in node.items():
                visit(one, is_names=key in ("properties", "$defs", "definitions") and not is_names)
        elif isinstance(node, list):
            for one in node:
                visit(one)

    visit(schema.root)


def checks_of(schema: Schema, data: Any) -> tuple[CheckResult, ...]:
    """Evaluate every rule of the schema on the data."""
    return tuple(_checks(schema, schema.root, data, ""))


def _checks(schema: Schema, node: Any, data: Any, path: str) -> Iterator[CheckResult]:
    plain = schema.resolved(node)
    if isinstance(data, dict) and kind_of(plain) == "object":
        for rule in rules_of(plain):
            yield _checked(rule, data, path)
        rest = plain.get("additionalProperties", {})
        for key, one in (schema.properties(plain) or dict.fromkeys(data, rest)).items():
            if key in data:
                yield from _checks(schema, one, data[key], f"{path}.{key}" if path else key)
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _checks(schema, plain.get("items", {}), item, f"{path}[{index}]")


def rules_of(node: Mapping[str, Any]) -> list[str]:
    """Rules of a part of a schema.

    Raises:
        ConfigError: `x-check` is neither a text nor a list of texts.
    """
    given = node.get("x-check", [])
    rules = [given] if isinstance(given, str) else given
    if not isinstance(rules, list) or not all(isinstance(one, str) for one in rules):
        raise ConfigError(
            f"x-check is {str(given)[:160]}",
            hint='a rule, or a list of rules: "total == net + tax"',
        )
    return rules


def _checked(rule: str, data: Mapping[str, Any], path: str) -> CheckResult:
    expression = parse_rule(rule)
    used = {
        f"{path}.{name.id}" if path else name.id: data.get(name.id)
        for name in ast.walk(expression)
        if isinstance(name, ast.Name) and name.id not in FUNCTIONS
    }
    try:
        holds = bool(_value(expression, data))
    except (_Unknown, TypeError, InvalidOperation, ZeroDivisionError, ValueError):
        return CheckResult(rule, path, "unknown", used)
    return CheckResult(rule, path, "pass" if holds else "fail", used)


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (int, float, str, bool)) or node.value is None
    kinds = (
        *(ast.Name, ast.Load, ast.Attribute, ast.Subscript, ast.List, ast.Tuple),
        *(ast.BinOp, ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.BoolOp, ast.And, ast.Or),
        *(ast.Compare, *_ARITHMETIC, *_COMPARISONS),
    )
    return isinstance(node, kinds)


def _value(node: ast.AST, data: Any) -> Any:
    match node:
        case ast.Constant(value=value):
            return _decimal(value)
        case ast.Name(id=name):
            return _field(data, name)
        case ast.Attribute(value=inner, attr=name):
            return _field(_value(inner, data), name)
        case ast.Subscript(value=inner, slice=place):
            return _item(_value(inner, data), _value(place, data))
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(one, data) for one in items]
        case ast.BinOp(left=left, op=op, right=right):
            pair = _value(left, data), _value(right, data)
            if not all(isinstance(one, Decimal) for one in pair):
                raise _Unknown
            return _ARITHMETIC[type(op)](*pair)
        case ast.UnaryOp(op=op, operand=inner):
            value = _value(inner, data)
            return (
                not value
                if isinstance(op, ast.Not)
                else -value
                if isinstance(op, ast.USub)
                else value
            )
        case ast.BoolOp(op=op, values=parts):
            values = (bool(_value(one, data)) for one in parts)
            return all(values) if isinstance(op, ast.And) else any(values)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(one, data) for one in arguments))
        case ast.Compare():
            return _compared(node, data)
    raise _Unknown


def _compared(node: ast.Compare, data: Any) -> bool:
    left = _value(node.left, data)
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node, data)
        if not _COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True


def _field(data: Any, name: str) -> Any:
    if isinstance(data, list):
        return [_field(one, name) for one in data]
    if not isinstance(data, Mapping) or data.get(name) is None:
        raise _Unknown
    return _decimal(data[name])


def _item(data: Any, place: Any) -> Any:
    if not isinstance(data, list) or not isinstance(place, Decimal):
        raise _Unknown
    index = int(place)
    if not -len(data) <= index < len(data):
        raise _Unknown
    return data[index]


def _decimal(value: Any) -> Any:
    if isinstance(value, list):
        return [_decimal(one) for one in value]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Decimal(str(value)) if is_number else value
