# SPDX-License-Identifier: Apache-2.0
"""Words and sentences by language, split by word into training and held-out words.

The split is by the hash of the case-folded word, over all languages: "hotel" has the same split in English and German.
Words of one or two letters are in both splits, because there are too few.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finesight.data.split import Split, split_of
from finesight.errors import DataError

__all__ = ["WordLists", "split_of_word"]

HELDOUT_SHARE = 0.10
SHORT = 2
SCRIPTS: dict[str, str] = {
    "en": "latin", "de": "latin-accents", "fr": "latin-accents", "es": "latin-accents", "it": "latin-accents",
    "pt": "latin-accents", "vi": "vietnamese", "ru": "cyrillic", "el": "greek", "ar": "arabic", "he": "hebrew",
    "ja": "kana", "zh": "han", "ko": "hangul",
}  # fmt: skip
"""Script of each language, a key of `fonts.SCRIPT_SAMPLES`."""


def split_of_word(word: str) -> Split:
    """Split of a word of three letters or more."""
    return split_of(word.casefold(), HELDOUT_SHARE)


@dataclass(frozen=True, slots=True)
class WordLists:
    """Words of one split.

    Attributes:
        split: "train" or "heldout".
        by_language: words of each language, most frequent first.
        by_length: words of each language by their number of characters.
        sentences: sentences of each language; empty in the held-out split, whose lines consist of held-out words.
    """

    split: Split
    by_language: Mapping[str, Sequence[str]]
    by_length: Mapping[str, Mapping[int, Sequence[str]]]
    sentences: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, assets: Path, split: Split) -> WordLists:
        """Read `words.tsv` and `sentences.tsv` of an assets folder.

        Raises:
            DataError: a file is missing or a line is malformed.
        """
        words: dict[str, list[str]] = {}
        for language, _rank, word in _rows(assets / "words.tsv", 3):
            if len(word) <= SHORT or split_of_word(word) == split:
                words.setdefault(language, []).append(word)
        sentences: dict[str, list[str]] = {}
        if split == "train":
            for language, sentence in _rows(assets / "sentences.tsv", 2):
                kept = [
                    piece
                    for piece in sentence.split(" ")
                    if len(_bare(piece)) <= SHORT or split_of_word(_bare(piece)) == "train"
                ]
                sentences.setdefault(language, []).append(" ".join(kept))
        return cls(split, words, _by_length(words), sentences)

    def word(self, rng: random.Random, language: str, low: int, high: int) -> str:
        """A word of `low` to `high` characters; frequent words are drawn more often.

        Raises:
            DataError: the language has no such word.
        """
        lengths = [size for size in range(low, high + 1) if self.by_length[language].get(size)]
        if not lengths:
            raise DataError(f"no {self.split} word of {low} to {high} characters in {language!r}")
        words = self.by_length[language][rng.choice(lengths)]
        return words[int(len(words) * rng.random() ** 1.5)]

    def counts(self) -> dict[str, int]:
        """Number of words by language."""
        return {language: len(words) for language, words in self.by_language.items()}


def _bare(piece: str) -> str:
    return "".join(char for char in piece if char.isalnum())


def _by_length(words: Mapping[str, Sequence[str]]) -> dict[str, dict[int, list[str]]]:
    grouped: dict[str, dict[int, list[str]]] = {}
    for language, entries in words.items():
        lengths = grouped.setdefault(language, {})
        for word in entries:
            lengths.setdefault(len(word), []).append(word)
    return grouped


def _rows(path: Path, num_fields: int) -> list[list[str]]:
    if not path.is_file():
        raise DataError(
            f"{path} is missing", hint=f"run scripts/install-training-assets.sh {path.parent}"
        )
    try:
        rows = [row.split("\t") for row in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    for number, row in enumerate(rows, 1):
        if len(row) != num_fields:
            raise DataError(f"{path} line {number} has {len(row)} fields, expected {num_fields}")
    return rows
