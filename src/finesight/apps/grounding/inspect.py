# SPDX-License-Identifier: Apache-2.0
"""Check a picture against an inspection: pass, fail or unsure, with findings that say where and how sure.

A check fails only if probable answers say so. If an answer may be either, or could not be read, the check is unsure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from finesight.apps.crop import Crop, ask_about, crop
from finesight.apps.evidence import Coverage, Evidence, Found, Score, Skipped
from finesight.apps.grounding.detect import Search
from finesight.apps.grounding.differences import Pair
from finesight.apps.grounding.findings import Finding, Inspected, Verdict, verdict_of
from finesight.apps.grounding.locate import locate
from finesight.apps.grounding.presets import (
    AnyCheck,
    CountCheck,
    EachCheck,
    Inspection,
    NumberCheck,
    QuestionCheck,
    TextCheck,
    is_inside,
)
from finesight.apps.grounding.prompts import (
    ANSWER_CHECK_PROMPT,
    ATTRIBUTE_CHECK_PROMPT,
)
from finesight.apps.grounding.records import NOT_READ, Sought, Thing, corners
from finesight.apps.grounding.verify import check_crops, yes_no_about
from finesight.apps.numbers import NUMBER, plain, readings
from finesight.apps.yes_no import p_no
from finesight.conversation import Sampling
from finesight.errors import ConfigError, FinesightError
from finesight.geometry import Box, Point, Size
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["inspect"]

_READING = Sampling(max_new_tokens=128, logprobs=0)
_NOT = re.compile(r"(?:not|no|without)\b")


def inspect(
    responder: Responder,
    pixels: NDArray[np.uint8],
    inspection: Inspection,
    *,
    reference: NDArray[np.uint8] | None = None,
    search: Search = Search(),  # noqa: B008  # immutable
    source: str = "picture",
    page: int | None = None,
) -> Inspected:
    """Carry out all checks of an inspection.

    Args:
        responder: answers; its `score` is used for yes/no questions if it has it.
        pixels: uint8[H, W, 3], the picture in its original size.
        inspection: the checks.
        reference: uint8[H, W, 3], the picture that some inspections compare with.
        search: pixel budgets, tiles and sampling.
        source: name of the picture.
        page: its page in a file with several.

    Raises:
        ConfigError: the inspection needs a reference picture and there is none, or an option of the search is wrong.
    """
    if inspection.needs_reference and reference is None:
        raise ConfigError(
            f"the inspection {inspection.title!r} compares with a reference picture, and none is given",
            hint="give a picture of what it should look like (--reference FILE)",
        )
    inspector = _Inspector(responder, pixels, inspection, reference, search)
    findings = [inspector.finding(name, check) for name, check in inspection.checks.items()]
    failed = [
        Skipped(f"check {one.check}", "; ".join(one.found.problems))
        for one in findings
        if one.found.status == "unread"
    ]
    height, width = pixels.shape[:2]
    return Inspected(
        source=source,
        page=page,
        size=Size(width, height),
        verdict=verdict_of(findings, inspection.fail_at),
        findings=tuple(findings),
        coverage=Coverage(
            unit="checks",
            total=len(findings),
            seen=tuple(i for i, one in enumerate(findings) if one.found.status != "unread"),
            skipped=tuple(failed),
        ),
    )


class _Inspector:
    """Carries out checks on one picture."""

    def __init__(
        self,
        responder: Responder,
        pixels: NDArray[np.uint8],
        inspection: Inspection,
        reference: NDArray[np.uint8] | None,
        search: Search,
    ) -> None:
        self.responder = responder
        self.pixels = pixels
        self.inspection = inspection
        self.search = replace(search, every=True, count=False, verify=True, shape="box")
        height, width = pixels.shape[:2]
        self.size = Size(width, height)
        self.pair = None if reference is None else Pair(responder, pixels, reference, self.search)

    def finding(self, name: str, check: AnyCheck) -> Finding:
        """The outcome of one check; a failed question makes it unsure."""
        things: Sequence[Thing] = ()
        try:
            if isinstance(check, CountCheck):
                verdict, found, things, message = self._count(check)
            elif isinstance(check, EachCheck):
                verdict, found, things, message = self._each(check)
            elif isinstance(check, QuestionCheck):
                verdict, found, message = self._question(check)
            else:
                verdict, found, message = self._reading(check)
        except FinesightError as error:
            if isinstance(error, ConfigError):
                raise
            verdict, message = "unsure", f"it could not be checked: {error.message}"
            found = Found(status="unread", problems=(error.message,))
        return Finding(
            check=name,
            severity=check.severity,
            zone=check.zone,
            verdict=verdict,
            found=found,
            things=tuple(things),
            message=message,
        )

    def _count(self, check: CountCheck) -> tuple[Verdict, Found[Any], list[Thing], str]:
        if self.pair is not None and check.reference:
            sought = self.pair.differences(check.phrase)
        else:
            sought = self._located(check.phrase)
        things = [one for one in sought.things if self._is_in_zone(one, check)]
        doubted = [
            one
            for one in sought.rejected
            if self._is_in_zone(one, check) and (one.score.value or 0.0) > 1 - self.inspection.sure
        ]
        low = sum(self._is_sure(one.score) for one in things)
        high = inf if _is_open(sought) else len(things) + len(doubted)
        most = inf if check.most is None else check.most
        verdict: Verdict = "unsure"
        if check.least <= low and high <= most:
            verdict = "pass"
        elif high < check.least or low > most:
            verdict = "fail"
        wanted = (
            f"{check.least} or more" if check.most is None else f"{check.least} to {check.most}"
        )
        doubts = "" if low == high else f", {low} of them for sure" if low < len(things) else ""
        message = f"{len(things)} {check.phrase}{doubts}; {wanted} pass"
        return verdict, _found(sought, things), things, message

    def _each(self, check: EachCheck) -> tuple[Verdict, Found[Any], list[Thing], str]:
        sought = self._located(check.phrase, check.attribute)
        inside = [one for one in sought.things if self._is_in_zone(one, check)]
        question = ATTRIBUTE_CHECK_PROMPT.format(phrase=check.phrase, attribute=check.attribute)
        having, lacking = check_crops(
            self.responder, self.pixels, inside, self.search, lambda _: question
        )
        rows = [(one, True) for one in having] + [(one, False) for one in lacking]
        outcomes: list[Verdict] = []
        named = []
        for thing, has in rows:
            label = f"{check.phrase}, {'' if has else 'not '}{check.attribute}"
            score = thing.score if has else p_no(thing.score)
            named.append(replace(thing, label=label, score=score, problems=()))
            outcomes.append(self._outcome(thing, has, check))
        bad, open_ = outcomes.count("fail"), outcomes.count("unsure")
        verdict: Verdict = "fail" if bad else "unsure" if open_ or _is_open(sought) else "pass"
        wanted = check.attribute if check.expect else f"not {check.attribute}"
        message = f"{len(rows)} {check.phrase}, {len(rows) - bad - open_} {wanted}, {bad} not, {open_} unsure"
        return verdict, _found(sought, named), named, message

    def _outcome(self, thing: Thing, has: bool, check: EachCheck) -> Verdict:
        """Whether one thing is as it should be: by P(yes), and by what the model wrote beside the box."""
        said = str(thing.attributes.get("sub_label") or "").casefold()
        is_denied = _NOT.match(said) and not said.startswith(check.attribute.casefold())
        disagrees = bool(said) and bool(is_denied) == has
        unread = any("could not be verified" in problem for problem in thing.problems)
        if disagrees or unread or not self._is_sure(thing.score, has):
            return "unsure"
        return "pass" if has == check.expect else "fail"

    def _question(self, check: QuestionCheck) -> tuple[Verdict, Found[Any], str]:
        part = self._part(check)
        if self.pair is not None and check.reference:
            answer = self.pair.yes_no([part.box], check.ask)[0]
        else:
            answer = yes_no_about(self.responder, [part.pixels], [check.ask], self.search)[0]
        evidence = (Evidence(box=part.box, match="visual"),)
        score = p_no(answer.score) if answer.value is False else answer.score
        found: Found[Any] = replace(answer, evidence=evidence, score=score)
        if answer.value is None:
            return "unsure", found, "; ".join(answer.problems)
        words = "yes" if answer.value else "no"
        if not self._is_sure(answer.score, answer.value):
            return "unsure", found, f"probably {words}: {check.ask}"
        return ("pass" if answer.value == check.expect else "fail"), found, f"{words}: {check.ask}"

    def _reading(self, check: TextCheck | NumberCheck) -> tuple[Verdict, Found[Any], str]:
        part = self._part(check)
        answer = ask_about(
            self.responder,
            [part],
            check.ask,
            _READING,
            min_pixels=self.search.min_pixels,
            max_pixels=self.search.max_pixels,
        )[0]
        text = " ".join(answer.text.split())
        value = _number(text) if isinstance(check, NumberCheck) else text or None
        if value is None or answer.truncated:
            problem = f"it could not be read; the answer is {text[:80] or '(nothing)'}"
            return "unsure", Found(raw=text, status="unread", problems=(problem,)), problem
        question = ANSWER_CHECK_PROMPT.format(ask=check.ask, answer=text)
        verdict = yes_no_about(self.responder, [part.pixels], [question], self.search)[0]
        evidence = (Evidence(box=part.box, quote=text, match="visual"),)
        found = Found(value=value, raw=text, score=verdict.score, evidence=evidence)
        problem = _misfit(value, check)
        message = f"it says {value}{_unit(check)}" + (f"; {problem}" if problem else "")
        if verdict.value is not True or not self._is_sure(verdict.score):
            return "unsure", found, f"{message}; a second question does not confirm it"
        return ("fail" if problem else "pass"), found, message

    def _located(self, phrase: str, attribute: str = "") -> Sought:
        search = replace(self.search, attribute=attribute)
        return locate(self.responder, self.pixels, [phrase], search).sought[0]

    def _part(self, check: AnyCheck) -> Crop:
        """The rectangle around the zone of a check."""
        whole = ((0.0, 0.0), (1.0, 1.0))
        polygon = self.inspection.zones[check.zone] if check.zone else whole
        xs, ys = zip(*polygon, strict=True)
        width, height = self.size.width, self.size.height
        box = Box(min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height)
        return crop(self.pixels, box)

    def _is_in_zone(self, thing: Thing, check: CountCheck | EachCheck) -> bool:
        if not check.zone:
            return True
        x1, y1, x2, y2 = corners(thing)
        y = (y1 + y2) / 2 if check.anchor == "center" else y2
        point = Point((x1 + x2) / 2 / self.size.width, y / self.size.height)
        return is_inside(point, self.inspection.zones[check.zone])

    def _is_sure(self, score: Score, is_yes: bool = True) -> bool:
        """Whether an answer is probable enough; one without a probability counts as it was said."""
        if score.value is None or score.kind != "yes_no":
            return score.kind == "yes_no"
        return (score.value if is_yes else 1 - score.value) >= self.inspection.sure


def _is_open(sought: Sought) -> bool:
    """Whether there may be more than what was found."""
    is_empty = not sought.things and sought.status != "absent"
    return is_empty or any(NOT_READ in problem for problem in sought.problems)


def _found(sought: Sought, things: Sequence[Thing]) -> Found[Any]:
    """The number of things with their places; its score is that of the least sure one."""
    scores = [one.score for one in things if one.score.value is not None]
    score = min(scores, key=lambda one: one.value or 0.0) if scores else sought.score
    is_unread = sought.status == "unread"
    return Found(
        value=None if is_unread else len(things),
        status=sought.status if is_unread or sought.status == "conflict" else "found",
        score=score,
        evidence=tuple(one.evidence for one in things),
        problems=sought.problems,
    )


def _number(text: str) -> float | None:
    """The last number of a text, such as 1234.5 of "1,234.5 psi"; None if it ends a range or has odd separators."""
    clean = plain(text)
    found = list(NUMBER.finditer(clean))
    values = readings(found[-1][0]) if found else ()
    before = clean[: found[-1].start()].rstrip() if found else ""
    if not values or re.search(r"\d\s*-$", before):
        return None
    return float(-values[0] if re.search(r"(?<!\w)-$", before) else values[0])


def _misfit(value: float | str, check: TextCheck | NumberCheck) -> str:
    """Why a value that was read does not pass; empty if it does."""
    if isinstance(check, TextCheck):
        text = str(value)
        if check.equals and _plain(text) != _plain(check.equals):
            return f"it should be {check.equals!r}"
        is_like = re.search(check.pattern, text)
        return "" if is_like else f"it does not match {check.pattern!r}"
    number = float(value)
    if check.least is not None and number < check.least:
        return f"the least is {check.least:g}"
    return f"the most is {check.most:g}" if check.most is not None and number > check.most else ""


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _unit(check: TextCheck | NumberCheck) -> str:
    return f" {check.unit}" if isinstance(check, NumberCheck) and check.unit else ""
