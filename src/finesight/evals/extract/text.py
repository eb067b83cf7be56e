# SPDX-License-Identifier: Apache-2.0
"""Answers that are their own reading."""

from __future__ import annotations

from finesight.evals.core.task import Answered, Extractor


def _verbatim(answered: Answered) -> str:
    return answered.text


def _whole(answered: Answered) -> str:
    return answered.text.strip()


def _last_line(answered: Answered) -> str | None:
    return answered.text.rstrip().rsplit("\n", 1)[-1].strip() or None


VERBATIM = Extractor("verbatim", "3", _verbatim, keeps_text=True)
"""The answer as it came, for metrics to which blanks around it matter."""
WHOLE_TEXT = Extractor("whole-text", "3", _whole, keeps_text=True)
"""The answer without blanks around it; silence is an empty text."""
LAST_LINE = Extractor("last-line", "3", _last_line)
"""The last line that holds anything; None for silence."""
