# SPDX-License-Identifier: Apache-2.0
"""Results of a review that do not pass, as SARIF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finesight.apps.review.records import NOTE, Review
from finesight.apps.sarif import Alert, Level, write_sarif

__all__ = ["write_review_sarif"]

_CHANGE = "version"
"""Name of the rule under which differences from another version are noted."""


def write_review_sarif(path: Path, source: str, review: Review) -> None:
    """Write a finding for each rule that does not pass, and a note for each clause that differs.

    An unclear rule is a warning, because nobody has decided that it fails.

    Args:
        path: the file.
        source: path of the document.
        review: its results.

    Raises:
        AppError: the file cannot be written.
    """
    rules = {one.rule.id: f"{one.rule.clause} ({one.rule.kind})" for one in review.results}
    if review.changes:
        rules[_CHANGE] = "clauses that differ from the other version"
    unread = [f"{one.what}: {one.reason}" for one in review.coverage.skipped]
    alerts = [*_of_rules(source, review), *_of_changes(source, review)]
    write_sarif(path, alerts, rules, [*unread, *review.problems])


def _of_rules(source: str, review: Review) -> Iterator[Alert]:
    for one in review.results:
        if one.verdict == "pass":
            continue
        level: Level = "error" if one.rule.severity == "error" else "note"
        if one.verdict == "unclear" and level == "error":
            level = "warning"
        text = " ".join(filter(None, (f"{one.verdict}: {one.reason}", one.rule.advice)))
        yield Alert(
            rule=one.rule.id,
            level=level,
            message=f"{text} {NOTE}",
            source=source,
            places=one.evidence,
            properties={"verdict": one.verdict, "value": one.value, "score": one.score.value},
        )


def _of_changes(source: str, review: Review) -> Iterator[Alert]:
    for one in review.changes or ():
        number = one.new_number or one.old_number
        text = " ".join((one.new_text or one.old_text).split())
        yield Alert(
            rule=_CHANGE,
            level="note",
            message=f"{one.kind}: {f'{number} ' if number else ''}{text[:300]}",
            source=source,
            places=one.new_evidence[:1],
            properties={"kind": one.kind},
        )
