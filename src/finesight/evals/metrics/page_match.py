# SPDX-License-Identifier: Apache-2.0
"""Distances of a predicted page from the gold page: text, formulas, tables and reading order.

Blocks are matched first, so that a paragraph in another position affects order and not text. Matching starts with the
cheapest one-to-one assignment. Then each match, the closest first, takes in free adjacent blocks of either side as long
as that reduces its distance, which handles split and joined paragraphs. Paragraphs in many pieces start with the
longest piece that is contained in the other side. Pairs further apart than `FURTHEST` do not match. An unmatched gold
block counts as deleted. Unmatched predicted text is reported separately.

Follows the end-to-end evaluation of "OmniDocBench" (2024), including its adjacency search, with rules of our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from finesight.evals.metrics.extras import required
from finesight.evals.metrics.page_blocks import (
    Block,
    Kind,
    blocks_of,
    plain_formula,
    plain_words,
)
from finesight.evals.metrics.tables import plain_table, table_words, teds

FURTHEST = 0.7
"""Largest normalised edit distance of a match."""
_INSIDE = 0.8
_MOST_TRIES = 3


@dataclass(slots=True)
class Match:
    """Indices of adjacent gold blocks and of adjacent predicted blocks."""

    golds: list[int]
    pred: list[int]


def page_distances(golds: Sequence[Block], markdown: str) -> dict[str, float]:
    """Distances of a page, 0 (equal) to 1.

    Args:
        golds: gold blocks in reading order.
        markdown: the predicted page.

    Returns:
        `text`, `formula` and `table`: edits over characters of the longer side; `order`: edits of the order of text
        blocks; `tree` and `tree_structure`: 1 - TEDS, mean over tables; `extra`: share of the predicted characters
        that are unmatched. 0 for a kind without gold blocks.

    Raises:
        EvalError: scipy, lxml or apted is not installed.
    """
    found = blocks_of(markdown)
    tables, unused = _tables(golds, [block.text for block in found if block.kind == "table"])
    pred = [block for block in found if block.kind != "table"]
    pred += [Block("text", text) for text in unused if plain_words(text)]
    wanted = [block for block in golds if block.kind != "table" and _plain(block, block.kind)]
    matches = match_blocks(wanted, pred)
    return {
        "text": _edits("text", wanted, pred, matches),
        "formula": _edits("formula", wanted, pred, matches),
        **tables,
        "order": _order(wanted, matches),
        "extra": _extra(pred, matches),
    }


def match_blocks(golds: Sequence[Block], pred: Sequence[Block]) -> list[Match]:
    """Matches of text and formulas; each block is in one match at most."""
    costs = _table(golds, pred, Levenshtein.normalized_distance)
    sure = sorted((costs[g][s], g, s) for g, s in _assigned(costs) if costs[g][s] <= FURTHEST)
    free = (set(range(len(golds))), set(range(len(pred))))
    for _, gold, place in sure:
        free[0].remove(gold)
        free[1].remove(place)
    matches = []
    for cost, gold, place in sure:
        matches.append(Match([gold], [place]))
        _grow(matches[-1], golds, pred, free, cost)
    tries: Counter[int] = Counter()
    for gold, place in _beginnings(golds, pred, free):
        if gold not in free[0] or place not in free[1] or tries[gold] >= _MOST_TRIES:
            continue
        tries[gold] += 1
        match = Match([gold], [place])
        free[0].remove(gold)
        free[1].remove(place)
        if _grow(match, golds, pred, free, costs[gold][place]) <= FURTHEST:
            matches.append(match)
        else:
            free[0].update(match.golds)
            free[1].update(match.pred)
    return matches


def _beginnings(
    golds: Sequence[Block], pred: Sequence[Block], free: tuple[set[int], set[int]]
) -> list[tuple[int, int]]:
    """Pairs of free blocks of which one contains the other, the longest first."""
    rows, columns = sorted(free[0]), sorted(free[1])
    fits = _table([golds[g] for g in rows], [pred[s] for s in columns], _inside)
    found = [
        (-fit, gold, place)
        for gold, row in zip(rows, fits, strict=True)
        for place, fit in zip(columns, row, strict=True)
        if fit > 0
    ]
    return [(gold, place) for _, gold, place in sorted(found)]


def _inside(one: str, other: str) -> float:
    """Number of letters of the shorter text that one place of the longer has; 0 below a share of `_INSIDE`."""
    share = fuzz.partial_ratio(one, other) / 100
    return share * min(len(one), len(other)) if share >= _INSIDE else 0.0


def _table(
    golds: Sequence[Block], pred: Sequence[Block], measure: Callable[[str, str], float]
) -> list[list[float]]:
    """A measure of every pair; equal predicted texts are measured once."""
    rows = []
    for gold in golds:
        words = [_plain(each, gold.kind) for each in pred]
        known = {each: measure(_plain(gold, gold.kind), each) for each in set(words)}
        rows.append([known[each] for each in words])
    return rows


def _grow(
    match: Match,
    golds: Sequence[Block],
    pred: Sequence[Block],
    free: tuple[set[int], set[int]],
    cost: float,
) -> float:
    """Add the adjacent block that reduces the distance most, until none does; returns the final distance."""
    kind = golds[match.golds[0]].kind
    while True:
        moves = []
        for side, (places, blocks) in enumerate(((match.golds, golds), (match.pred, pred))):
            for place in (places[0] - 1, places[-1] + 1):
                if place in free[side] and (side == 1 or blocks[place].kind == kind):
                    grown = [match.golds, match.pred]
                    grown[side] = sorted([*places, place])
                    distance = _distance([golds[g] for g in grown[0]], [pred[s] for s in grown[1]])
                    moves.append((distance, side, place, grown))
        best = min(moves, key=lambda move: move[:3], default=None)
        if best is None or best[0] >= cost:
            return cost
        cost = best[0]
        free[best[1]].remove(best[2])
        match.golds, match.pred = best[3]


@lru_cache(maxsize=8192)
def _plain(block: Block, kind: Kind) -> str:
    """Text of a block for comparison with a block of this kind."""
    return plain_formula(block.text) if kind == "formula" else plain_words(block.text)


def _distance(golds: Sequence[Block], pred: Sequence[Block]) -> float:
    kind = golds[0].kind
    one, other = ("".join(_plain(each, kind) for each in side) for side in (golds, pred))
    return float(Levenshtein.normalized_distance(one, other))


def _assigned(costs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """The cheapest one-to-one assignment of rows to columns."""
    if not costs or not costs[0]:
        return []
    with required("scipy", "matching blocks of pages"):
        from scipy.optimize import linear_sum_assignment
    rows, columns = linear_sum_assignment(costs)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def _edits(
    kind: Kind, golds: Sequence[Block], pred: Sequence[Block], matches: Sequence[Match]
) -> float:
    """Edits over characters of all blocks of a kind; the length of a match is that of its longer side."""
    edits = length = 0
    matched: set[int] = set()
    for match in matches:
        if golds[match.golds[0]].kind != kind:
            continue
        matched |= set(match.golds)
        one = "".join(_plain(golds[place], kind) for place in match.golds)
        other = "".join(_plain(pred[place], kind) for place in match.pred)
        edits += Levenshtein.distance(one, other)
        length += max(len(one), len(other))
    for place, gold in enumerate(golds):
        if gold.kind == kind and place not in matched:
            edits += len(_plain(gold, kind))
            length += len(_plain(gold, kind))
    return edits / length if length else 0.0


def _order(golds: Sequence[Block], matches: Sequence[Match]) -> float:
    """Normalised edits between the gold and the predicted order of text blocks."""
    wanted = [place for place, gold in enumerate(golds) if gold.kind == "text"]
    if not wanted:
        return 0.0
    texts = [match for match in matches if golds[match.golds[0]].kind == "text"]
    found = [place for match in sorted(texts, key=lambda one: one.pred[0]) for place in match.golds]
    return float(Levenshtein.normalized_distance(wanted, found))


def _extra(pred: Sequence[Block], matches: Sequence[Match]) -> float:
    used = {place for match in matches for place in match.pred}
    lengths = [len(plain_words(block.text)) for block in pred]
    total = sum(lengths)
    return sum(n for place, n in enumerate(lengths) if place not in used) / total if total else 0.0


def _tables(golds: Sequence[Block], pred: Sequence[str]) -> tuple[Mapping[str, float], list[str]]:
    """Distances of tables, matched one to one; and the words of unmatched predicted tables."""
    wanted = [plain_table(block.text) for block in golds if block.kind == "table"]
    plain = [plain_table(text) for text in pred]
    costs = [[Levenshtein.normalized_distance(gold, text) for text in plain] for gold in wanted]
    chosen: dict[int, Any] = dict(_assigned(costs))
    edits = length = 0
    trees = structures = 0.0
    for place, gold in enumerate(wanted):
        text = plain[chosen[place]] if place in chosen else ""
        edits += Levenshtein.distance(gold, text)
        length += max(len(gold), len(text))
        trees += 1.0 - teds(text, gold)
        structures += 1.0 - teds(text, gold, structure_only=True)
    unused = [table_words(text) for n, text in enumerate(plain) if n not in chosen.values()]
    count = max(len(wanted), 1)
    distances = {"table": edits / length if length else 0.0}
    return distances | {"tree": trees / count, "tree_structure": structures / count}, unused
