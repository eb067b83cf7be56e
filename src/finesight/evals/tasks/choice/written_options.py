# SPDX-License-Identifier: Apache-2.0
"""Options that a copy writes into the question instead of giving them columns of their own."""

from __future__ import annotations

import re
from itertools import product

from finesight.errors import EvalError

_HEADING = re.compile(r"\s*\b(?:Options|Choices)\s{0,4}:\s{0,4}", re.IGNORECASE)
_LABELS = (r"{}\s{{0,2}}: ?", r"\({}\) ?", r"{}\. ?", r"{}\) ?")
"""How the letter of an option is written; one row keeps to one of them."""
_BOUNDARIES = (r"(?:[,;]\s{0,8}|\s{0,8}\n\s{0,8})", r"\s{1,8}")
"""What stands between two options; the second only where there is none of the first."""
_LINE = re.compile(r"\n\s*\(([A-Z])\)\s*")


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a row of MMStar's own file.

    `Options: A: ape, B: bee` and `Choices:` with `(A) ape` on lines of their own are forms of that file; `A.` and `A)`
    are read as well, and options without a heading where each has its line.

    Raises:
        EvalError: no options stand there.
    """
    text = text.strip()
    headings = list(_HEADING.finditer(text))
    places = [(match.start(), match.end()) for match in reversed(headings)]
    places += [(match.start(), match.end()) for match in re.finditer(r"\n\s{0,8}", text)]
    for end_of_question, start in places:
        for label, boundary in product(_LABELS, _BOUNDARIES):
            if len(found := _listed(text[start:], label, boundary)) > 1:
                return text[:end_of_question].strip(), found
    raise EvalError("there are neither columns A to D nor options within the question")


def _listed(block: str, label: str, boundary: str) -> tuple[str, ...]:
    """Texts of the options that a block of text begins with, each under the next letter."""
    first = re.match(label.format("A"), block)
    if first is None:
        return ()
    found, at = [], first.end()
    for letter in "BCDEFGHI":
        following = re.compile(f"{boundary}{label.format(letter)}").search(block, at)
        if following is None:
            break
        found.append(block[at : following.start()])
        at = following.end()
    return tuple(text.strip().rstrip(".") for text in (*found, block[at:]))


def split_lines(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a row of LVBench, which lists them as `(A) ...`, one to a line.

    Raises:
        EvalError: it lists none.
    """
    first, *rest = _LINE.split(text)
    if len(rest) < 4:
        raise EvalError("the question lists no options such as (A)")
    return first.strip(), tuple(option.strip() for option in rest[1::2])
