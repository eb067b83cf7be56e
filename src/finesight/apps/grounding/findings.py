# SPDX-License-Identifier: Apache-2.0
"""What an inspection found in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from finesight.apps.evidence import Coverage, Found
from finesight.apps.grounding.presets import SEVERITIES, Severity
from finesight.apps.grounding.records import Thing
from finesight.geometry import Size

__all__ = ["Finding", "Inspected", "Verdict", "verdict_of"]

Verdict: TypeAlias = Literal["pass", "fail", "unsure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: its name.
        severity: how grave a failure is.
        zone: where it looked; empty is the whole picture.
        verdict: pass; fail; or unsure: the answers are not probable enough, disagree, or cannot be read.
        found: the number of things, the answer, the text or the number that was read, with score and evidence.
        things: the things that were looked at, in the zone.
        message: why, in words.
    """

    check: str
    severity: Severity
    zone: str = ""
    verdict: Verdict
    found: Found[Any]
    things: tuple[Thing, ...] = ()
    message: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "zone": self.zone,
            "verdict": self.verdict,
            "message": self.message,
            **self.found.to_dict(),
            "things": [thing.to_dict() for thing in self.things],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """The outcome of all checks of one picture.

    Attributes:
        source: name of the picture.
        page: page of a file with several, counted from 0; None takes the first.
        size: of the original picture.
        verdict: fail if a check of enough severity failed, else unsure if one is unsure, else pass.
        findings: one for each check.
        coverage: the checks that were carried out.
    """

    source: str
    page: int | None = None
    size: Size
    verdict: Verdict
    findings: tuple[Finding, ...]
    coverage: Coverage

    @property
    def things(self) -> tuple[Thing, ...]:
        """The things of all findings."""
        return tuple(thing for one in self.findings for thing in one.things)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "source": self.source,
            "page": self.page,
            "size": {"width": self.size.width, "height": self.size.height},
            "verdict": self.verdict,
            "findings": [one.to_dict() for one in self.findings],
            "coverage": self.coverage.to_dict(),
        }


def verdict_of(findings: Sequence[Finding], fail_at: Severity) -> Verdict:
    """The verdict on a picture; checks below the severity `fail_at` do not count."""
    least = SEVERITIES.index(fail_at)
    verdicts = {one.verdict for one in findings if SEVERITIES.index(one.severity) >= least}
    if "fail" in verdicts:
        return "fail"
    return "unsure" if "unsure" in verdicts else "pass"
