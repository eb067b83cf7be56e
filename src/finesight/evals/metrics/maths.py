# SPDX-License-Identifier: Apache-2.0
r"""Equality of mathematical answers as MATH-Vision means it.

Two answers are equal if they are the same in lower case, if they are tuples or lists of equal members, or if both have
a value and the values agree to two decimals. An answer without a value is equal to itself only: "12 cm" is not "12".

The authors read values with latex2sympy, whose parser takes the longest beginning that is a formula and says nothing of
what follows a full stop or a bracket that nothing opened. So "\frac{7}{32}}.theansweris" has the value of 7/32.

`is_equal_tight` is the variant of Qwen and VLMEvalKit: values agree to a millionth, and since theirs cannot evaluate
roots, pi or functions, such an answer has no value there: "2\sqrt{2}" is not "2.8284271".

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
    return _equal(a, b, _same_rounded)


def is_equal_tight(a: str, b: str) -> bool:
    """Whether two answers are equal, values of rational arithmetic to a millionth."""
    return _equal(a, b, _same_tight)


def _equal(a: str, b: str, same: Callable[[str, str], bool]) -> bool:
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
    """Members of a tuple or list of two or more; None for anything else."""
    if (text[0], text[-1]) not in _BRACKETS:
        return None
    members = text[1:-1].split(",")
    return members if len(members) > 1 else None


def _same_rounded(a: str, b: str) -> bool:
    first, second = (evaluate(each, takes_prefix=True) for each in (a, b))
    if first is None or second is None:
        return False
    return round(first, DECIMALS) == round(second, DECIMALS)


def _same_tight(a: str, b: str) -> bool:
    first, second = (evaluate(x, rational_only=True, takes_prefix=True) for x in (a, b))
    return first is not None and second is not None and abs(first - second) < TOLERANCE
