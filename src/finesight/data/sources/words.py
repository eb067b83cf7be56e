# SPDX-License-Identifier: Apache-2.0
"""Words and sentences by language, split so that no held-out word is ever drawn in training.

The split is by the hash of the folded word, over all languages at once: "hotel" is on the same side in English and
German. Words of one or two letters are on both sides; there are too few to hide any.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finesight.data.sources.fonts import Split
from finesight.errors import DataError

__all__ = ["WordLists", "split_of_word"]

HELDOUT_SHARE = 0.10
SHORT = 2
SCRIPTS: dict[str, str] = {
    "en": "latin", "de": "latin-accents", "fr": "latin-accents", "es": "latin-accents", "it": "latin-accents",
    "pt": "latin-accents", "vi": "vietnamese", "ru": "cyrillic", "el": "greek", "ar": "arabic", "he": "hebrew",
    "ja": "kana", "zh": "han", "ko": "hangul",
}  # fmt: skip
"""Language to the script a face must cover, a key of `fonts.SCRIPT_SAMPLES`."""


def split_of_word(word: str) -> Split:
    """The side a word of three letters or more stands on."""
    digest = hashlib.sha256(word.casefold().encode()).digest()
    return "heldout" if int.from_bytes(digest[:4], "big") / 2**32 < HELDOUT_SHARE else "train"


@dataclass(frozen=True, slots=True)
class WordLists:
    """Words of one split.

    Attributes:
        split: which side.
        by_language: words of each language, commonest first.
        by_length: per language, words grouped by their number of characters.
        sentences: per language; empty in the held-out split, whose lines are made of held-out words.
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
        """A word of `low` to `high` characters; common words come more often than rare ones.

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
        raise DataError(f"{path} is no text in UTF-8: {error}") from error
    for number, row in enumerate(rows, 1):
        if len(row) != num_fields:
            raise DataError(f"{path} line {number} has {len(row)} fields, expected {num_fields}")
    return rows
