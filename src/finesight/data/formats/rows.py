# SPDX-License-Identifier: Apache-2.0
"""Rows of a file, and rows that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from finesight.errors import RecordInvalid

__all__ = ["REASONS", "Problem", "Reason", "Row", "RowRefused", "known", "text_field"]

Reason = Literal[
    "unreadable",
    "columns",
    "roles",
    "empty answer",
    "marks",
    "missing media",
    "broken media",
    "media outside",
    "address",
    "box",
    "record",
    "encoding",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""
| reason | what was found |
| --- | --- |
| unreadable | broken JSON, a damaged file |
| columns | a missing or unknown column, or a value of the wrong type |
| roles | an unknown role, or an order that is no conversation |
| empty answer | an answer to learn has no text |
| marks | the number of `<image>` or `<video>` marks is not that of the pictures or videos |
| missing media | a picture or video does not exist |
| broken media | a picture or video does not decode, or is too large or too narrow |
| media outside | a path leads out of the folders of the media |
| address | media from the network, which was not asked for |
| box | a box or point that is outside its picture, has no area, or belongs to an unknown picture |
| record | anything else that a record may not have |
| encoding | the processor of the model refuses the record |
"""


class RowRefused(RecordInvalid):
    """A row cannot be used.

    Args:
        reason: under which it is counted.
        message: what is wrong.
        hint: what the user can do.
    """

    def __init__(self, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        place: file and row, for messages: `train.jsonl, row 12`, counted from 1.
        value: what the container holds.
        files: media that the container holds itself, by name.
        refused: why the row could not be read; None if it could.
    """

    place: str
    value: Any = None
    files: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    refused: RowRefused | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be used: file and row, the reason under which it is counted, and what is wrong."""

    place: str
    reason: Reason
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}: {self.message}"


def known(row: Row) -> dict[str, Any]:
    """The columns of a row that have a value.

    Raises:
        RowRefused: the row is no object.
    """
    if not isinstance(row.value, Mapping):
        raise RowRefused(
            "columns", f"the row is a {type(row.value).__name__}, expected an object with columns"
        )
    return {str(key): value for key, value in row.value.items() if value is not None}


def text_field(columns: dict[str, Any], key: str) -> str:
    """Take a text out of the columns; empty if it is missing.

    Raises:
        RowRefused: the value is no text.
    """
    value = columns.pop(key, "")
    if not isinstance(value, str):
        raise RowRefused("columns", f"{key} is a {type(value).__name__}, expected a text")
    return value
