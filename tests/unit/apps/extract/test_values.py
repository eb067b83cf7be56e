# SPDX-License-Identifier: Apache-2.0
"""Types of values: numbers, dates with both readings, identifiers with check digits, members of a closed set."""

from __future__ import annotations

from datetime import date

import pytest

from finesight.apps.extract.values import date_readings, typed


@pytest.mark.parametrize(
    ("raw", "order", "days"),
    [
        ("2024-03-04", "", [(2024, 3, 4)]),
        ("2024/3/4", "", [(2024, 3, 4)]),
        ("2024年3月4日", "", [(2024, 3, 4)]),
        ("04.03.2024", "", [(2024, 3, 4)]),
        ("4.3.24", "", [(2024, 3, 4)]),
        ("31/12/2024", "", [(2024, 12, 31)]),
        ("12/31/2024", "", [(2024, 12, 31)]),
        ("03/04/2024", "", [(2024, 4, 3), (2024, 3, 4)]),
        ("03/04/2024", "DMY", [(2024, 4, 3)]),
        ("03/04/2024", "MDY", [(2024, 3, 4)]),
        ("04/04/2024", "", [(2024, 4, 4)]),
        ("March 4, 2024", "", [(2024, 3, 4)]),
        ("4. März 2024", "", [(2024, 3, 4)]),
        ("4 mars 2024", "", [(2024, 3, 4)]),
        ("4.3.2024, printed 12.30.45", "", [(2024, 3, 4)]),
        ("31.02.2024", "", []),
        ("2024-01-01 to 2024-12-31", "", []),
        ("3.4.202", "", []),
        ("in 30 days", "", []),
        ("2 days ago", "", []),
        ("tomorrow", "", []),
        ("March 2024", "", []),
    ],
)
def test_days_that_a_text_can_mean(raw, order, days):
    assert date_readings(raw, order) == tuple(date(*one) for one in days)


@pytest.mark.parametrize(
    ("raw", "node", "value"),
    [
        ("1.234,50 €", {"type": "number"}, 1234.5),
        ("1,200.00", {"type": "number"}, 1200),
        ("12", {"type": "integer"}, 12),
        ("4.3.2024", {"type": "string", "format": "date"}, "2024-03-04"),
        ("4.3.2024 9:05", {"type": "string", "format": "date-time"}, "2024-03-04T09:05:00"),
        ("9:05", {"type": "string", "format": "time"}, "09:05:00"),
        ("DE89 3704 0044 0532 0130 00", {"type": "string", "format": "iban"}, "DE89370400440532013000"),
        ("paid", {"enum": ["open", "Paid"]}, "Paid"),
        ("2", {"enum": [1, 2]}, 2),
        ("☒", {"type": "boolean"}, True),
        ("a@b.example", {"type": "string", "format": "email"}, "a@b.example"),
        ("free text", {}, "free text"),
    ],
)  # fmt: skip
def test_typed_values(raw, node, value):
    found = typed(raw, node)
    assert (found.value, found.status, found.problem) == (value, "found", "")


@pytest.mark.parametrize(
    ("raw", "node", "words"),
    [
        ("twelve", {"type": "number"}, "not one number"),
        ("1.5", {"type": "integer"}, "not one whole number"),
        ("12 or 13", {"type": "number"}, "not one number"),
        ("03/04/2024", {"type": "string", "format": "date"}, "2024-04-03 or 2024-03-04"),
        ("soon", {"type": "string", "format": "date"}, "no date"),
        ("25:10", {"type": "string", "format": "time"}, "no time"),
        ("DE89 3704 0044 0532 0130 01", {"type": "string", "format": "iban"}, "check digits"),
        ("maybe", {"type": "boolean"}, "neither true nor false"),
        ("late", {"enum": ["open", "paid"]}, "none of open, paid"),
    ],
)
def test_a_text_of_another_type_stays_a_text_with_the_reason(raw, node, words):
    found = typed(raw, node)
    assert (found.value, found.status) == (raw, "invalid")
    assert words in found.problem


def test_an_ambiguous_number_tells_both_readings():
    found = typed("1,234", {"type": "number"})
    assert (found.value, found.status) == (1234, "found")
    assert "1234 or 1.234" in found.problem
    assert typed("1,234", {"type": "number", "x-decimal": ","}).value == 1.234
    assert typed("1,234", {"type": "number"}, mark=",").value == 1.234
