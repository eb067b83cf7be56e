# SPDX-License-Identifier: Apache-2.0
"""Findings of inspections that do not pass, as SARIF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from finesight.apps.evidence import Evidence
from finesight.apps.grounding.findings import Finding, Inspected
from finesight.apps.grounding.presets import Inspection, Severity
from finesight.apps.sarif import Alert, Level, write_sarif

__all__ = ["write_inspection_sarif"]

_LEVELS: dict[Severity, Level] = {"low": "note", "medium": "warning", "high": "error"}


def write_inspection_sarif(
    path: Path,
    inspection: Inspection,
    inspected: Sequence[Inspected],
    failed: Sequence[tuple[str, str]],
) -> None:
    """Write a finding for each check that does not pass.

    An unsure check is at most a warning, because nothing has shown that it fails.

    Args:
        path: the file.
        inspection: the checks.
        inspected: their outcomes on each picture.
        failed: names of pictures that could not be opened, with the reasons.

    Raises:
        AppError: the file cannot be written.
    """
    rules = {name: f"{inspection.title}: {name}" for name in inspection.checks}
    alerts = [
        _alert(one, picture)
        for picture in inspected
        for one in picture.findings
        if one.verdict != "pass"
    ]
    unread = [f"{name}: {reason}" for name, reason in failed]
    unread += [
        f"{picture.source}: {one.what}: {one.reason}"
        for picture in inspected
        for one in picture.coverage.skipped
    ]
    write_sarif(path, alerts, rules, unread)


def _alert(finding: Finding, picture: Inspected) -> Alert:
    level = _LEVELS[finding.severity]
    if finding.verdict == "unsure" and level == "error":
        level = "warning"
    seen = [thing.evidence for thing in finding.things] or list(finding.found.evidence)
    places = seen or [Evidence()]
    score = finding.found.score.value
    return Alert(
        rule=finding.check,
        level=level,
        message=f"{finding.verdict}: {' '.join(finding.message.split())}",
        source=picture.source,
        places=tuple(replace(one, page=picture.page or 0) for one in places),
        properties={"verdict": finding.verdict, "zone": finding.zone, "score": score},
    )
