# SPDX-License-Identifier: Apache-2.0
"""Records of an extraction: a reading of one page, a check of a rule, the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from typing_extensions import TypeAliasType

from finesight.apps.evidence import UNKNOWN, Coverage, Evidence, Found, Provenance, Score

__all__ = ["CheckResult", "Extraction", "Reading", "Tree", "paths_of"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A value as it was read on one page.

    Attributes:
        raw: its text.
        page: number of the page in the document, from 1.
        score: of its characters.
        evidence: its place, then places that contradict it.
        problems: in words.
        is_contradicted: whether another place of the page has another value for it.
        is_hidden: whether only text that cannot be seen has it.
    """

    raw: str
    page: int
    score: Score = UNKNOWN
    evidence: tuple[Evidence, ...] = ()
    problems: tuple[str, ...] = ()
    is_contradicted: bool = False
    is_hidden: bool = False


Tree = TypeAliasType("Tree", "dict[str, Tree] | list[Tree] | Reading | None")
"""Readings in the structure of the schema; None for what the page does not have."""


def paths_of(tree: Tree, path: str = "") -> dict[str, Reading]:
    """All readings by path, such as `items[2].price`, in order."""
    if isinstance(tree, Reading):
        return {path: tree}
    found: dict[str, Reading] = {}
    if isinstance(tree, dict):
        for key, one in tree.items():
            found |= paths_of(one, f"{path}.{key}" if path else key)
    elif isinstance(tree, list):
        for index, one in enumerate(tree):
            found |= paths_of(one, f"{path}[{index}]")
    return found


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one `x-check` rule.

    Attributes:
        rule: the expression.
        path: the object that it belongs to; empty for the whole.
        outcome: "unknown" if a value that it needs is missing or is not of its type.
        used: values of the fields that it names, by path.
    """

    rule: str
    path: str
    outcome: Literal["pass", "fail", "unknown"]
    used: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Values of one document.

    Attributes:
        data: in the user's structure; what is absent is null, or left out if the schema allows that but not null.
        fields: every value of the schema by path, with status, evidence and score.
        checks: of the rules in the schema.
        coverage: pages that were read.
        provenance: what made it.
        problems: of the whole, such as a broken schema rule.
    """

    data: Any
    fields: Mapping[str, Found[Any]]
    checks: tuple[CheckResult, ...]
    coverage: Coverage
    provenance: Provenance
    problems: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether no value is in conflict, invalid or unread, no rule fails, and the data follow the schema."""
        bad = {"conflict", "invalid", "unread"}
        fields_hold = all(one.status not in bad for one in self.fields.values())
        return fields_hold and not self.problems and all(c.outcome != "fail" for c in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `data` is exactly the user's structure."""
        return {
            "data": self.data,
            "fields": {path: one.to_dict() for path, one in self.fields.items()},
            "checks": [asdict(one) for one in self.checks],
            "coverage": self.coverage.to_dict(),
            "provenance": asdict(self.provenance),
            "problems": list(self.problems),
        }
