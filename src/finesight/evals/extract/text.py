# SPDX-License-Identifier: Apache-2.0
"""Answers that are their own reading."""

from __future__ import annotations

from finesight.evals.task import Answered, Extractor


def _whole(answered: Answered) -> str:
    return answered.text.strip()


def _last_line(answered: Answered) -> str | None:
    return answered.text.rstrip().rsplit("\n", 1)[-1].strip() or None


WHOLE_TEXT = Extractor("whole-text", "1", _whole)
"""The answer without blanks around it; silence is an empty text."""
LAST_LINE = Extractor("last-line", "1", _last_line)
"""The last line that holds anything; None for silence."""
