# SPDX-License-Identifier: Apache-2.0
"""Split question texts that contain their options."""

from __future__ import annotations

import re
from itertools import product

from finesight.errors import EvalError

_HEADING = re.compile(r"\s*\b(?:Options|Choices)\s{0,4}:\s{0,4}", re.IGNORECASE)
_LABELS = (r"{}\s{{0,2}}: ?", r"\({}\) ?", r"{}\. ?", r"{}\) ?")
"""Forms of an option's letter; a row uses one of them."""
_BOUNDARIES = (r"(?:[,;]\s{0,8}|\s{0,8}\n\s{0,8})", r"\s{1,8}")
"""Separators of options; the second is tried only if the first does not match."""
_LINE = re.compile(r"\n\s*\(([A-Z])\)\s*")


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a row of MMStar's own file.

    The file contains `Options: A: ape, B: bee`, and `Choices:` with one `(A) ape` per line. `A.`, `A)`, and one option
    per line without a heading are read as well.

    Raises:
        EvalError: the text contains no options.
    """
    text = text.strip()
    headings = list(_HEADING.finditer(text))
    places = [(match.start(), match.end()) for match in reversed(headings)]
    places += [(match.start(), match.end()) for match in re.finditer(r"\n\s{0,8}", text)]
    for end_of_question, start in places:
        for label, boundary in product(_LABELS, _BOUNDARIES):
            if len(found := _listed(text[start:], label, boundary)) > 1:
                return text[:end_of_question].strip(), found
    raise EvalError("the row has neither columns A to D nor options within the question")


def _listed(block: str, label: str, boundary: str) -> tuple[str, ...]:
    """Texts of the options at the start of a block, labelled A, B, C and so on."""
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
    """Question and options of a row of LVBench: `(A) ...`, one option per line.

    Raises:
        EvalError: the text lists no options.
    """
    first, *rest = _LINE.split(text)
    if len(rest) < 4:
        raise EvalError("the question lists no options such as (A)")
    return first.strip(), tuple(option.strip() for option in rest[1::2])
