# SPDX-License-Identifier: Apache-2.0
"""Differences of two versions of a document, clause by clause: changed, moved, removed and added.

A clause begins with a heading or with a block that has a number such as "12.3". Numbers are not compared: where a
clause is removed, all later ones are renumbered.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from rapidfuzz import fuzz
from rapidfuzz.process import cdist

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Evidence
from finesight.apps.review.records import ClauseChange

__all__ = ["Clause", "clauses_of", "compare_versions"]

_NUMBER = re.compile(
    r"^\s*(?:§|第|Section|Clause|Article|Artikel|Ziffer)?\s*(\d{1,3}(?:\.\d{1,3})*)[.)条]?(?:\s+|(?=[^\d\s.,]))"
)
_LEAST_ALIKE = 60.0
"""Similarity (0 to 100) from which two clauses are versions of one."""

Words = tuple[tuple[Literal["kept", "removed", "added"], str], ...]


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause.

    Attributes:
        number: such as "12.3"; empty if it has none.
        text: without its number, with single spaces.
        evidence: places of its blocks.
    """

    number: str
    text: str
    evidence: tuple[Evidence, ...]


def clauses_of(pages: Sequence[ReadPage]) -> list[Clause]:
    """Clauses of a document, in order; running heads and feet are left out."""
    media = {name: index for index, name in enumerate(dict.fromkeys(one.source for one in pages))}
    groups: list[tuple[str, list[str], list[Evidence]]] = []
    for page in pages:
        for one in page.blocks:
            text = " ".join(one.block.text.split())
            if not text or one.role != "body":
                continue
            match = _NUMBER.match(text)
            is_start = match is not None or one.block.kind == "heading"
            if is_start or not groups:
                groups.append((match[1] if match else "", [], []))
            place = Evidence(
                media=media[page.source],
                page=page.index,
                box=one.box,
                quote=text,
                match="exact",
                source=one.source,
            )
            groups[-1][1].append(text[match.end() :] if match else text)
            groups[-1][2].append(place)
    return [
        Clause(number, " ".join(texts).strip(), tuple(places)) for number, texts, places in groups
    ]


def compare_versions(old: Sequence[ReadPage], new: Sequence[ReadPage]) -> tuple[ClauseChange, ...]:
    """Differences from the old version to the new one.

    Returns:
        Removed clauses in the order of the old version, then all others in the order of the new one.
    """
    before, after = clauses_of(old), clauses_of(new)
    pairs = _pairs(before, after)
    stays = _in_order([pairs[at] for at in range(len(after)) if at in pairs])
    removed = set(range(len(before))) - set(pairs.values())
    changes = [
        ClauseChange(
            kind="removed",
            old_number=before[at].number,
            old_text=before[at].text,
            words=(("removed", before[at].text),),
            old_evidence=before[at].evidence,
        )
        for at in sorted(removed)
    ]
    for at, clause in enumerate(after):
        if at not in pairs:
            changes.append(_added(clause))
            continue
        change = _change(before[pairs[at]], clause, is_moved=pairs[at] not in stays)
        changes += [change] if change else []
    return tuple(changes)


def _pairs(before: Sequence[Clause], after: Sequence[Clause]) -> dict[int, int]:
    """For clauses of the new version, the clause of the old one; the most alike are paired first."""
    if not before or not after:
        return {}
    alike = cdist(
        [one.text.casefold() for one in after],
        [one.text.casefold() for one in before],
        scorer=fuzz.ratio,
        score_cutoff=_LEAST_ALIKE,
    )
    candidates = [
        (-float(alike[new, old]), after[new].number != before[old].number, abs(new - old), new, old)
        for new in range(len(after))
        for old in range(len(before))
        if alike[new, old] > 0
    ]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, _, new, old in sorted(candidates):
        if new not in pairs and old not in taken:
            pairs[new] = old
            taken.add(old)
    return pairs


def _in_order(places: Sequence[int]) -> set[int]:
    """The longest part of a list of different numbers that increases: clauses that did not move."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for at, place in enumerate(places):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(place)
            ends.append(at)
        else:
            tails[length], ends[length] = place, at
    kept: set[int] = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        kept.add(places[at])
        at = before[at]
    return kept


def _added(clause: Clause) -> ClauseChange:
    return ClauseChange(
        kind="added",
        new_number=clause.number,
        new_text=clause.text,
        words=(("added", clause.text),),
        new_evidence=clause.evidence,
    )


def _change(old: Clause, new: Clause, *, is_moved: bool) -> ClauseChange | None:
    is_changed = old.text != new.text
    if not is_changed and not is_moved:
        return None
    kind: Literal["changed", "moved", "moved and changed"] = "changed" if is_changed else "moved"
    return ClauseChange(
        kind="moved and changed" if is_changed and is_moved else kind,
        old_number=old.number,
        new_number=new.number,
        old_text=old.text,
        new_text=new.text,
        words=_words(old.text, new.text),
        old_evidence=old.evidence,
        new_evidence=new.evidence,
    )


def _words(old: str, new: str) -> Words:
    first, second = old.split(), new.split()
    found: list[tuple[Literal["kept", "removed", "added"], str]] = []
    for code, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if code == "equal":
            found.append(("kept", " ".join(first[a:b])))
            continue
        found += [("removed", " ".join(first[a:b]))] if a < b else []
        found += [("added", " ".join(second[c:d]))] if c < d else []
    return tuple(found)
