# SPDX-License-Identifier: Apache-2.0
"""BLEU, METEOR and F1 of words, worked out by hand."""

from __future__ import annotations

import math

import pytest

from finesight.evals.metrics.ngrams import bleu, meteor_exact, set_f1


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    ("said", "reference", "score"),
    [
        ("a b c d", "a b c d", 1.0),
        ("a b c", "a b c", 0.0),  # no four words in a row
        ("", "a b c d", 0.0),
        ("w x y z", "a b c d", 0.0),
        # 5 of 6 words, 4 of 5 pairs, 3 of 4, 2 of 3
        ("a b c d e x", "a b c d e", (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25),
        ("a b c d e x", "a b c d e f", (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25),
        # too short by two words: e^(1 - 6/4)
        ("a b c d", "a b c d e f", math.exp(-0.5)),
        # a word said three times counts as often as it is there
        ("a b c d a a", "a b c d", (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
    ],
)
def test_bleu(said, reference, score):
    assert bleu(words(said), words(reference)) == pytest.approx(score)


def meteor(precision: float, recall: float, chunks: int, matches: int) -> float:
    mean = 10 * precision * recall / (recall + 9 * precision)
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


@pytest.mark.parametrize(
    ("said", "reference", "score"),
    [
        ("a b c d", "a b c d", meteor(1, 1, 1, 4)),
        ("A b", "a B", meteor(1, 1, 1, 2)),
        ("a", "a", 0.5),
        ("a b", "c d", 0.0),
        ("", "c d", 0.0),
        ("a b c d", "a b", meteor(0.5, 1, 1, 2)),
        ("a b", "a b c d", meteor(1, 0.5, 1, 2)),
        ("c d a b", "a b c d", meteor(1, 1, 2, 4)),
        ("a x b", "a b", meteor(2 / 3, 1, 2, 2)),  # neighbours there, apart in what was said
        ("a b", "a x b", meteor(1, 2 / 3, 2, 2)),
        ("b a", "a b", meteor(1, 1, 2, 2)),
        ("a b c x a b", "a b c", meteor(0.5, 1, 2, 3)),  # the later of equal words is taken
    ],
)
def test_meteor(said, reference, score):
    assert meteor_exact(words(said), words(reference)) == pytest.approx(score)


@pytest.mark.parametrize(
    ("said", "reference", "score"),
    [
        ("a b a", "a b", 1.0),
        ("a b", "b c", 0.5),
        ("a b c", "c", 0.5),
        ("", "a", 0.0),
        ("a", "", 0.0),
        ("", "", 0.0),
    ],
)
def test_f1_of_sets(said, reference, score):
    assert set_f1(words(said), words(reference)) == pytest.approx(score)
