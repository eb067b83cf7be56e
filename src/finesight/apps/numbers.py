# SPDX-License-Identifier: Apache-2.0
"""Numbers as they are written in documents: with signs, currencies, and separators of any country.

A single separator before three digits has two readings: 1,234 is a thousand in one country and a decimal fraction in
another. All readings are returned; what the document's other numbers say can decide (`decimal_mark`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

__all__ = ["NUMBER", "amounts", "decimal_mark", "plain", "readings"]

NUMBER = re.compile(r"\d{1,3}(?:[ \u00a0\u202f'’]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)*")
"""A number without its sign; groups of three digits may be separated by spaces or apostrophes."""

_LOOKALIKES = str.maketrans({"٫": ".", "٬": ",", "−": "-", "–": "-", "—": "-", "’": "'"})
_GROUPS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_MINUS_BEFORE = re.compile(r"(?<!\w)-$|^-(?:\S|\s+[A-Z]{3}\b)")
_MINUS_AFTER = re.compile(r"-(?!\w)|-[A-Z]{3}\b")
"""A minus sign, and not the hyphen of "Net-30" or "90-day"."""
_OPENED = re.compile(r"\W*(?:[A-Z]{1,3}\W*)?\(")
_CLOSED = re.compile(r"\)\W*(?:[A-Z]{1,3}\W*)?")
"""Parentheses of a negative amount, with a currency at most: in "thirty (30) days" they repeat a number in words."""


def plain(text: str) -> str:
    """The text in compatibility form, with ASCII digits, separators and minus signs.

    A digit of another script is replaced in place, so a text without compatibility characters keeps its length.
    """
    folded = unicodedata.normalize("NFKC", text).translate(_LOOKALIKES)
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() and not char.isascii() else char
        for char in folded
    )


def readings(token: str, mark: str = "") -> tuple[Decimal, ...]:
    """Values that a number without a sign can have, the likeliest first.

    Args:
        token: a match of `NUMBER`.
        mark: the decimal mark, "." or ","; empty if it is not known.

    Returns:
        One value, or two if the mark is not known and both are possible; none if the separators make no number.
    """
    digits = re.sub(r"[^\d.,]", "", token)
    marks = [char for char in digits if char in ".,"]
    if not marks:
        return (Decimal(digits),) if digits else ()
    last = marks[-1]
    whole, _, fraction = digits.rpartition(last)
    as_fraction = Decimal(f"{re.sub('[.,]', '', whole)}.{fraction}")
    as_groups = Decimal(re.sub("[.,]", "", digits))
    if len(set(marks)) == 2:
        is_number = marks.count(last) == 1 and _GROUPS.fullmatch(whole)
        return (as_fraction,) if is_number else ()
    if len(marks) > 1:
        return (as_groups,) if _GROUPS.fullmatch(digits) else ()
    if not _GROUPS.fullmatch(digits) or whole == "0" or len(token) != len(digits):
        return (as_fraction,)
    if mark:
        return (as_fraction if last == mark else as_groups,)
    return (as_groups, as_fraction) if last == "," else (as_fraction, as_groups)


def amounts(text: str, mark: str = "") -> tuple[Decimal, ...]:
    """Values that a text with exactly one number can have, with its sign; none if it has no or several numbers.

    Args:
        text: such as "EUR 1.234,50", "(12.00)" or "-3 %".
        mark: the decimal mark, if it is known.
    """
    clean = plain(text)
    found = list(NUMBER.finditer(clean))
    if len(found) != 1:
        return ()
    before, after = clean[: found[0].start()].strip(), clean[found[0].end() :].strip()
    is_negative = bool(_MINUS_BEFORE.search(before) or _MINUS_AFTER.match(after))
    is_negative |= bool(_OPENED.fullmatch(before) and _CLOSED.fullmatch(after))
    return tuple(-one if is_negative else one for one in readings(found[0][0], mark))


def decimal_mark(texts: Iterable[str]) -> str:
    """The decimal mark that the unambiguous numbers of some texts use; empty if they disagree or there are none."""
    votes: Counter[str] = Counter()
    for text in texts:
        for token in NUMBER.findall(plain(text)):
            marks = [char for char in token if char in ".,"]
            if not marks or len(readings(token)) != 1:
                continue
            is_fraction = Decimal(re.sub(r"\D", "", token)) != readings(token)[0]
            votes[marks[-1] if is_fraction else {".": ",", ",": "."}[marks[-1]]] += 1
    for mark, other in ((".", ","), (",", ".")):
        if votes[mark] > 2 * votes[other]:
            return mark
    return ""
