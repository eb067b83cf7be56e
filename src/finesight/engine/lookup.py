# SPDX-License-Identifier: Apache-2.0
"""Prompt lookup: guesses the next tokens of an answer from text that is already there.

An answer that copies from its prompt, such as an edited document or JSON with repeated keys, often goes on as after the
last occurrence of its newest tokens. The model checks all guesses in one forward pass, so wrong guesses cost little and
the answer does not change.

Worked example: the tokens `7 8 9 4 7 8` end with `7 8`, which was followed by `9 4`; the drafts are `[9, 4, 7, 8]`.
Source: Saxena 2023, prompt lookup decoding; the general idea: Leviathan et al. 2023 (arXiv 2211.17192).
"""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 3
"""Newest tokens that are looked for; if they do not occur before, fewer are."""

_SHORTEST = 2
"""Fewer tokens than this match too often by chance."""

_WINDOW = 4096
"""Tokens that are searched, counted from the end; it bounds the time of a step."""


def draft(tokens: Sequence[int], most: int) -> list[int]:
    """Guess the tokens after `tokens`.

    Args:
        tokens: prompt and answer so far.
        most: largest number of guesses.

    Returns:
        The tokens that followed the last earlier occurrence of the newest tokens; empty if there is none.
    """
    if most <= 0:
        return []
    recent = list(tokens[-_WINDOW:])
    for length in range(_LONGEST, _SHORTEST - 1, -1):
        newest = recent[-length:]
        for start in range(len(recent) - length - 1, -1, -1):
            if recent[start] == newest[0] and recent[start : start + length] == newest:
                return recent[start + length : start + length + most]
    return []
