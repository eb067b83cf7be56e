# SPDX-License-Identifier: Apache-2.0
"""Finding JSON in a reply: fenced or bare, one block or several, whole or cut.

Legend: a *region* is a stretch of text that is either inside a fence of three backticks or outside
all of them; JSON never reaches over the edge of a region, so a stray quote in a sentence cannot
swallow the block after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from finesight.errors import ParseError
from finesight.parse.json_scan import JsonBlock, Scanner
from finesight.parse.records import JsonValue

__all__ = ["JsonBlock", "ObjectVisit", "Region", "find_blocks", "read_json", "regions", "walk"]

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
    """A stretch of text inside or outside a fence.

    Attributes:
        start: offset of its first character, after the fence.
        end: offset past its last character, before the closing fence.
        info: the word after the opening fence, in lower case; empty outside a fence.
        is_fenced: whether it stands inside a fence.
    """

    start: int
    end: int
    info: str = ""
    is_fenced: bool = False

    @property
    def is_code(self) -> bool:
        """Whether the fence says that it holds a program; numbers in it are no results."""
        return bool(self.info) and self.info not in _DATA_FENCES


@dataclass(frozen=True, slots=True)
class ObjectVisit:
    """One object met while walking a block.

    Attributes:
        members: its keys and values.
        enclosing: the objects and keys around it, the outermost first.
        is_complete: whether its closing bracket was read.
    """

    members: dict[str, JsonValue]
    enclosing: tuple[dict[str, JsonValue] | str, ...]
    is_complete: bool

    def saying(self, said: dict[str, JsonValue]) -> ObjectVisit:
        """The object with what an object within it says too, which goes first."""
        return replace(self, members={**self.members, **said}) if said else self


def regions(text: str) -> Iterator[Region]:
    """Cut a text at its fences; regions come in order and leave out the fences only."""
    start, info, is_fenced = 0, "", False
    for fence in _FENCE.finditer(text):
        word = fence.group(1) or fence.group(2) or fence.group(3) or ""
        yield Region(start, fence.start(), info, is_fenced)
        is_fenced = not is_fenced or bool(word)  # a fence with a word always opens
        start, info = fence.end(), word.lower() if is_fenced else ""
    yield Region(start, len(text), info, is_fenced)


def find_blocks(text: str) -> list[JsonBlock]:
    """All lists and objects of a text, in order.

    Brackets of a sentence are left out: a block that is not closed counts only if it holds a key or
    stands in a fence.
    """
    blocks: list[JsonBlock] = []
    for region in regions(text):
        scanner = Scanner(text, region.start, region.end, is_fenced=region.is_fenced)
        at = region.start
        while opener := _OPENER.search(text, at, region.end):
            block = scanner.read(opener.start())
            at = max(block.span[1], opener.end())
            if block.state == "closed" or block.num_keys or (block.is_fenced and _is_cut(block)):
                blocks.append(block)
    return blocks


def walk(block: JsonBlock) -> Iterator[ObjectVisit]:
    """Every object of a block, outer before inner, in reading order."""
    yield from _walk(block.value, (), block.open_levels)


def read_json(text: str) -> JsonValue:
    """The one JSON value of a reply, such as the answer to a key-value prompt.

    Raises:
        ParseError: there is none, there are several, or the only one is not whole.
    """
    blocks = [block for block in find_blocks(text) if block.num_keys or block.is_fenced]
    if len(blocks) != 1:
        raise ParseError(
            f"expected one JSON value in a text of {len(text)} characters, found {len(blocks)}",
            hint="ask for one JSON value, or use find_blocks to take them all",
        )
    block = blocks[0]
    if block.state != "closed":
        raise ParseError(
            f"the JSON value at character {block.span[0]} is {block.state} "
            f"at character {block.span[1]}",
            hint="raise max_new_tokens if the reply ended with finish_reason 'length'",
        )
    return block.value


def _is_cut(block: JsonBlock) -> bool:
    return block.state == "cut"


def _walk(
    value: JsonValue, enclosing: tuple[dict[str, JsonValue] | str, ...], open_levels: int
) -> Iterator[ObjectVisit]:
    """Depth is bounded by the scanner's `MAX_DEPTH`."""
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
