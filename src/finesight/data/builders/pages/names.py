# SPDX-License-Identifier: Apache-2.0
"""Names, addresses, dates, money and sentences of one split and language.

Names come from faker. Each word of three letters or more belongs to the split, as in the word lists.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from finesight.data.builders.pages.wording import COMPANY_ENDINGS, LOCALES, PRODUCTS, SENTENCES
from finesight.data.sources.words import SHORT, WordLists, split_of_word
from finesight.data.split import Split, split_of
from finesight.errors import DataError

if TYPE_CHECKING:
    from faker import Faker

__all__ = ["Money", "Names"]

TRIES = 400
HELDOUT_SENTENCES = 0.25


class Names:
    """Draws the contents of documents.

    Args:
        rng: random generator.
        words: word lists of one split.
        language: a key of `LOCALES`.
    """

    def __init__(self, rng: random.Random, words: WordLists, language: str) -> None:
        self.rng = rng
        self.words = words
        self.language = language
        self._fake = _faker(LOCALES[language])
        self._fake.seed_instance(rng.getrandbits(32))

    def first(self) -> str:
        """A given name."""
        return self._pick(self._fake.first_name)

    def last(self) -> str:
        """A family name."""
        return self._pick(self._fake.last_name)

    def person(self) -> str:
        """A given and a family name."""
        return f"{self.first()} {self.last()}"

    def company(self) -> str:
        """Name of a company or shop."""
        return f"{self.last()} {self.rng.choice(COMPANY_ENDINGS[self.language])}"

    def city(self) -> str:
        """A place."""
        return self._pick(self._fake.city)

    def street(self) -> str:
        """A street of one name, with a number."""
        number = self.rng.randint(1, 240)
        if self.language == "en":
            return (
                f"{number} {self.last()} {self.rng.choice(('St', 'Street', 'Road', 'Ave', 'Lane'))}"
            )
        name, kind = self.last(), {"fr": "rue", "es": "Calle", "it": "Via", "pt": "Rua"}
        if self.language == "de":
            return f"{name}weg {number}" if self.rng.random() < 0.5 else f"{name}straße {number}"
        return (
            f"{number} {kind['fr']} {name}"
            if self.language == "fr"
            else f"{kind[self.language]} {name} {number}"
        )

    def postcode(self) -> str:
        """A postcode of the locale."""
        return str(self._fake.postcode())

    def phone(self) -> str:
        """A telephone number of the locale, without an extension."""
        return str(self._fake.phone_number()).partition("x")[0].strip()

    def email(self, person: str) -> str:
        """An address at example.com or a like domain, made of a person's name."""
        plain = unicodedata.normalize("NFKD", person.lower())
        plain = "".join(
            char for char in plain if char.isascii() and (char.isalpha() or char == " ")
        )
        domain = self.rng.choice(("example.com", "mail.example", "post.example"))
        return f"{plain.replace(' ', self.rng.choice('._'))}@{domain}"

    def occupation(self) -> str:
        """A profession of one or two words."""
        return self._pick(self._fake.job, lambda text: len(text) <= 24 and text.count(" ") < 2)

    def word(self, low: int = 3, high: int = 10) -> str:
        """A word of the language."""
        return self.words.word(self.rng, self.language, low, high)

    def product(self) -> str:
        """A product of the split, or a word in its place."""
        known = [name for name in PRODUCTS[self.language] if self._fits(name)]
        if known and self.rng.random() < 0.75:
            return self.rng.choice(known)
        return self.word(4, 10).capitalize()

    def day(self, first: int = 2005, last: int = 2029) -> date:
        """A day between two years."""
        return date(first, 1, 1) + timedelta(days=self.rng.randrange(365 * (last + 1 - first)))

    def date_format(self) -> str:
        """A format of dates; a document uses one for all."""
        usual = {
            "en": ("%m/%d/%Y", "%b %d, %Y", "%d %B %Y", "%Y-%m-%d"),
            "de": ("%d.%m.%Y", "%Y-%m-%d"),
        }
        return self.rng.choice(usual.get(self.language, ("%d/%m/%Y", "%d-%m-%Y")))

    def code(self) -> str:
        """A number or code, such as "INV-20418" or "A 4471"."""
        letters = "".join(self.rng.choices("ABCDEFGHKLMNPRSTUVWX", k=self.rng.randint(0, 3)))
        digits = str(self.rng.randrange(10 ** self.rng.randint(3, 7))).zfill(self.rng.randint(3, 6))
        return f"{letters}{self.rng.choice(('-', '', '/', ' ')) if letters else ''}{digits}"

    def sentence(self) -> str:
        """A sentence: known wording with drawn names, a sentence of the split, or drawn words."""
        roll = self.rng.random()
        listed = self.words.sentences.get(self.language)
        if roll < 0.45 and self.language == "en":
            return self._filled_sentence()
        if roll < 0.65 and listed:
            return self.rng.choice(listed)
        text = " ".join(self._piece() for _ in range(self.rng.randint(4, 13)))
        return f"{text[:1].upper()}{text[1:].rstrip(',')}{self.rng.choice('....!?')}"

    def _piece(self) -> str:
        roll = self.rng.random()
        if roll < 0.05:
            return str(self.rng.randrange(2000))
        return self.word(1, 11) + ("," if roll > 0.94 else "")

    def _filled_sentence(self) -> str:
        wording = self.rng.choice(_sentences(self.words.split))
        return wording.format(
            name=self.person(),
            name2=self.first(),
            city=self.city(),
            noun=self.word(4, 10),
            noun2=self.word(4, 10),
            number=self.rng.randint(2, 400),
            date=f"{self.day():%B %d}".replace(" 0", " "),
        )

    def _pick(self, draw: Callable[[], str], allow: Callable[[str], bool] = bool) -> str:
        for _ in range(TRIES):
            text = str(draw())
            if self._fits(text) and allow(text):
                return text
        raise DataError(f"no {self.words.split} name in {self.language!r} after {TRIES} tries")

    def _fits(self, text: str) -> bool:
        """Whether every word of the text belongs to the split."""
        pieces = "".join(char if char.isalnum() else " " for char in text).split()
        return all(len(each) <= SHORT or split_of_word(each) == self.words.split for each in pieces)


class Money:
    """One way to write sums of money.

    Args:
        rng: random generator.
        language: of the document.
    """

    def __init__(self, rng: random.Random, language: str) -> None:
        english = ("${}", "${}", "{}", "£{}", "€{}")
        self._form = rng.choice(english if language == "en" else ("{} €", "{}", "{} EUR", "€ {}"))
        self._is_comma = language != "en"

    def __call__(self, cents: int) -> str:
        """A sum, with two decimals."""
        text = f"{cents / 100:,.2f}"
        if self._is_comma:
            text = text.translate(str.maketrans(",.", ".,"))
        return self._form.format(text)


@lru_cache(maxsize=2)
def _sentences(split: Split) -> tuple[str, ...]:
    """Wordings of a split."""
    return tuple(text for text in SENTENCES if split_of(text, HELDOUT_SENTENCES) == split)


@lru_cache(maxsize=8)
def _faker(locale: str) -> Faker:
    try:
        from faker import Faker
    except ImportError as error:
        raise DataError(
            f"faker is missing: {error}", hint="make setup-data, or pip install 'finesight[data]'"
        ) from error
    return Faker(locale)
