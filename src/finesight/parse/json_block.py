# SPDX-License-Identifier: Apache-2.0
"""Finds JSON in a reply: in fences or outside them, one block or several, complete or cut off.

Legend: a *region* is a part of the text that is either inside a fence of three backticks or outside
all fences. JSON never crosses the edge of a region, so a stray quote in a sentence cannot hide the
block after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from finesight.parse.json_scan import JsonBlock, Scanner
from finesight.parse.records import JsonValue, Span

__all__ = ["JsonBlock", "ObjectVisit", "Region", "blank", "find_blocks", "regions", "walk"]

_FENCE = re.compile(
    r"^[ \t]*+```(\w*+)|(?<=[\]}>])[ \t]*+```(\w*+)|```(json|xml|html|python|plaintext)\b",
    re.MULTILINE,
)
_DATA_FENCES = (
    "json",
    "jsonl",
    "text",
    "txt",
    "plain",
    "plaintext",
    "xml",
    "html",
    "csv",
    "markdown",
    "md",
)
_OPENER = re.compile(r"[\[{]")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a text inside a fence or outside all fences.

    Attributes:
        start: offset of its first character, after the fence.
        end: offset past its last character, before the closing fence.
        info: the word after the opening fence, in lower case; empty outside a fence.
        is_fenced: whether it is inside a fence.
    """

    start: int
    end: int
    info: str = ""
    is_fenced: bool = False

    @property
    def is_code(self) -> bool:
        """Whether the fence marks a program; numbers in it are not results."""
        return bool(self.info) and self.info not in _DATA_FENCES


@dataclass(frozen=True, slots=True)
class ObjectVisit:
    """One object of a block.

    Attributes:
        members: its keys and values.
        enclosing: the objects and keys around it, outermost first.
        is_complete: whether its closing bracket was read.
    """

    members: dict[str, JsonValue]
    enclosing: tuple[dict[str, JsonValue] | str, ...]
    is_complete: bool

    def with_members(self, members: dict[str, JsonValue]) -> ObjectVisit:
        """The object with these members added; they replace its own of the same name."""
        return replace(self, members={**self.members, **members}) if members else self


def regions(text: str) -> Iterator[Region]:
    """Split a text at its fences, in order; only the fences themselves are left out."""
    start, info, is_fenced = 0, "", False
    for fence in _FENCE.finditer(text):
        if is_fenced and fence.group(3):  # within a line: a part of a string
            continue
        word = fence.group(1) or fence.group(2) or fence.group(3) or ""
        yield Region(start, fence.start(), info, is_fenced)
        is_fenced = not is_fenced or bool(word)  # a fence with an info word always opens
        start, info = fence.end(), word.lower() if is_fenced else ""
    yield Region(start, len(text), info, is_fenced)


def blank(text: str, spans: Sequence[Span]) -> str:
    """The text with these spans replaced by spaces; offsets and line breaks stay."""
    parts, at = [], 0
    for start, end in sorted(spans):
        begin = max(start, at)
        parts.append(text[at:begin])
        parts.append(re.sub(r"[^\n]", " ", text[begin : max(end, begin)]))
        at = max(end, at)
    return "".join((*parts, text[at:]))


def find_blocks(text: str) -> list[JsonBlock]:
    """All lists and objects of a text, in order.

    Brackets in sentences are left out: a block that is not closed counts only if it contains a key or
    is in a fence.
    """
    blocks: list[JsonBlock] = []
    for region in regions(text):
        scanner = Scanner(text, region.start, region.end, is_fenced=region.is_fenced)
        at = region.start
        while opener := _OPENER.search(text, at, region.end):
            block = scanner.read(opener.start())
            at = max(block.span[1], opener.end())
            is_fenced_and_cut = block.is_fenced and block.state == "cut"
            if block.state == "closed" or block.num_keys or is_fenced_and_cut:
                blocks.append(block)
    return blocks


def walk(block: JsonBlock) -> Iterator[ObjectVisit]:
    """Every object of a block, outer before inner, in reading order."""
    yield from _walk(block.value, (), block.open_levels)


def _walk(
    value: JsonValue, enclosing: tuple[dict[str, JsonValue] | str, ...], open_levels: int
) -> Iterator[ObjectVisit]:
    """Recursion is bounded by `MAX_DEPTH` of the scanner."""
    if isinstance(value, dict):
        yield ObjectVisit(value, enclosing, open_levels == 0)
        children = [((*enclosing, value, key), child) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(enclosing, child) for child in value]
    else:
        return
    for index, (path, child) in enumerate(children):
        is_last = index == len(children) - 1
        yield from _walk(child, path, open_levels - 1 if is_last and open_levels > 1 else 0)
