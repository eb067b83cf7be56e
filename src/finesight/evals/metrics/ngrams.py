# SPDX-License-Identifier: Apache-2.0
"""Word overlap of a text with one reference: BLEU, METEOR without WordNet, and F1 of the sets of words.

The formulas are those of NLTK with its defaults, since OCRBench v2 uses it. METEOR here knows exact matches in lower
case only: NLTK also matches stems and WordNet synonyms, whose data is in no wheel, so scores of English prose are a
little lower than published ones.

Sources: "BLEU" (2002), "METEOR" (2005).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence


def bleu(said: Sequence[str], reference: Sequence[str]) -> float:
    """Geometric mean of the shares of right n-grams up to four, times the brevity penalty; no smoothing.

    0 where any order has no right n-gram, so a text of fewer than four words scores 0 even if it is right.
    """
    if not said:
        return 0.0
    logs = 0.0
    for order in range(1, 5):
        there = Counter(_grams(reference, order))
        found = Counter(_grams(said, order))
        right = sum(min(count, there[gram]) for gram, count in found.items())
        if right == 0:
            return 0.0
        logs += math.log(right / sum(found.values())) / 4
    penalty = 1.0 if len(said) > len(reference) else math.exp(1 - len(reference) / len(said))
    return penalty * math.exp(logs)


def meteor_exact(said: Sequence[str], reference: Sequence[str]) -> float:
    """METEOR of exact matches: recall counts nine times as much as precision, broken order costs up to half."""
    pairs = _aligned([word.lower() for word in said], [word.lower() for word in reference])
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(said), len(pairs) / len(reference)
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    num_chunks = 1 + sum(
        after != (before[0] + 1, before[1] + 1) for before, after in itertools.pairwise(pairs)
    )
    return mean * (1 - 0.5 * (num_chunks / len(pairs)) ** 3)


def set_f1(said: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the different words; 0 where either side has none."""
    found, there = set(said), set(reference)
    return 2 * len(found & there) / (len(found) + len(there)) if found and there else 0.0


def _grams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(order)), strict=False))


def _aligned(said: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """Places of equal words, each used once, taken from the back; in order of what was said."""
    free: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(reference):
        free[word].append(place)
    pairs = [
        (place, free[said[place]].pop())
        for place in range(len(said) - 1, -1, -1)
        if free[said[place]]
    ]
    return pairs[::-1]
