# SPDX-License-Identifier: Apache-2.0
"""Text spotting as in the ICDAR robust reading competitions, and similarity of document outlines.

Spotting: a predicted and a gold box match if their IoU exceeds 0.5, in the order of the gold boxes, each box once. A
match is correct if the words are equal in upper case; one punctuation mark at either end of the gold word may be
missing. Regions marked "###" are ignored. The score is the harmonic mean of precision and recall.

Outlines: the tree of headings and lines that OCRBench v2 compares. All non-empty lines are equal there, so this
measures structure only; report a character error rate with it.

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
_REMOVED = re.compile(r"<bos>|<eos>|<pad>|<unk>|[*_]")


def spotting_hmean(pred: Sequence[Word], gold: Sequence[Word]) -> float:
    """Harmonic mean of precision and recall of words with their boxes, 0..1."""
    ignored = [box for box, text in gold if text == _DO_NOT_CARE]
    wanted = [(box, text) for box, text in gold if text != _DO_NOT_CARE]
    kept = [
        (box, text)
        for box, text in pred
        if are_finite(box) and not any(_share_inside(box, region) > 0.5 for region in ignored)
    ]
    if not wanted or not kept:
        return 0.0
    free = list(range(len(kept)))
    num_right = 0
    for box, text in wanted:
        match = next((place for place in free if iou(kept[place][0], box) > 0.5), None)
        if match is not None:
            free.remove(match)
            num_right += _same_words(text.upper(), kept[match][1].upper())
    return 2 * num_right / (len(kept) + len(wanted))


def outline_similarity(pred: str, gold: str) -> float:
    """`1 - edits / nodes` of the trees of headings and lines; 0 if either has more than `MAX_NODES` nodes."""
    trees = _outline(pred), _outline(gold)
    num_nodes = max(_size(tree) for tree in trees)
    if num_nodes > MAX_NODES:
        return 0.0
    return 1.0 - tree_distance(*trees, _line_cost) / num_nodes


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
    """Headings below the root, other lines below the first heading with the text of the last heading."""
    titles = Node("TITLE")
    root = Node("ROOT", children=[titles])
    known: dict[str, Node] = {}
    parent = titles
    for raw in text.split("\n"):
        line = _REMOVED.sub(" ", raw)
        if not line.startswith("#"):
            parent.children.append(Node(line))
            continue
        line = line.replace("#", "")
        root.children.append(Node(line))
        parent = known.setdefault(line, root.children[-1]) if line else titles
    return root


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.children))


def _line_cost(a: Node, b: Node) -> float:
    """Non-empty lines are all equal; an empty line differs from every line, also from another empty one."""
    return float(not a.tag.strip() or not b.tag.strip())
