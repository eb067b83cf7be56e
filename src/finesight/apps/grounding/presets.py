# SPDX-License-Identifier: Apache-2.0
"""Inspections as TOML files: checks of a picture, zones, severities and the rule for passing.

Eight files are shipped under the names of `PRESETS`. Coordinates of zones are shares of the picture's width and height.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from finesight.config.load import read_recipe
from finesight.config.settings import Settings
from finesight.errors import ConfigError
from finesight.geometry import Point

__all__ = [
    "PRESETS",
    "SEVERITIES",
    "AnyCheck",
    "CountCheck",
    "EachCheck",
    "Inspection",
    "NumberCheck",
    "QuestionCheck",
    "TextCheck",
    "is_inside",
    "preset_path",
    "read_inspection",
]

PRESETS = (
    *("ppe", "surface_defect", "label_check", "shelf"),
    *("perimeter", "parcel", "leftover_object", "meter"),
)
SEVERITIES = ("low", "medium", "high")

_FOLDER = Path(__file__).parents[2] / "assets" / "inspections"

Severity = Literal["low", "medium", "high"]
Share = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[tuple[Share, Share], ...], Field(min_length=3)]


class _Check(Settings):
    severity: Severity = Field("medium", description="how grave it is if the check fails")
    zone: str = Field("", description="name of a zone; empty is the whole picture")


class _Compared(Settings):
    reference: bool = Field(
        False, description="compare with the reference picture, which is Picture 1"
    )


class _ThingCheck(_Check):
    phrase: str = Field(min_length=1, description="what to find, in the singular")
    anchor: Literal["center", "bottom"] = Field(
        "center",
        description="the point of a box that must be in the zone: bottom is where it stands",
    )


class CountCheck(_ThingCheck, _Compared):
    """So many things must be there."""

    kind: Literal["count"]
    least: int = Field(0, ge=0, description="smallest number that passes")
    most: int | None = Field(None, ge=0, description="largest number that passes; none is no limit")

    @model_validator(mode="after")
    def _is_range(self) -> CountCheck:
        _check_range(self.least, self.most)
        return self


class EachCheck(_ThingCheck):
    """Each thing must have an attribute, or must not."""

    kind: Literal["each"]
    attribute: str = Field(min_length=1, description='such as "wearing a helmet"')
    expect: bool = Field(True, description="whether it must have the attribute")


class QuestionCheck(_Check, _Compared):
    """A yes/no question."""

    kind: Literal["question"]
    ask: str = Field(min_length=1, description="the question")
    expect: bool = Field(description="the answer that passes")


class TextCheck(_Check):
    """A text that is read."""

    kind: Literal["text"]
    ask: str = Field(min_length=1, description="the question that reads it")
    equals: str = Field("", description="the text, but for case and spaces; empty takes any")
    pattern: str = Field(
        "", description="regular expression that the text contains; empty takes any"
    )

    @field_validator("pattern")
    @classmethod
    def _is_expression(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"it is not a regular expression: {error}") from error
        return pattern


class NumberCheck(_Check):
    """A number that is read."""

    kind: Literal["number"]
    ask: str = Field(min_length=1, description="the question that reads it")
    unit: str = Field("", description="of the number, for the check question and the report")
    least: float | None = Field(None, description="smallest number that passes")
    most: float | None = Field(None, description="largest number that passes")

    @model_validator(mode="after")
    def _is_range(self) -> NumberCheck:
        _check_range(self.least, self.most)
        return self


AnyCheck = CountCheck | EachCheck | QuestionCheck | TextCheck | NumberCheck


class Inspection(Settings):
    """What is checked in a picture."""

    title: str = Field(description="one line")
    about: str = Field("", description="what it is for, and what a user should change")
    fail_at: Severity = Field(
        "low", description="least severity of a failed check that fails the picture"
    )
    sure: float = Field(
        0.7,
        gt=0.5,
        lt=1,
        description="probability from which an answer counts; below, it is unsure",
    )
    zones: dict[str, Polygon] = Field(
        default_factory=dict, description="polygons in shares of width and height"
    )
    checks: dict[str, Annotated[AnyCheck, Field(discriminator="kind")]] = Field(
        min_length=1, description="checks by name"
    )

    @model_validator(mode="after")
    def _zones_are_there(self) -> Inspection:
        for name, check in self.checks.items():
            if check.zone and check.zone not in self.zones:
                there = ", ".join(self.zones) or "none"
                raise ValueError(f"check {name} has the zone {check.zone!r}; there are: {there}")
        return self

    @property
    def needs_reference(self) -> bool:
        """Whether a check compares with a reference picture."""
        return any(
            isinstance(check, _Compared) and check.reference for check in self.checks.values()
        )


def preset_path(name: str) -> Path:
    """File of a shipped inspection.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"there is no inspection {name[:80]!r}",
            hint=f"give a TOML file or one of: {', '.join(PRESETS)}",
        )
    return _FOLDER / f"{name}.toml"


def read_inspection(name: str | Path, *, overrides: Sequence[str] = ()) -> Inspection:
    """Read an inspection.

    Args:
        name: of a shipped one, or a TOML file.
        overrides: `dotted.key=value` items, such as `checks.people.most=2`.

    Raises:
        ConfigError: there is no such inspection, or a key or value is wrong.
    """
    path = Path(name)
    is_file = path.suffix == ".toml" or path.is_file()
    return read_recipe(path if is_file else preset_path(str(name)), Inspection, overrides=overrides)


def _check_range(least: float | None, most: float | None) -> None:
    if least is not None and most is not None and least > most:
        raise ValueError(f"least={least:g} exceeds most={most:g}: no number passes")


def is_inside(point: Point, polygon: Sequence[tuple[float, float]]) -> bool:
    """Whether a point is in a polygon, both in the same units; a point on an edge may count either way."""
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        is_between = (y1 > point.y) != (y2 > point.y)
        if is_between and point.x < x1 + (point.y - y1) / (y2 - y1) * (x2 - x1):
            inside = not inside
    return inside
