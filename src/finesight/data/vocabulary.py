# SPDX-License-Identifier: Apache-2.0
"""Train the byte-level BPE of a small model.

The published models carry 151,643 merges; a ten-million-parameter model cannot afford that embedding. This builds a
small vocabulary of the same kind: Qwen2's pre-tokenizer pattern (so each digit is a token of its own, and engines that
know `qwen2` can load it), byte level (so every text round-trips), the official special tokens by name.

Two demands shape it. Letters of every script that is drawn must be single tokens, because a model that reads a glyph
should say it in one step: each is fed to the trainer often enough that its bytes are merged. Everything else is left to
the merges of the texts.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE

from finesight.errors import DataError
from finesight.text.special_tokens import ADDED_TEXT_TOKENS, SPECIAL_TOKENS

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pre-tokenizer of Qwen2; engines name it `qwen2`."""

ALPHABETS = (
    (0x00C0, 0x017F),  # Latin letters with marks
    (0x0391, 0x03CE),  # Greek
    (0x0401, 0x045F),  # Cyrillic
    (0x05D0, 0x05EA),  # Hebrew
    (0x0621, 0x064A),  # Arabic
    (0x0905, 0x094D),  # Devanagari
    (0x3041, 0x3096),  # Hiragana
    (0x30A1, 0x30FC),  # Katakana
    (0x1EA0, 0x1EF9),  # Vietnamese
)
"""Code point ranges whose letters become single tokens."""

PUNCTUATION = "、。「」『』（），：；？！《》“”‘’…—–·•©®™°€£¥§±×÷→←↑↓№«»¿¡"

_FED_TIMES = 4000
"""How often each single letter is fed: above the count at which the last merge is taken."""


def letters_to_keep(
    words: Mapping[str, Mapping[str, float]], *, num_han: int, num_hangul: int
) -> list[str]:
    """Characters that must become single tokens.

    Args:
        words: per language, each word with its frequency.
        num_han: commonest Han characters kept, counted over Chinese and Japanese.
        num_hangul: commonest Hangul syllables kept.
    """
    kept = [chr(code) for low, high in ALPHABETS for code in range(low, high + 1)]
    kept = [char for char in kept if unicodedata.category(char)[0] in "LM"]
    counts: Counter[str] = Counter()
    for language in ("zh", "ja", "ko"):
        for word, frequency in words.get(language, {}).items():
            for char in word:
                counts[char] += frequency  # type: ignore[assignment]  # Counter holds floats as well
    ranked = [char for char, _ in counts.most_common()]
    han = [char for char in ranked if "一" <= char <= "鿿"][:num_han]
    hangul = [char for char in ranked if "가" <= char <= "힣"][:num_hangul]
    return kept + list(PUNCTUATION) + han + hangul


def train_tokenizer(texts: Iterable[str], letters: Sequence[str], *, vocab_size: int) -> Tokenizer:
    """Learn merges from `texts` with every one of `letters` a single token.

    Args:
        texts: training texts, repeated as often as they should weigh.
        letters: characters that must be single tokens.
        vocab_size: size of the vocabulary, special tokens included.

    Raises:
        DataError: a letter did not become a single token; names the first few.
    """
    tokenizer = Tokenizer(BPE(unk_token=None, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(  # type: ignore[call-arg]  # the stub names no arguments
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS) - len(ADDED_TEXT_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_with_letters(texts, letters), trainer)
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in SPECIAL_TOKENS]
    )
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in ADDED_TEXT_TOKENS])
    split = [char for char in letters if len(tokenizer.encode(char).ids) != 1]
    if split:
        raise DataError(
            f"{len(split)} of {len(letters)} letters are not single tokens with {vocab_size} tokens: {split[:10]}",
            hint="raise vocab_size, keep fewer letters, or weigh the texts less",
        )
    return tokenizer


def read_words(folder: Path) -> dict[str, dict[str, float]]:
    """Read `<language>.tsv` files of `word<TAB>frequency` lines."""
    words: dict[str, dict[str, float]] = {}
    for path in sorted(folder.glob("*.tsv")):
        rows = (row.split("\t") for row in path.read_text(encoding="utf-8").splitlines())
        words[path.stem] = {row[0]: float(row[1]) for row in rows if len(row) == 2}
    return words


def weighted_words(words: Mapping[str, float], *, times: int) -> Iterator[str]:
    """Running text of a word list: each word as often as the square root of its frequency says.

    Words stand in their three usual cases, with a space before them, so that the merges are those of running text.
    """
    roots = {word: frequency**0.5 for word, frequency in words.items()}
    total = sum(roots.values()) or 1.0
    for word, root in roots.items():
        count = round(times * root / total)
        if count:
            yield f" {word}" * count
            yield f" {word.title()}" * max(1, count // 4)
            yield f"{word}\n" * max(1, count // 4)
            yield f" {word.upper()}" * (count // 8)


def _with_letters(texts: Iterable[str], letters: Sequence[str]) -> Iterator[str]:
    yield from texts
    for char in letters:
        yield (
            f"{char}1" * _FED_TIMES
        )  # a digit ends every pre-token, so nothing sticks to the letter
