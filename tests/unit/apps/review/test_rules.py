# SPDX-License-Identifier: Apache-2.0
"""Files of rules: limits with units, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from finesight.apps.review.rules import days_in, load_rules, parse_limit
from finesight.errors import ConfigError

RULE = '[[rule]]\nid = "a"\nclause = "A"\nkind = "required"\nquestion = "?"\n'


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("<= 30 days", ["30", "1"], ["31"]),
        ("< 30", ["29"], ["30"]),
        (">= 1,000.50 EUR", ["1000.5"], ["1000"]),
        ("> 2", ["3"], ["2"]),
        ("== 5 %", ["5"], ["4", "6"]),
        ("10..20 %", ["10", "20"], ["9", "21"]),
    ],
)
def test_limits(text, inside, outside):
    limit = parse_limit(text)
    assert all(limit.holds(Decimal(one)) for one in inside)
    assert not any(limit.holds(Decimal(one)) for one in outside)


def test_units_of_time_are_days():
    assert days_in("sixty (60) days") == 1
    assert days_in("3 Monate") == 30
    assert days_in("within 2 weeks") == 7
    assert days_in("5 %") is None


def test_a_file_of_rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(f'title = "T"\n{RULE}advice = "Ask."\n', encoding="utf-8")
    found = load_rules(path)
    assert (found.title, found.rules[0].id, found.rules[0].advice) == ("T", "a", "Ask.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rule"),
        ("nonsense", "no TOML"),
        ('author = "x"\n' + RULE, "author"),
        (RULE + RULE, "2 rules with the id"),
        (RULE.replace("required", "perhaps"), "rule 1: kind"),
        (RULE + 'colour = "red"\n', "rule 1: colour"),
        (RULE + 'limit = "<= 3"\n', "limit"),
        (RULE.replace("required", "limit"), "limit"),
        (RULE.replace("required", "compare"), "expected"),
        (RULE.replace("required", "limit") + 'limit = "few"\n', "few"),
    ],
)
def test_wrong_rules_are_refused(tmp_path, text, words):
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_rules(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path / "none.toml")
