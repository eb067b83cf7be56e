# SPDX-License-Identifier: Apache-2.0
"""Detects endless repetition in an answer while it is generated.

Vision-language models may repeat the same table row, box or sentence until the token limit. A repetition
penalty also suppresses legitimate repeats, such as thirty equal cells of a table. This guard changes no
probability. It stops an answer once a repetition is longer than in real documents.

Two rules, both on tokens:

* **Cycle.** The answer ends in a run where every token equals the one `period` tokens before.
  The limit depends on what is repeated. A *plain* cycle has few different tokens (`0, 0,
  0`, `<td></td>`, dotted lines, rows of zeros) and is common in real tables. A *rich* cycle is a
  sentence or a box with numbers, which real documents do not repeat thirty times.
* **Line.** One rich line makes up at least half of the last 64 lines, even with other lines
  between.

| cycle | stops at (whichever comes first) | but never before |
|---|---|---|
| plain: at most 6 different tokens | 128 copies or 1,024 tokens | 4 copies |
| rich | 32 copies or 640 tokens | 4 copies |

Box lists whose entries share a beginning are not a cycle: their numbers differ. A loop that counts
upwards is not detected; no exact rule can distinguish it from a list.

An answer can be continued instead (`Sampling.loop_retries`): it goes back to the end of the first copy, and the tokens
of the copy are less likely for a while (`finesight.engine.penalties`).

Cost: one dictionary look-up per token, whatever the period (amortised O(1)); memory grows with
the answer.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from itertools import takewhile

ANCHOR_TOKENS = 4
"""Number of equal tokens that make two positions count as the same."""

PLAIN_DISTINCT = 6
"""A cycle or line with at most this many different tokens is plain."""

MIN_COPIES = 4
"""Fewer copies than this are never a loop."""

RICH_LIMIT = (32, 640)
"""Copies, or tokens, at which a rich cycle is a loop."""

PLAIN_LIMIT = (128, 1024)
"""Copies, or tokens, at which a plain cycle is a loop."""

LINE_WINDOW = 64
"""Last lines that the line rule checks; if half of them are one rich line, it is a loop."""


class LoopGuard:
    """Loop detector of one answer.

    Args:
        ends_line: whether a token's text contains a line break; None disables the line rule.

    Attributes:
        first_copy: start and end of the first copy of what is repeated, in tokens of the answer; None before a loop
            is found.
    """

    def __init__(self, ends_line: Callable[[int], bool] | None = None) -> None:
        self._tokens: list[int] = []
        self._last_seen: dict[tuple[int, ...], int] = {}
        self._period = 0
        self._matched = 0  # tokens at the end that equal the one `_period` before them
        self._limit = 0  # largest run of this period that is not a loop
        self.first_copy: tuple[int, int] | None = None
        self._lines = _LineWindow(ends_line) if ends_line is not None else None

    def push(self, token_id: int) -> bool:
        """Add the next token; True once the answer is a loop, which `first_copy` then gives."""
        tokens = self._tokens
        tokens.append(token_id)
        if self._period and tokens[-1 - self._period] == token_id:
            self._matched += 1
        else:
            self._period = self._matched = 0
        self._anchor()
        is_loop = self._period > 0 and self._matched + self._period >= self._stretch_limit()
        line = self._lines.push(token_id) if self._lines is not None else None
        if is_loop:
            start = len(tokens) - self._matched - self._period
            self.first_copy = (start, start + self._period)
        elif line is not None:
            self.first_copy = line
        return is_loop or line is not None

    def _anchor(self) -> None:
        """Store the position of the last tokens; a cycle may begin at their previous position."""
        tokens = self._tokens
        if len(tokens) < ANCHOR_TOKENS:
            return
        anchor, here = tuple(tokens[-ANCHOR_TOKENS:]), len(tokens)
        before = self._last_seen.get(anchor)
        self._last_seen[anchor] = here
        if not self._period and before is not None:
            self._period, self._matched, self._limit = here - before, ANCHOR_TOKENS, 0

    def _stretch_limit(self) -> int:
        """Tokens at which the current cycle is a loop; known after its first full copy."""
        if not self._limit:
            if self._matched < self._period:
                return len(self._tokens) + 1  # not one complete copy yet: no limit
            distinct = len(set(self._tokens[-self._period :]))
            copies, total = PLAIN_LIMIT if distinct <= PLAIN_DISTINCT else RICH_LIMIT
            self._limit = max(MIN_COPIES * self._period, min(copies * self._period, total))
        return self._limit


class _LineWindow:
    """The last lines of an answer, counted."""

    def __init__(self, ends_line: Callable[[int], bool]) -> None:
        self._ends_line = ends_line
        self._line: list[int] = []
        self._window: deque[tuple[int, ...]] = deque()
        self._num_tokens = 0  # of all lines in the window
        self._end = 0  # tokens of all complete lines
        self._counts: Counter[tuple[int, ...]] = Counter()

    def push(self, token_id: int) -> tuple[int, int] | None:
        """Add the next token.

        Returns:
            The first occurrence, in tokens of the answer, of a line that fills half of the window.
        """
        self._line.append(token_id)
        if not self._ends_line(token_id):
            return None
        line = tuple(self._line)
        self._line.clear()
        self._end += len(line)
        self._num_tokens += len(line)
        self._window.append(line)
        self._counts[line] += 1
        if len(self._window) > LINE_WINDOW:
            oldest = self._window.popleft()
            self._num_tokens -= len(oldest)
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        is_rich = len(set(line)) > PLAIN_DISTINCT
        if not is_rich or 2 * self._counts[line] < LINE_WINDOW:
            return None
        start = self._end - self._num_tokens
        for earlier in takewhile(lambda each: each != line, self._window):
            start += len(earlier)
        return start, start + len(line)
