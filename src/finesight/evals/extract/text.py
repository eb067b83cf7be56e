# SPDX-License-Identifier: Apache-2.0
"""Extractors of plain text."""

from __future__ import annotations

from finesight.evals.core.task import Extractor

VERBATIM = Extractor("verbatim", "3", lambda answered: answered.text, keeps_text=True)
"""The unchanged answer, for metrics that depend on surrounding blanks."""
WHOLE_TEXT = Extractor("whole-text", "3", lambda answered: answered.text.strip(), keeps_text=True)
"""The answer without surrounding blanks; may be empty."""
LAST_LINE = Extractor(
    "last-line", "3", lambda answered: answered.text.rstrip().rsplit("\n", 1)[-1].strip() or None
)
"""The last non-empty line; None for an empty answer."""
