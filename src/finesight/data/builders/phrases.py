# SPDX-License-Identifier: Apache-2.0
"""Random texts for pictures: letters, words, numbers, codes, lines.

All randomness comes from the given `random.Random`, so a seed always gives the same text. Words come from the lists of
one split; numbers and codes are random in both.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import SCRIPTS, WordLists
from finesight.errors import DataError

__all__ = ["Phrase", "PhraseSource"]

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
CLEAR_LETTERS = "ABDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Letters for random strings, where no context distinguishes "I" from "l" or "O" from "0"."""
SAME_ALONE = frozenset("cCkKoO0pPsSuUvVwWxXyYzZIl1jJ.,'\"-_/:;<>()[]")
"""Characters that are ambiguous alone: their case, height or position cannot be compared with a neighbour."""
UPSIDE_DOWN = frozenset("0168969oOsSxXzZHINuUndpqblmwWMiI|-+=.:,'()[]/%<>*#$ ")
"""Characters that look like a character when rotated by 180 degrees."""
ACCENTED = "ÀÁÂÄÇÈÉÊËÌÍÎÏÑÒÓÔÖÙÚÛÜàáâäçèéêëìíîïñòóôöùúûüß"
SYMBOLS = "!?&@#%*+-=/()[]<>:;.,'\"$€£_"
OTHER_LETTERS: dict[str, str] = {
    "ru": "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя",
    "el": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω",
}
LATIN_LANGUAGES = {"en": 0.55, "de": 0.11, "fr": 0.10, "es": 0.10, "it": 0.07, "pt": 0.07}
OTHER_LANGUAGES = {
    "ru": 0.30, "el": 0.14, "zh": 0.16, "ja": 0.12, "ko": 0.10, "ar": 0.08, "he": 0.05, "vi": 0.05,
}  # fmt: skip
UNSPACED = frozenset({"zh", "ja"})
RIGHT_TO_LEFT = frozenset({"ar", "he"})
CURRENCIES = ("${}", "€{}", "£{}", "{} €", "{} EUR", "{} USD", "{}%", "{} kg", "{} km", "{} ml")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One row of text.

    Attributes:
        text: the characters in reading order.
        language: of its words; "en" for letters, numbers and codes.
        kind: letters, word, number, symbols, line or sentence.
    """

    text: str
    language: str
    kind: str

    @property
    def script(self) -> str:
        """Script that a face must cover, a key of `fonts.SCRIPT_SAMPLES`."""
        return SCRIPTS[self.language]

    @property
    def has_clear_top(self) -> bool:
        """Whether the text shows which way is up."""
        return sum(char not in UPSIDE_DOWN for char in self.text) >= 2

    @property
    def is_right_to_left(self) -> bool:
        """Whether the text is written from right to left."""
        return self.language in RIGHT_TO_LEFT


class PhraseSource:
    """Draws phrases.

    Args:
        words: word lists of one split.
        other_share: share of phrases in scripts other than Latin.
        fonts: leave out languages whose script no face of the split covers; None keeps all.

    Raises:
        DataError: there is no word of a language written in Latin letters.
    """

    def __init__(
        self, words: WordLists, other_share: float, fonts: FontCatalogue | None = None
    ) -> None:
        self.words = words
        self.other_share = other_share
        self._latin = _weights(LATIN_LANGUAGES, words)
        self._others = {
            language: weight
            for language, weight in _weights(OTHER_LANGUAGES, words).items()
            if fonts is None or fonts.has(words.split, SCRIPTS[language])
        }
        if not self._latin:
            raise DataError(f"the {words.split} word lists hold none of {tuple(LATIN_LANGUAGES)}")

    def letters(self, rng: random.Random, most: int) -> Phrase:
        """One to `most` letters, digits or signs, of any alphabet we draw; never blank."""
        count = rng.randint(1, most)
        if self._is_other(rng):
            language = _draw(rng, self._others)
            return Phrase(self._other_letters(rng, language, count), language, "letters")
        roll = rng.random()
        if roll < 0.62:
            pool, language = CLEAR_LETTERS, "en"
        elif roll < 0.78:
            pool, language = DIGITS, "en"
        elif roll < 0.90:
            pool, language = CLEAR_LETTERS + DIGITS, "en"
        elif roll < 0.96:
            pool, language = ACCENTED, "fr"
        else:
            pool, language = SYMBOLS + CLEAR_LETTERS, "en"
        if count == 1:
            pool = "".join(char for char in pool if char not in SAME_ALONE)
        return Phrase("".join(rng.choice(pool) for _ in range(count)), language, "letters")

    def word(self, rng: random.Random, low: int = 2, high: int = 7) -> Phrase:
        """A word, number or random string of `low` to `high` characters."""
        if self._is_other(rng):
            return self._other_word(rng, _draw(rng, self._others), low, high)
        return self._latin_word(rng, None, low, high)

    def line(self, rng: random.Random, low: int = 8, high: int = 24) -> Phrase:
        """Words, numbers or part of a sentence, `low` to `high` characters long."""
        if self._is_other(rng):
            language = _draw(rng, self._others)
            high = min(high, 12) if language in UNSPACED else high
        else:
            language = _draw(rng, self._latin)
        want = rng.randint(low, high)
        sentences = self.words.sentences.get(language)
        if sentences and rng.random() < 0.3:
            text = _excerpt(rng, rng.choice(sentences), want, language not in UNSPACED)
            if len(text) >= 2:
                return Phrase(text, language, "sentence")
        return Phrase(self._words_up_to(rng, language, want), language, "line")

    def row_like(self, rng: random.Random, other: Phrase, low: int, high: int) -> Phrase:
        """One more row in the language of `other`, for blocks."""
        return Phrase(
            self._words_up_to(rng, other.language, rng.randint(low, high)), other.language, "line"
        )

    def word_like(self, rng: random.Random, other: Phrase, low: int, high: int) -> Phrase:
        """One more word, number or random string that a face for `other` covers, for sheets."""
        if other.language in self._others:
            return self._other_word(rng, other.language, low, high)
        return self._latin_word(rng, other.language, low, high)

    def _latin_word(self, rng: random.Random, language: str | None, low: int, high: int) -> Phrase:
        """A word, number or random string; None draws the language."""
        roll = rng.random()
        if roll >= 0.70:
            return _number_or_code(rng, roll, language or "en", low, high)
        language = language or _draw(rng, self._latin)
        return Phrase(_cased(rng, self.words.word(rng, language, low, high)), language, "word")

    def _words_up_to(self, rng: random.Random, language: str, want: int) -> str:
        """Words and numbers joined, at most `want` characters."""
        separator = "" if language in UNSPACED else " "
        case = rng.choice(("lower", "sentence", "sentence", "title", "upper"))
        text = ""
        for _ in range(40):
            piece = self._piece(rng, language)
            joined = text + separator + piece if text else piece
            if len(joined) > want:
                if text:
                    break
                continue
            text = joined
        text = text or self.words.word(rng, language, 1, max(2, want))
        text = _line_case(text, case)
        if text[-1].isalnum() and len(text) < want and rng.random() < 0.2:
            text += rng.choice(".,:;!?") if language not in UNSPACED else rng.choice("。！？，")
        return text

    def _piece(self, rng: random.Random, language: str) -> str:
        if rng.random() < 0.12:
            return _number(rng, 1, 8)
        if language in UNSPACED:
            return self.words.word(rng, language, 1, 4)
        piece = self.words.word(rng, language, 1, 11)
        return piece + "," if rng.random() < 0.06 else piece

    def _is_other(self, rng: random.Random) -> bool:
        """Whether the next phrase is in a script other than Latin."""
        return bool(self._others) and rng.random() < self.other_share

    def _other_letters(self, rng: random.Random, language: str, count: int) -> str:
        if language in OTHER_LETTERS:
            return "".join(rng.choice(OTHER_LETTERS[language]) for _ in range(count))
        return self.words.word(rng, language, 1, 6)[:count]

    def _other_word(self, rng: random.Random, language: str, low: int, high: int) -> Phrase:
        if language in UNSPACED:
            word = "".join(self.words.word(rng, language, 1, 3) for _ in range(2))[: min(high, 6)]
        elif language == "ko":
            word = self.words.word(rng, language, 2, min(high, 6))
        else:
            word = _cased(rng, self.words.word(rng, language, low, high))
        return Phrase(word, language, "word")


def _number_or_code(rng: random.Random, roll: float, language: str, low: int, high: int) -> Phrase:
    """A number for `roll` below 0.85, else a random string, which has signs from 0.95 on."""
    if roll < 0.85:
        return Phrase(_number(rng, low, high), language, "number")
    pool = CLEAR_LETTERS + DIGITS if roll < 0.95 else CLEAR_LETTERS + DIGITS + SYMBOLS
    count = rng.randint(low, high)
    return Phrase("".join(rng.choice(pool) for _ in range(count)), language, "symbols")


def _weights(languages: dict[str, float], words: WordLists) -> dict[str, float]:
    """Weights of the languages that have words."""
    return {name: weight for name, weight in languages.items() if name in words.by_language}


def _draw(rng: random.Random, weights: dict[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _cased(rng: random.Random, word: str) -> str:
    roll = rng.random()
    if roll < 0.45:
        return word
    if roll < 0.70:
        return word[:1].upper() + word[1:]
    if roll < 0.94:
        return _upper(word)
    return "".join(_upper(char) if rng.random() < 0.5 else char for char in word)


def _upper(text: str) -> str:
    """Upper case that never changes the number of characters ("ß" stays)."""
    return "".join(char.upper() if len(char.upper()) == 1 else char for char in text)


def _line_case(text: str, case: str) -> str:
    if case == "sentence":
        return text[:1].upper() + text[1:]
    if case == "title":
        return " ".join(piece[:1].upper() + piece[1:] for piece in text.split(" "))
    return _upper(text) if case == "upper" else text


def _number(rng: random.Random, low: int, high: int) -> str:
    """A number, price, date, time or code of at most `high` characters."""
    for _ in range(6):
        text = rng.choice((_plain, _plain, _price, _date, _time, _code))(rng)
        if low <= len(text) <= high:
            return text
    return "".join(rng.choice(DIGITS) for _ in range(rng.randint(max(1, low), high)))


def _plain(rng: random.Random) -> str:
    value = rng.randrange(10 ** rng.randint(1, 6))
    return rng.choice((f"{value}", f"{value:,}", f"{value / 100:.2f}", f"-{value}"))


def _price(rng: random.Random) -> str:
    return rng.choice(CURRENCIES).format(f"{rng.randrange(1, 99_999) / 100:.2f}")


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(1950, 2035), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        (f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{month}/{day}/{year % 100:02}",
         f"{MONTHS[month - 1]} {day}", f"{day} {MONTHS[month - 1]} {year}", f"{year}")
    )  # fmt: skip


def _time(rng: random.Random) -> str:
    return f"{rng.randrange(24):02}:{rng.randrange(60):02}"


def _code(rng: random.Random) -> str:
    head = "".join(rng.choice(CAPITALS) for _ in range(rng.randint(1, 3)))
    return f"{head}{rng.choice(('', '-', ' '))}{rng.randrange(10 ** rng.randint(2, 5))}"


def _excerpt(rng: random.Random, sentence: str, want: int, by_words: bool) -> str:
    """A part of the sentence of at most `want` characters, cut at spaces if `by_words`."""
    if not by_words:
        start = rng.randrange(max(1, len(sentence) - want))
        return sentence[start : start + want]
    pieces = sentence.split(" ")
    first = rng.randrange(len(pieces))
    text = ""
    for piece in pieces[first:]:
        if len(text) + 1 + len(piece) > want:
            break
        text = f"{text} {piece}" if text else piece
    return text
