# SPDX-License-Identifier: Apache-2.0
"""Parse lists, objects and numbers written as JSON or Python literals, without evaluating code."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

from finesight.parse.json_block import find_blocks

LONGEST_READ = 32_000
"""Characters of a text that are parsed."""

_NUMBER = re.compile(r"[-+]?(?:\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})(?:[eE][-+]?\d{1,3})?")
_PAIR = re.compile(
    r"[\"']?([^\W\d][\w ]{0,80}?)[\"']?\s{0,4}[:=]\s{0,4}[\"']?([^\n,\"'{}]{1,4000})[\"']?"
)
_WORDS = {"true": True, "false": False}


def read_literal(text: str) -> Any:
    """The list, object, number, quoted text or bool that the whole text is; None for anything else."""
    stripped = text.strip()[:LONGEST_READ]
    if _NUMBER.fullmatch(stripped):
        return int(stripped) if stripped.lstrip("+-").isdigit() else float(stripped)
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    if len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "\"'":
        return stripped[1:-1]
    if stripped[:1] == "(" and stripped[-1:] == ")":
        stripped = f"[{stripped[1:-1]}]"
    blocks = find_blocks(stripped)
    is_whole = len(blocks) == 1 and blocks[0].span == (0, len(stripped))
    return blocks[0].value if is_whole and blocks[0].state == "closed" else None


def read_python(text: str) -> Any:
    """The value of a Python literal, such as `1, 2` for a tuple.

    Raises:
        ValueError: the text is not a literal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning for "5or"
            return ast.literal_eval(text[:LONGEST_READ])
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is not a Python literal") from error


def read_object(text: str) -> dict[str, Any]:
    """The first object of a text, or the `key: value` pairs of its lines; empty if there are none."""
    for block in find_blocks(text[:LONGEST_READ]):
        if isinstance(block.value, dict) and block.num_keys:
            return dict(block.value)
    return {key.strip(): value.strip() for key, value in _PAIR.findall(text[:LONGEST_READ])}


def load_object(value: Any) -> dict[str, Any]:
    """An object of the data set, possibly written as JSON or Python; empty if it is not an object."""
    if isinstance(value, dict):
        return value
    try:
        loaded = json.loads(value)
    except (TypeError, ValueError):
        loaded = read_literal(str(value).strip().strip('"'))
    if isinstance(loaded, str):
        loaded = read_literal(loaded)
    return loaded if isinstance(loaded, dict) else {}
