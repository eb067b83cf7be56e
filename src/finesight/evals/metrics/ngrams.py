# SPDX-License-Identifier: Apache-2.0
"""Word overlap with one reference: BLEU, METEOR without WordNet, and F1 of the sets of words.

The formulas are those of NLTK with its defaults, which OCRBench v2 uses. METEOR uses exact matches in lower case only:
NLTK also matches stems and WordNet synonyms, whose data is in no wheel, so scores of English text are slightly lower.

Sources: "BLEU" (2002), "METEOR" (2005).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence


def bleu(pred: Sequence[str], reference: Sequence[str]) -> float:
    """Geometric mean of the n-gram precisions up to four, times the brevity penalty; no smoothing.

    0 if any order has no match, so a text of fewer than four words scores 0 even if it is correct.
    """
    if not pred:
        return 0.0
    logs = 0.0
    for order in range(1, 5):
        there = Counter(_grams(reference, order))
        found = Counter(_grams(pred, order))
        right = sum(min(count, there[gram]) for gram, count in found.items())
        if right == 0:
            return 0.0
        logs += math.log(right / sum(found.values())) / 4
    penalty = 1.0 if len(pred) > len(reference) else math.exp(1 - len(reference) / len(pred))
    return penalty * math.exp(logs)


def meteor_exact(pred: Sequence[str], reference: Sequence[str]) -> float:
    """METEOR of exact matches: recall has nine times the weight of precision, fragmentation costs up to half."""
    pairs = _aligned([word.lower() for word in pred], [word.lower() for word in reference])
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(pred), len(pairs) / len(reference)
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    num_chunks = 1 + sum(
        after != (before[0] + 1, before[1] + 1) for before, after in itertools.pairwise(pairs)
    )
    return mean * (1 - 0.5 * (num_chunks / len(pairs)) ** 3)


def set_f1(pred: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the sets of words; 0 if either is empty."""
    found, there = set(pred), set(reference)
    return 2 * len(found & there) / (len(found) + len(there)) if found and there else 0.0


def _grams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(order)), strict=False))


def _aligned(pred: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """Index pairs of equal words, each used once, matched from the end; sorted."""
    free: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(reference):
        free[word].append(place)
    pairs = [
        (place, free[pred[place]].pop())
        for place in range(len(pred) - 1, -1, -1)
        if free[pred[place]]
    ]
    return pairs[::-1]
