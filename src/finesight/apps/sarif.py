# SPDX-License-Identifier: Apache-2.0
"""Findings as SARIF 2.1.0, which code hosts and CI systems show beside the files that they are about.

SARIF has lines and no pages: the line of a region is the page, counted from 1. The box in pixels is among the
properties of the location.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from finesight import files
from finesight.apps.evidence import Evidence, rounded
from finesight.errors import AppError

__all__ = ["Alert", "Level", "write_sarif"]

Level: TypeAlias = Literal["error", "warning", "note"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A finding.

    Attributes:
        rule: name of what was checked.
        level: how grave it is.
        message: in words.
        source: path or address of the file that it is about.
        places: in the file; without any, it is about the whole file.
        properties: more about it, in plain JSON types.
    """

    rule: str
    level: Level
    message: str
    source: str
    places: tuple[Evidence, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)


def write_sarif(
    path: Path, alerts: Sequence[Alert], rules: Mapping[str, str], unread: Sequence[str]
) -> None:
    """Write findings.

    Args:
        path: the file.
        alerts: the findings.
        rules: what each rule is about, by its name; those without a finding hold.
        unread: what could not be looked at, with the reasons.

    Raises:
        AppError: the file cannot be written.
    """
    names = list(rules)
    driver = {
        "name": "finesight",
        "version": version("finesight"),
        "rules": [
            {"id": name, "shortDescription": {"text": text or name}} for name, text in rules.items()
        ],
    }
    notes = [{"level": "error", "message": {"text": text}} for text in unread]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": not unread, "toolExecutionNotifications": notes}],
        "results": [_result(one, names) for one in alerts],
    }
    value = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    files.write_json(path, value, error=AppError, parents=True)


def _result(alert: Alert, names: Sequence[str]) -> dict[str, Any]:
    quotes = [one.quote for one in alert.places]
    same = "\n".join([alert.rule, alert.source, *quotes])
    return {
        "ruleId": alert.rule,
        "ruleIndex": names.index(alert.rule),
        "level": alert.level,
        "message": {"text": alert.message},
        "locations": [_location(alert.source, one) for one in alert.places or (Evidence(),)],
        "partialFingerprints": {"finesight/v1": hashlib.sha256(same.encode()).hexdigest()[:16]},
        "properties": dict(alert.properties),
    }


def _location(source: str, place: Evidence) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": (place.page or 0) + 1}
    if place.quote:
        region["snippet"] = {"text": place.quote}
    properties: dict[str, Any] = {"page": (place.page or 0) + 1}
    if place.box is not None:
        properties["box"] = rounded(place.box)
    return {
        "physicalLocation": {"artifactLocation": {"uri": _uri(source)}, "region": region},
        "properties": properties,
    }


def _uri(source: str) -> str:
    """A path relative to the working folder where it can be, because CI systems show files of their checkout."""
    if "://" in source:
        return source
    path = Path(source)
    if path.is_absolute():
        if not path.is_relative_to(Path.cwd()):
            return path.as_uri()
        path = path.relative_to(Path.cwd())
    return quote(path.as_posix())
