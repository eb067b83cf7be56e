# SPDX-License-Identifier: Apache-2.0
"""Rules of a review, read from TOML.

::

    title = "Supply agreements"

    [[rule]]
    id = "payment-term"
    clause = "Payment"
    kind = "limit"                 # required, forbidden, limit or compare
    question = "Within how many days must an invoice be paid?"
    limit = "<= 30 days"           # of the kind limit: <, <=, ==, >=, > or a range such as 10..30 days
    severity = "error"             # or "warning", which never changes the exit code
    advice = "Ask for 30 days."

A rule of the kind compare has `expected`, a list of texts of which one must be in the answer.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finesight.apps.numbers import amounts, plain, readings
from finesight.errors import ConfigError

__all__ = ["Limit", "Playbook", "Rule", "days_in", "load_rules", "parse_limit"]

_LIMIT = re.compile(
    r"(<=|>=|==|<|>)\s*([\d.,' ]*\d)\s*(.*)|([\d.,' ]*\d)\s*\.\.\s*([\d.,' ]*\d)\s*(.*)"
)
_DAYS: dict[str, Decimal] = {
    **dict.fromkeys(("day", "days", "tag", "tage", "tagen", "jour", "jours", "日", "天"), Decimal(1)),
    **dict.fromkeys(("week", "weeks", "woche", "wochen", "semaine", "semaines", "周"), Decimal(7)),
    **dict.fromkeys(("month", "months", "monat", "monate", "monaten", "mois", "个月", "月"), Decimal(30)),
    **dict.fromkeys(("year", "years", "jahr", "jahre", "jahren", "an", "ans", "année", "年"), Decimal(365)),
}  # fmt: skip
"""Days of each unit of time; a month counts as 30 days, a year as 365."""


class Rule(BaseModel):
    """A rule.

    Attributes:
        id: its name in results.
        clause: the clause that it is about.
        kind: the clause must be there; it must not; its number keeps a limit; its text is one of those expected.
        question: what is asked about each page.
        limit: of the kind limit.
        expected: of the kind compare.
        severity: a warning never changes the exit code.
        advice: written by the author of the rules; it is copied into the results.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[\w.-]{1,80}$")
    clause: str
    kind: Literal["required", "forbidden", "limit", "compare"]
    question: str
    limit: str = ""
    expected: tuple[str, ...] = ()
    severity: Literal["error", "warning"] = "error"
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Playbook:
    """A file of rules."""

    title: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of a number.

    Attributes:
        least: None for no lower bound.
        most: None for no upper bound.
        is_open: whether the bounds themselves are outside.
        unit: such as "days" or "%"; empty for none.
    """

    least: Decimal | None
    most: Decimal | None
    is_open: bool
    unit: str

    def holds(self, number: Decimal) -> bool:
        """Whether a number, in the unit of the limit, is within it."""
        if self.is_open:
            above = self.least is None or number > self.least
            return above and (self.most is None or number < self.most)
        above = self.least is None or number >= self.least
        return above and (self.most is None or number <= self.most)


def load_rules(path: Path) -> Playbook:
    """Read a file of rules.

    Raises:
        ConfigError: it cannot be read, or a rule is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the rules {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from error
    given = content.get("rule", [])
    if unknown := content.keys() - {"title", "rule"}:
        raise ConfigError(
            f"{path} has {sorted(unknown)[0]!r}", hint="it has a title and [[rule]] tables"
        )
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{path} has no rule", hint="begin each with a line [[rule]]")
    rules = tuple(_rule(one, index, path) for index, one in enumerate(given, 1))
    names = [rule.id for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path} has {names.count(name)} rules with the id {name!r}")
    return Playbook(str(content.get("title", path.stem)), rules)


def _rule(given: Any, index: int, path: Path) -> Rule:
    try:
        rule = Rule.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}, rule {index}: {key}: {first['msg']}") from error
    if (rule.kind == "limit") != bool(rule.limit):
        raise ConfigError(
            f"{path}, rule {rule.id}: kind is {rule.kind!r} and limit is {rule.limit!r}",
            hint='a rule has a limit, such as "<= 30 days", if its kind is limit',
        )
    if (rule.kind == "compare") != bool(rule.expected):
        raise ConfigError(
            f"{path}, rule {rule.id}: kind is {rule.kind!r} and expected is {list(rule.expected)}",
            hint="a rule has expected texts if its kind is compare",
        )
    if rule.limit:
        parse_limit(rule.limit)
    return rule


def parse_limit(text: str) -> Limit:
    """Bounds from a text such as "<= 30 days" or "10..20 %".

    Raises:
        ConfigError: it is not of this form.
    """
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"the limit is {text!r}", hint='it is such as "<= 30 days" or "10..20 %"')
    sign, number, unit, low, high, range_unit = match.groups()
    if sign is None:
        return Limit(_number(low), _number(high), is_open=False, unit=range_unit.strip())
    value = _number(number)
    least = value if sign in (">", ">=", "==") else None
    most = value if sign in ("<", "<=", "==") else None
    return Limit(least, most, is_open=sign in ("<", ">"), unit=unit.strip())


def days_in(text: str) -> Decimal | None:
    """Days of the unit of time that a text names; None if it names none."""
    words = re.findall(r"[^\W\d_]+", plain(text).casefold())
    return next((_DAYS[word] for word in words if word in _DAYS), None)


def _number(text: str) -> Decimal:
    found = readings(text.strip(), ".") or amounts(text, ".")
    if not found:
        raise ConfigError(f"the limit has {text!r}, which is no number")
    return found[0]
