# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.parse.numbers import read_count, read_numbers


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("6", 6),
        ("There are 6 cakes.", 6),
        ("five.", 5),
        ("None", 0),
        ("Zero cats", 0),
        ("Twelve (12) of them", 12),
        ("1,234 items", 1234),
        ('```json\n[{"bbox_2d": [1, 2, 3, 4]}]\n```\nThere is one item.', 1),
        ('```xml\n<points x1="84" y1="61" x2="9" y2="5" alt="cake">cake</points>\n```\n2', 2),
        ('<points x1="84" y1="61" alt="cake">cake</points>', None),
        ('```xml\n<points x1="84" y1', None),
        ("2 < 3", None),
        ("", None),
        ("No.", None),
        ("twenty-one", None),
        ("3.5", None),
        ("5/6", None),
        ("5-6", None),
        ("2024-01-02", None),
        ("There are 5 cakes on 2 plates", None),
    ],
)
def test_counts(text, count):
    assert read_count(text) == count


def test_numbers_know_where_they_stand():
    text = "two cats and 3 dogs"
    assert [(n.value, text[n.span[0] : n.span[1]]) for n in read_numbers(text)] == [
        (2, "two"),
        (3, "3"),
    ]
