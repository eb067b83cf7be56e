# SPDX-License-Identifier: Apache-2.0
"""Detects stop strings in streamed text.

A stop string may begin in one token and end several tokens later. Text that may be the beginning of
a stop string is held back, so no part of one is ever shown; other text is passed on at once.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Passes text on up to the first stop string.

    Args:
        stops: strings that end the answer; none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None
        """The stop string that ended the text, once one has."""

    def feed(self, piece: str) -> str:
        """Add new text and return the text that can be shown now.

        After a stop string the result is always empty.
        """
        if self.found is not None:
            return ""
        text = self._held + piece
        hits = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if hits:
            # The earliest match counts; of two with the same start, the longer one.
            position, self.found = min(hits, key=lambda hit: (hit[0], -len(hit[1])))
            self._held = ""
            return text[:position]
        keep = self._open_suffix(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """Return the text held back, at the end of the answer."""
        text, self._held = self._held, ""
        return text

    def _open_suffix(self, text: str) -> int:
        """Length of the longest suffix of `text` that is a prefix of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            suffix = text[len(text) - length :]
            if any(stop.startswith(suffix) for stop in self._stops):
                return length
        return 0
