# SPDX-License-Identifier: Apache-2.0
"""The two protobuf messages in AndroidControl's records: TensorFlow examples and accessibility trees.

Only the fields that are read are declared; protobuf skips the others. Field numbers are those of
`tensorflow/core/example/*.proto` and of `android_env/proto/a11y/*.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from finesight.errors import EvalError
from finesight.evals.metrics.extras import required

PACKAGE = "finesight"
Field = tuple[int, str, bool]
"""Number, type (a key of `SCHEMA` or a protobuf type), and whether the field is repeated."""


def _fields(kind: str, **numbers: int) -> dict[str, Field]:
    return {name: (number, kind, False) for name, number in numbers.items()}


SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "BytesList": {"value": (1, "bytes", True)},
    "FloatList": {"value": (1, "float", True)},
    "Int64List": {"value": (1, "int64", True)},
    "Feature": {
        "bytes_list": (1, "BytesList", False),
        "float_list": (2, "FloatList", False),
        "int64_list": (3, "Int64List", False),
    },
    "Entry": {"key": (1, "string", False), "value": (2, "Feature", False)},
    "Features": {"feature": (1, "Entry", True)},
    "Example": {"features": (1, "Features", False)},
    "Rect": _fields("int32", left=1, top=2, right=3, bottom=4),
    "Node": {
        **_fields("int32", unique_id=1),
        **_fields("Rect", bounds_in_screen=2),
        **_fields("bool", is_checkable=12, is_clickable=14, is_editable=15),
        **_fields("bool", is_long_clickable=19, is_visible_to_user=23),
        "child_ids": (25, "int32", True),
    },
    "Tree": {"nodes": (1, "Node", True)},
    "Window": {"tree": (11, "Tree", False)},
    "Forest": {"windows": (1, "Window", True)},
}


@dataclass(frozen=True, slots=True)
class Element:
    """One visible node of an accessibility tree.

    Attributes:
        box: left, top, right, bottom in pixels; may extend beyond the screen.
        is_leaf: whether it has no children.
        answers_touch: whether it is clickable, long-clickable, checkable or editable.
    """

    box: tuple[int, int, int, int]
    is_leaf: bool
    answers_touch: bool


def features_of(content: bytes, where: str) -> dict[str, list[Any]]:
    """Features of an example by name: bytes, floats or integers.

    Raises:
        EvalError: the bytes are not an example, or a feature occurs twice; names where.
    """
    found: dict[str, list[Any]] = {}
    for entry in _parsed("Example", content, where).features.feature:
        if entry.key in found:
            raise EvalError(f"{where} has feature {entry.key!r} twice")
        lists = (entry.value.bytes_list, entry.value.float_list, entry.value.int64_list)
        found[entry.key] = next((list(each.value) for each in lists if each.value), [])
    return found


def elements_of(content: bytes, where: str) -> list[Element]:
    """Visible nodes of all windows of a forest, in order.

    Raises:
        EvalError: the bytes are not a forest; names where.
    """
    found = []
    for window in _parsed("Forest", content, where).windows:
        for node in window.tree.nodes:
            bounds = node.bounds_in_screen
            box = (bounds.left, bounds.top, bounds.right, bounds.bottom)
            touch = (node.is_clickable, node.is_long_clickable, node.is_checkable, node.is_editable)
            if node.is_visible_to_user:
                found.append(Element(box, not node.child_ids, any(touch)))
    return found


def message(name: str) -> Any:
    """A new, empty message.

    Raises:
        EvalError: protobuf is not installed.
    """
    return _classes()[name]()


def _parsed(name: str, content: bytes, where: str) -> Any:
    found = message(name)
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs

    try:
        found.ParseFromString(content)
    except DecodeError as error:
        raise EvalError(f"{where} holds no message {name}: {error}") from error
    return found


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    with required("protobuf", "reading AndroidControl"):
        from google.protobuf import (  # type: ignore[import-untyped]  # no stubs
            descriptor_pb2,
            descriptor_pool,
            message_factory,
        )
    file = descriptor_pb2.FileDescriptorProto(
        name="finesight.proto", package=PACKAGE, syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in SCHEMA.items():
        declared = file.message_type.add(name=name)
        for field, (number, kind, is_repeated) in fields.items():
            label = kinds.LABEL_REPEATED if is_repeated else kinds.LABEL_OPTIONAL
            added = declared.field.add(name=field, number=number, label=label)
            if kind in SCHEMA:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                added.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in SCHEMA
    }
