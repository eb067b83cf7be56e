# SPDX-License-Identifier: Apache-2.0
"""Text spotting as the ICDAR robust reading competitions judge it, and outlines of documents.

Spotting: a box said and a box there are a pair if their overlap exceeds one half, taken in the order of the truth, each
once; the pair counts if the words agree in upper case, where the truth may have one punctuation mark at either end that
was not said. Regions marked "###" are nobody's business. The score is the harmonic mean of precision and recall.

Outlines: the tree of headings and lines that OCRBench v2 compares. Two lines that hold anything are equal there
whatever they hold, so this measures structure only; put a character error rate beside it.

Sources: ICDAR RRC end-to-end protocol; OCRBench v2 (2024).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from finesight.evals.metrics.boxes import are_finite, iou
from finesight.evals.metrics.tables import MAX_NODES, Node, tree_distance

Word: TypeAlias = tuple[Sequence[float], str]
"""A box `(x1, y1, x2, y2)` and its text."""

_MARKS = "!?.:,*\"()·[]/'"
_DO_NOT_CARE = "###"
_SILENT = re.compile(r"<bos>|<eos>|<pad>|<unk>|[*_]")


def spotting_hmean(pred: Sequence[Word], gold: Sequence[Word]) -> float:
    """Harmonic mean of precision and recall of words with their boxes, 0..1."""
    ignored = [box for box, text in gold if text == _DO_NOT_CARE]
    wanted = [(box, text) for box, text in gold if text != _DO_NOT_CARE]
    said = [
        (box, text)
        for box, text in pred
        if are_finite(box) and not any(_share_inside(box, region) > 0.5 for region in ignored)
    ]
    if not pred or not gold or not wanted or not said:
        return 0.0
    free = list(range(len(said)))
    num_right = 0
    for box, text in wanted:
        match = next((place for place in free if iou(said[place][0], box) > 0.5), None)
        if match is not None:
            free.remove(match)
            num_right += _same_words(text.upper(), said[match][1].upper())
    return 2 * num_right / (len(said) + len(wanted))


def outline_similarity(pred: str, gold: str) -> float:
    """`1 - edits / nodes` of the trees of headings and lines; 0 where either has too many lines."""
    trees = _outline(pred), _outline(gold)
    num_nodes = max(_size(tree) for tree in trees)
    if num_nodes > MAX_NODES:
        return 0.0
    return 1.0 - tree_distance(*trees, _OutlineCosts()) / num_nodes


def _share_inside(box: Sequence[float], region: Sequence[float]) -> float:
    width = min(box[2], region[2]) - max(box[0], region[0])
    height = min(box[3], region[3]) - max(box[1], region[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(0.0, width) * max(0.0, height) / area if area > 0 else 0.0


def _same_words(wanted: str, said: str) -> bool:
    starts = {0, 1} if wanted[:1] and wanted[0] in _MARKS else {0}
    ends = {0, 1} if wanted[-1:] and wanted[-1] in _MARKS else {0}
    return any(wanted[start : len(wanted) - end] == said for start in starts for end in ends)


def _outline(text: str) -> Node:
    """Headings below the root, other lines below the heading before them, which is found by its words."""
    titles = Node("TITLE")
    root = Node("ROOT", children=[titles])
    known: dict[str, Node] = {}
    parent = titles
    for raw in text.split("\n"):
        line = _SILENT.sub(" ", raw)
        if not line.startswith("#"):
            parent.children.append(Node(line))
            continue
        line = line.replace("#", "")
        root.children.append(Node(line))
        parent = known.setdefault(line, root.children[-1]) if line else titles
    return root


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.children))


class _OutlineCosts:
    """Lines with anything on them are all alike; a blank one is like nothing, not even another."""

    valuecls = float

    def rename(self, a: Node, b: Node) -> float:
        return float(not a.tag.strip() or not b.tag.strip())

    def insert(self, node: Node) -> float:
        return 1.0

    def delete(self, node: Node) -> float:
        return 1.0

    def children(self, node: Node) -> list[Node]:
        return node.children
