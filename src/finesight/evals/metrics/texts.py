# SPDX-License-Identifier: Apache-2.0
"""Convert values to text and text to numbers."""

from __future__ import annotations


def as_text(value: object) -> str:
    """`str` of a value; None is the empty text."""
    if isinstance(value, str):
        return str(value)  # a text of numpy becomes one of Python
    return "" if value is None else str(value)


def as_float(text: str, longest: int = 300) -> float | None:
    """The number that a text is; None for other texts and for more than `longest` characters, slow to parse."""
    try:
        return float(text) if len(text) <= longest else None
    except ValueError:
        return None
