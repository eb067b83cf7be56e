# SPDX-License-Identifier: Apache-2.0
"""Numbers of documents: signs, currencies, separators, both readings of an ambiguous one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from finesight.apps.numbers import amounts, decimal_mark


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,234.50", ["1234.50"]),
        ("EUR 1.234,50", ["1234.50"]),
        ("1 234,50 €", ["1234.50"]),
        ("1'234.50 CHF", ["1234.50"]),
        ("¥1,234,567", ["1234567"]),
        ("-12.00", ["-12.00"]),
        ("−12.00 USD", ["-12.00"]),
        ("(12.00)", ["-12.00"]),
        ("12.00-", ["-12.00"]),
        ("12,00- EUR", ["-12.00"]),
        ("-EUR 5", ["-5"]),
        ("- EUR 5", ["-5"]),
        ("EUR (12.00)", ["-12.00"]),
        ("thirty (30) days", ["30"]),
        ("a 90-day period", ["90"]),
        ("Net-30", ["30"]),
        ("- at most 30 days", ["30"]),
        ("19 %", ["19"]),
        ("0.125", ["0.125"]),
        ("1,234", ["1234", "1.234"]),
        ("1.234", ["1.234", "1234"]),
        ("١٢٫٥", ["12.5"]),
        ("１２３", ["123"]),  # full-width digits
        ("12 and 13", []),
        ("none", []),
        ("1,2.3,4", []),
    ],
)
def test_amounts(text, values):
    assert amounts(text) == tuple(map(Decimal, values))


def test_the_mark_of_the_document_decides():
    assert amounts("1,234", ".") == (Decimal(1234),)
    assert amounts("1,234", ",") == (Decimal("1.234"),)


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["1.234,50", "2,10"], ","),
        (["1,234.50", "7"], "."),
        (["1.234.567"], ","),
        (["1,5", "1.5"], ""),
        (["1,234"], ""),
    ],
)
def test_unambiguous_numbers_tell_the_mark(texts, mark):
    assert decimal_mark(texts) == mark
