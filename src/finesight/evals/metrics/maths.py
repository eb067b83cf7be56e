# SPDX-License-Identifier: Apache-2.0
r"""Equality of mathematical answers as in MATH-Vision.

Two answers are equal if they are the same text in lower case, tuples or lists of equal members, or have values that are
equal when rounded to two decimals. An answer without a value equals only the same text: "12 cm" is not "12".

The authors evaluate with latex2sympy, whose parser ignores everything after a full stop or an unopened bracket that
follows a formula. So "\frac{7}{32}}.theansweris" has the value of 7/32.

`is_equal_tight` is the variant of Qwen and VLMEvalKit: values differ by less than a millionth, and roots, pi and
functions have no value: "2\sqrt{2}" is not "2.8284271".

Source: "Measuring Multimodal Mathematical Reasoning with MATH-Vision" (2024).
"""

from __future__ import annotations

from collections.abc import Callable

from finesight.evals.metrics.expression import evaluate
from finesight.evals.metrics.texts import as_text

DECIMALS = 2
TOLERANCE = 1e-6
_BRACKETS = (("(", ")"), ("[", "]"))


def is_equal(a: str, b: str) -> bool:
    """Whether two answers are equal, values rounded to two decimals."""
    return _equal(a, b, lambda x, y: round(x, DECIMALS) == round(y, DECIMALS))


def is_equal_tight(a: str, b: str) -> bool:
    """Whether two answers are equal, values of rational arithmetic to a millionth."""
    return _equal(a, b, lambda x, y: abs(x - y) < TOLERANCE, rational_only=True)


def _equal(
    a: str, b: str, near: Callable[[float, float], bool], *, rational_only: bool = False
) -> bool:
    def same(*texts: str) -> bool:
        x, y = (evaluate(text, rational_only=rational_only, takes_prefix=True) for text in texts)
        return x is not None and y is not None and near(x, y)

    first, second = as_text(a).lower().strip(), as_text(b).lower().strip()
    if not first or not second:
        return False
    if first == second:
        return True
    members, others = _members(first), _members(second)
    if members is None or others is None:
        return same(first, second)
    return (
        first[0] == second[0]
        and len(members) == len(others)
        and all(
            one.strip() == other.strip() or same(one, other)
            for one, other in zip(members, others, strict=True)
        )
    )


def _members(text: str) -> list[str] | None:
    """Members of a tuple or list of at least two; None for anything else."""
    if (text[0], text[-1]) not in _BRACKETS:
        return None
    members = text[1:-1].split(",")
    return members if len(members) > 1 else None
