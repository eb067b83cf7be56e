# SPDX-License-Identifier: Apache-2.0
"""Last numbers of texts."""

from __future__ import annotations

import re

from finesight.evals.core.task import Extractor
from finesight.evals.metrics.count import last_count

_NUMBER = re.compile(
    r"(?<![\w.,])-?(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,300}+)(?:\.\d{1,300}+)?(?![\d\w]|[.,]\d)"
)
_VALUE = re.compile(
    r"(?=[\d\\−－-])(?<![\w.,])(?P<sign>[-−－]?)(?=[\d\\])(?:"
    r"\\[dt]?frac\{(?P<over>\d{1,15})\}\{(?P<under>\d{1,15})\}"
    r"|(?<!\d/)(?<!\d/-)(?:(?P<whole>\d{1,3})\ )?(?P<above>\d{1,15})/(?P<below>\d{1,15})(?![\w/]|[.,]\d)"
    r"|(?P<plain>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,300}+)(?:\.\d{1,300}+)?)"
    r"(?:e(?P<power>[-−+]?\d{1,3})"
    r"|\s?(?:[×x*·]|\\times|\\cdot)\s?10\s?(?:\^|\*\*)\s?\{?(?P<raised>[-−+]?\d{1,3})\}?)?(?!\w|[.,]\d))",
    re.IGNORECASE,
)
_MINUS = str.maketrans("−－", "--")


def last_value_text(text: str) -> str | None:
    r"""The last number of a text as `float` reads it; None if there is none.

    Unlike `last_number_text` it reads Unicode minus signs, powers of ten, and fractions such as 1/2, 2 1/2 and
    `\frac{1}{2}`, whose value it returns. A date such as 1/2/2020 is not a fraction.
    """
    found = list(_VALUE.finditer(text))
    return next((value for match in reversed(found) if (value := _value(match))), None)


def _value(match: re.Match[str]) -> str | None:
    """A number as `float` reads it; None for a division by zero."""
    sign = match["sign"].translate(_MINUS)
    if match["plain"]:
        power = (match["power"] or match["raised"] or "").translate(_MINUS)
        return sign + match["plain"].replace(",", "") + (f"e{power}" if power else "")
    over, under = match["over"] or match["above"], match["under"] or match["below"]
    if not int(under):
        return None
    value = (int(match["whole"] or 0) * int(under) + int(over)) / int(under)
    return f"{sign}{int(value) if value.is_integer() else value}"


def last_number_text(text: str) -> str | None:
    """The last number of a text, without thousands separators; None if there is none."""
    found = _NUMBER.findall(text)
    return found[-1].replace(",", "") if found else None


LAST_NUMBER = Extractor("last-number", "3", lambda answered: last_count(answered.text))
"""Ours: the last whole number, in digits or as an English word up to twenty; None without one."""
