# SPDX-License-Identifier: Apache-2.0
"""Why a sampled answer is not learned from: it is wrong, too long, repeats, or changes the language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Literal

from finesight.conversation import Reply

Reason = Literal[
    "wrong", "too long", "repeating", "code-switching", "picture-ignoring", "empty", "failed"
]
"""Why an answer is dropped. `failed`: it could not be sampled."""

REASONS: tuple[Reason, ...] = (
    "wrong",
    "too long",
    "repeating",
    "code-switching",
    "picture-ignoring",
    "empty",
    "failed",
)

_FOREIGN_SHARE = 0.1
"""Share of the letters in a script that neither question nor truth has, above which an answer changes the language."""

_LATIN_SHARE = 0.5
"""The same for Latin letters, in which every language writes names, units and abbreviations."""

_MOST_COPIES = 4
"""Copies of a line that are not counted as a repetition."""

_LEAST_LINE = 12
"""Characters of the shortest line that counts: short ones are rows of a list."""

_LEAST_CYCLE = 60
"""Characters of a text and its copies, at the end of an answer, that are a repetition."""

_CYCLE = re.compile(r"(.{2,80}?)\1{7,}$", re.DOTALL)
_END = 1500
"""Characters at the end of an answer that are searched for a repeated text."""

_SHARED = {"HIRAGANA": "JAPANESE", "KATAKANA": "JAPANESE"}


def fault(reply: Reply, question: str, truth: str, *, most_tokens: int) -> Reason | None:
    """What is wrong with the form of an answer, whatever it says; None if nothing is.

    Args:
        reply: the answer.
        question: text of the question.
        truth: the right answer.
        most_tokens: longest answer that is kept.
    """
    if not reply.text.strip():
        return "empty"
    if reply.finish_reason == "repetition" or is_repeating(reply.text):
        return "repeating"
    if reply.finish_reason == "length" or len(reply.token_ids) > most_tokens:
        return "too long"
    if changes_script(reply.text, question, truth):
        return "code-switching"
    return None


def is_repeating(text: str) -> bool:
    """Whether a line has many copies, or the text ends with many copies of a part."""
    lines = Counter(line.strip() for line in text.splitlines())
    if any(number > _MOST_COPIES and len(line) >= _LEAST_LINE for line, number in lines.items()):
        return True
    found = _CYCLE.search(text[-_END:])
    return found is not None and len(found.group()) >= _LEAST_CYCLE and bool(found[1].strip())


def changes_script(text: str, question: str, truth: str) -> bool:
    """Whether a considerable share of the letters is of a script that neither question nor truth has.

    Languages that share a script are not told apart.
    """
    found = scripts(text)
    known = scripts(question) | scripts(truth)
    foreign = {script: number for script, number in found.items() if script not in known}
    latin = foreign.pop("LATIN", 0)
    total = found.total()
    is_foreign = sum(foreign.values()) > _FOREIGN_SHARE * total or latin > _LATIN_SHARE * total
    return bool(known) and is_foreign


def scripts(text: str) -> Counter[str]:
    """Number of letters of each script, such as LATIN, CJK, JAPANESE (kana), HANGUL, CYRILLIC."""
    names = (unicodedata.name(char, "").split(" ")[0] for char in text if char.isalpha())
    return Counter(_SHARED.get(name, name) for name in names if name)
