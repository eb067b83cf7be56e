# SPDX-License-Identifier: Apache-2.0
"""Files and functions stay readable; each limit is also shown a sample that breaks it."""

from __future__ import annotations

import pytest

from tests.architecture import budgets
from tests.architecture.budgets import Measured
from tests.architecture.source import ROOT, Module, modules, programs


def everything():
    return [*modules(), *programs()]


def test_files_keep_the_hard_limit():
    assert budgets.over(budgets.file_lengths(everything()), budgets.FILE_LINES_MOST) == []


def test_most_files_are_short():
    assert budgets.too_many_over(budgets.file_lengths(everything()), budgets.FILE_LINES) == []


def test_functions_keep_the_hard_limit():
    assert budgets.over(budgets.function_lengths(everything()), budgets.FUNCTION_LINES_MOST) == []


def test_most_functions_are_short():
    lengths = budgets.function_lengths(everything())
    assert budgets.too_many_over(lengths, budgets.FUNCTION_LINES) == []


def test_nesting_stays_shallow():
    assert budgets.over(budgets.nesting_depths(everything()), budgets.NESTING_MOST) == []


def test_test_files_keep_the_hard_limit():
    lengths = [
        Measured(len(path.read_text(encoding="utf-8").splitlines()), str(path.relative_to(ROOT)))
        for path in sorted((ROOT / "tests").rglob("*.py"))
    ]
    assert budgets.over(lengths, budgets.TEST_FILE_LINES_MOST) == []


def sample(text):
    return [Module.parse("finesight.sample", text)]


def test_a_long_function_is_measured():
    text = "class A:\n    def f(self):\n" + "        x = 1\n" * 80
    assert budgets.over(budgets.function_lengths(sample(text)), 80) == [
        "finesight/sample.py:A.f: 81, at most 80"
    ]


def test_a_long_file_is_measured():
    assert budgets.over(budgets.file_lengths(sample("x = 1\n" * 501)), 500) == [
        "finesight/sample.py: 501, at most 500"
    ]


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("def f():\n    return 1", 0),
        ("def f():\n    if a:\n        x()\n    elif b:\n        x()\n    else:\n        x()", 1),
        ("def f():\n    if a:\n        x()\n    elif b:\n        for c in b:\n            x()", 2),
        ("def f():\n    for a in b:\n        with a:\n            try:\n                pass\n"
         "            except E:\n                while a:\n                    if a:\n"
         "                        pass", 5),
        ("def f():\n    match a:\n        case 1:\n            if b:\n                pass", 2),
    ],
)  # fmt: skip
def test_nesting_is_measured(text, depth):
    assert [item.value for item in budgets.nesting_depths(sample(text))] == [depth]


def test_a_tenth_may_be_longer_but_no_more():
    nine = [Measured(1, "short")] * 9
    assert budgets.too_many_over([*nine, Measured(9, "long")], 5) == []
    assert len(budgets.too_many_over([*nine, Measured(9, "a"), Measured(8, "b")], 5)) == 2
