# SPDX-License-Identifier: Apache-2.0
"""Texts to be compared, from whatever a copy of a benchmark or a rule of reading holds in their place."""

from __future__ import annotations


def as_text(value: object) -> str:
    """The value as a text: numbers, also those of numpy, as Python prints them; nothing as an empty one."""
    if isinstance(value, str):
        return str(value)  # a text of numpy becomes one of Python
    return "" if value is None else str(value)
