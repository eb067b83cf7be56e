# SPDX-License-Identifier: Apache-2.0
"""The Markdown of the project as its tests see it: links, headings and blocks of code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT

FENCE = re.compile(
    r"(?:^<!-- (?P<when>not run|slow): (?P<reason>[^\n]*?) -->\n+)?"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
QUOTED = re.compile(r"^<!-- code: .*?^<!-- end -->$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} (?P<title>.+?)#*$", re.MULTILINE)
INLINE_CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: what stands after the fence.
        code: the lines inside.
        line: of the page, where the code begins.
        when: "not run", "slow" (run by `make test-slow`), or None: it is run each time.
        reason: why, where `when` is not None.
    """

    language: str
    code: str
    line: int
    when: str | None
    reason: str | None


def all_pages() -> list[Path]:
    """Pages at the top of the tree, and everything below docs/ and recipes/."""
    folders = ("docs", "recipes", "examples", "tests", "benchmarks")
    below = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.md"))]
    return [*sorted(ROOT.glob("*.md")), *below]


def blocks(text: str) -> list[Block]:
    """Fenced blocks that are not quotes of the source."""
    own = QUOTED.sub(lambda match: "\n" * match.group().count("\n"), text)
    return [
        Block(
            match["language"],
            match["code"],
            own.count("\n", 0, match.start("code")) + 1,
            match["when"],
            match["reason"],
        )
        for match in FENCE.finditer(own)
    ]


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Relative links whose file or heading does not exist."""
    prose = INLINE_CODE.sub("", FENCE.sub("", text))
    for match in LINK.finditer(prose):
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if name and not file.exists():
            yield f"{page.name}: {target} does not exist"
        elif anchor and file.suffix == ".md":
            there = text if file == page else file.read_text(encoding="utf-8")
            if anchor not in anchors(there):
                yield f"{page.name}: {target}: no such heading"


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in links, as on GitHub."""
    found = set()
    for match in HEADING.finditer(FENCE.sub("", text)):
        title = re.sub(r"[`*]", "", match["title"].strip()).lower()
        kept = [
            letter
            for letter in title
            if letter in " -_" or unicodedata.category(letter)[0] in ("L", "N")
        ]
        found.add("".join(kept).replace(" ", "-"))
    return found
