# SPDX-License-Identifier: Apache-2.0
"""Records of a review: what each rule gave, and how a clause differs from another version."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from finesight.apps.evidence import UNKNOWN, Coverage, Evidence, Provenance, Score
from finesight.apps.review.rules import Rule

__all__ = ["NOTE", "ClauseChange", "Review", "RuleResult", "Verdict"]

Verdict: TypeAlias = Literal["pass", "fail", "missing", "unclear"]
"""missing: no page has the clause, and all pages were read; unclear: it could not be decided."""

NOTE = "This is not legal advice. Verdicts follow from the rules that were given; check every quote on its page."


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What one rule gave.

    Attributes:
        rule: the rule.
        verdict: whether it holds.
        reason: one sentence.
        value: the text that was compared; empty for none.
        score: of the quote.
        evidence: quotes with their places; each quote occurs on its page.
        references: places of the sections that the quotes refer to.
        problems: in words.
    """

    rule: Rule
    verdict: Verdict
    reason: str
    value: str = ""
    score: Score = UNKNOWN
    evidence: tuple[Evidence, ...] = ()
    references: tuple[Evidence, ...] = ()
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        rule = self.rule
        return {
            "id": rule.id,
            "clause": rule.clause,
            "kind": rule.kind,
            "severity": rule.severity,
            "verdict": self.verdict,
            "reason": self.reason,
            "value": self.value,
            "score": self.score.to_dict(),
            "evidence": [one.to_dict() for one in self.evidence],
            "references": [one.to_dict() for one in self.references],
            "problems": list(self.problems),
            "advice": rule.advice,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseChange:
    """How one clause differs between two versions.

    Attributes:
        kind: a moved clause has the same words at another place; a clause can be moved and changed.
        old_number: such as "12.3"; empty if it has none, or if the clause is added.
        new_number: likewise, in the new version.
        old_text: empty if the clause is added.
        new_text: empty if it is removed.
        words: pieces of the text: kept, removed or added words, in order.
        old_evidence: places of its blocks in the old version.
        new_evidence: likewise, in the new version.
    """

    kind: Literal["changed", "moved", "moved and changed", "removed", "added"]
    old_number: str = ""
    new_number: str = ""
    old_text: str = ""
    new_text: str = ""
    words: tuple[tuple[Literal["kept", "removed", "added"], str], ...] = ()
    old_evidence: tuple[Evidence, ...] = ()
    new_evidence: tuple[Evidence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "old_number": self.old_number,
            "new_number": self.new_number,
            "old_text": self.old_text,
            "new_text": self.new_text,
            "words": [list(one) for one in self.words],
            "old_evidence": [one.to_dict() for one in self.old_evidence],
            "new_evidence": [one.to_dict() for one in self.new_evidence],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Results of all rules on one document, and its differences from another version.

    Attributes:
        title: of the rules.
        results: one a rule, in their order.
        changes: differences from another version; None if none was given.
        coverage: pages that were read and asked about, of all pages of the document.
        provenance: what made it.
        problems: of pages, in words.
    """

    title: str
    results: tuple[RuleResult, ...]
    changes: tuple[ClauseChange, ...] | None
    coverage: Coverage
    provenance: Provenance
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every rule that is not a warning passes."""
        return all(one.verdict == "pass" for one in self.results if one.rule.severity == "error")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "title": self.title,
            "note": NOTE,
            "holds": self.holds,
            "results": [one.to_dict() for one in self.results],
            "changes": None if self.changes is None else [one.to_dict() for one in self.changes],
            "coverage": self.coverage.to_dict(),
            "provenance": asdict(self.provenance),
            "problems": list(self.problems),
        }
