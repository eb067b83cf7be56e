# SPDX-License-Identifier: Apache-2.0
"""Ask for the elements of a screenshot, and for names of the controls that have none.

A screenshot whose answer is cut off is asked about again in two parts, divided where no element is cut if there is such
a line. What is written on a control is its name. What a control without a text is for is a guess from a second question
about its crop, and is kept apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from finesight.apps.accessibility.contrast import contrast_of
from finesight.apps.accessibility.records import ScreenDescription, SeenElement, in_rows
from finesight.apps.crop import Crop, ask_about, crop
from finesight.apps.evidence import UNKNOWN, Coverage, Evidence, Found, Provenance, Score, Skipped
from finesight.apps.scores import item_spans, score_of
from finesight.conversation import Sampling
from finesight.errors import FinesightError
from finesight.geometry import Box, Size, iou
from finesight.parse.answer import Answer
from finesight.parse.records import Span
from finesight.responder import Responder

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ELEMENTS_PROMPT", "NAME_PROMPT", "DescribeOptions", "describe"]

ELEMENTS_PROMPT = (
    "Detect every control and every text of this user interface in reading order, and output the coordinates in JSON"
    ' format: "bbox_2d"; "role", such as button, link, textbox, checkbox, radio, switch, combobox, slider, tab,'
    ' menuitem, heading, image or StaticText; "label", the text written on it, empty if there is none; "value", the'
    ' content of a field; "states", those of checked, selected, pressed, expanded, collapsed, disabled, focused that'
    " are visible."
)
NAME_PROMPT = (
    'This is one control of a screen, without a text. What is it for? Answer with one to three words, such as "Search"'
    ' or "Close window".'
)
STATES = ("checked", "selected", "pressed", "expanded", "collapsed", "disabled", "focused")
_ROLES = {
    "check box": "checkbox",
    "dropdown": "combobox",
    "icon button": "button",
    "img": "image",
    "input": "textbox",
    "menu item": "menuitem",
    "radio button": "radio",
    "search field": "searchbox",
    "select": "combobox",
    "static text": "StaticText",
    "statictext": "StaticText",
    "text": "StaticText",
    "text field": "textbox",
    "textfield": "textbox",
    "toggle": "switch",
}
"""Other words for roles that models use."""
_LEAST_HEIGHT = 56
"""Pixels of a part that is not divided further."""
_MOST_DEPTH = 3
_SAME = 0.7
"""Overlap of two boxes that are one element, which was seen in two parts."""
_LONGEST_NAME = 60
_NAME_PIXELS = 128 * 28 * 28
"""Least area at which the crop of a control is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeOptions:
    """How a screenshot is described.

    Attributes:
        order: reading order: that of the model, or from the places: lines from top to bottom.
        suggests: whether names are suggested for controls without one.
        max_new_tokens: of one answer.
        min_pixels: least area at which the screenshot is shown.
        max_pixels: largest area at which it is shown.
    """

    order: Literal["model", "place"] = "model"
    suggests: bool = True
    max_new_tokens: int = 4096
    min_pixels: int | None = None
    max_pixels: int | None = None


def describe(
    pixels: NDArray[np.uint8],
    responder: Responder,
    *,
    source: str = "screenshot",
    model: str = "",
    options: DescribeOptions | None = None,
) -> ScreenDescription:
    """Describe a screenshot.

    Args:
        pixels: uint8[H, W, 3], the screenshot.
        responder: answers the questions.
        source: name of the screenshot.
        model: name of the model.
        options: settings.

    Returns:
        The description. A part without an answer is named in its coverage; nothing is raised for it.
    """
    return _Describer(pixels, responder, options or DescribeOptions()).run(source, model)


class _Describer:
    """Describes one screenshot."""

    def __init__(
        self, pixels: NDArray[np.uint8], responder: Responder, options: DescribeOptions
    ) -> None:
        self.pixels, self.responder, self.options = pixels, responder, options
        self.elements: list[SeenElement] = []
        self.problems: list[str] = []
        self.skipped: list[Skipped] = []
        self.parts = 0

    def run(self, source: str, model: str) -> ScreenDescription:
        height, width = self.pixels.shape[:2]
        self._read(Box(0, 0, width, height), _MOST_DEPTH)
        elements = [
            replace(one, contrast=contrast_of(self.pixels, one.box)) if one.name else one
            for one in _placed(_without_doubles(self.elements), self.options.order)
        ]
        if self.options.suggests:
            elements = self._named(elements)
        digest = hashlib.sha256(ELEMENTS_PROMPT.encode()).hexdigest()[:16]
        least, most = self.options.min_pixels, self.options.max_pixels
        return ScreenDescription(
            source=source,
            size=Size(width, height),
            elements=tuple(elements),
            coverage=Coverage(
                unit="parts",
                total=self.parts,
                seen=tuple(range(self.parts - len(self.skipped))),
                skipped=tuple(self.skipped),
            ),
            problems=tuple(dict.fromkeys(self.problems)),
            provenance=Provenance(
                model=model,
                prompt="screen elements",
                prompt_digest=digest,
                pixel_budget=(least, most) if least is not None and most is not None else None,
            ),
        )

    def _read(self, part: Box, depth: int) -> None:
        """Read a part of the screenshot, or two parts of it if the answer is cut off."""
        found = crop(self.pixels, part)
        options = self.options
        sampling = Sampling(max_new_tokens=options.max_new_tokens, logprobs=0)
        pixels = {"min_pixels": options.min_pixels, "max_pixels": options.max_pixels}
        try:
            [answer] = ask_about(self.responder, [found], ELEMENTS_PROMPT, sampling, **pixels)
        except FinesightError as error:
            self._skip(part, error.message)
            return
        is_cut = answer.truncated or answer.finish_reason in ("length", "repetition")
        if is_cut and depth and part.height >= 2 * _LEAST_HEIGHT:
            middle = _dividing_line(found)
            self._read(replace(part, y2=middle), depth - 1)
            self._read(replace(part, y1=middle), depth - 1)
            return
        elements = _elements(answer)
        self.elements += elements
        if any(item.is_unmarked for item in answer.boxes):
            self.problems.append(f"not in the wanted form: {_line(answer.text)[:120]!r}")
        self.problems += [problem.message for problem in answer.problems]
        if is_cut:
            self._skip(part, f"the answer was cut off ({answer.finish_reason})")
        elif not elements and "[]" not in answer.text.replace(" ", ""):
            self._skip(part, f"the answer lists no element: {_line(answer.text)[:120]!r}")
        else:
            self.parts += 1

    def _skip(self, part: Box, reason: str) -> None:
        self.parts += 1
        self.skipped.append(Skipped(f"rows {part.y1:.0f} to {part.y2:.0f}", reason))

    def _named(self, elements: Sequence[SeenElement]) -> list[SeenElement]:
        """The elements, with suggestions for controls without a name."""
        unlabeled = [index for index, one in enumerate(elements) if one.is_unlabeled]
        named = list(elements)
        sampling = Sampling(max_new_tokens=24, logprobs=0)
        for index in unlabeled:
            box = elements[index].box
            shown = crop(self.pixels, box, margin=0.25)
            try:
                [answer] = ask_about(
                    self.responder, [shown], NAME_PROMPT, sampling, min_pixels=_NAME_PIXELS
                )
            except FinesightError as error:
                found: Found[str] = Found(status="unread", problems=(error.message,))
            else:
                found = _suggested(answer, box)
            named[index] = replace(elements[index], suggestion=found)
        return named


def _suggested(answer: Answer, box: Box) -> Found[str]:
    text = _line(answer.text).strip("\"'.")
    if not text or len(text) > _LONGEST_NAME or answer.truncated:
        return Found(status="unread", raw=answer.text, problems=("the answer is no short name",))
    start = answer.text.find(text)
    span = (start, start + len(text)) if start >= 0 else (0, len(answer.text))
    evidence = Evidence(box=box, quote=text, match="visual")
    return Found(
        value=text, raw=answer.text, score=score_of(answer.reply, span), evidence=(evidence,)
    )


def _elements(answer: Answer) -> list[SeenElement]:
    """Elements of an answer, in its order, without boxes outside the picture and numbers that nothing names a box."""
    found = []
    for item, span in zip(answer.boxes, item_spans(answer.text, answer.boxes), strict=True):
        box = item.original
        if box is None or box.area <= 0 or item.is_unmarked:
            continue
        given = item.attributes
        role = " ".join(str(given.get("role") or given.get("type") or "").split())
        plain = role.lower().replace("-", " ").replace("_", " ")
        name = _line(item.label)
        found.append(
            SeenElement(
                role=_ROLES.get(plain, plain.replace(" ", "")) or "StaticText",
                name=name,
                box=box,
                value=_line(str(given.get("value") or "")),
                states=_states(given.get("states")),
                score=_score(answer, span, item.label),
                evidence=Evidence(box=box, quote=name, clipped=item.clipped),
            )
        )
    return found


def _states(given: object) -> tuple[str, ...]:
    """Known states of a list, or of a text with commas."""
    listed = given if isinstance(given, list) else str(given or "").split(",")
    said = {str(each).strip().lower() for each in listed}
    return tuple(state for state in STATES if state in said)


def _score(answer: Answer, span: Span, label: str) -> Score:
    """Of the name as it is written in the answer, else of the whole object."""
    if not answer.logprobs:
        return UNKNOWN
    written = json.dumps(label, ensure_ascii=False)[1:-1] if label else ""
    at = answer.text.find(written, *span) if written else -1
    return score_of(answer.reply, span if at < 0 else (at, at + len(written)))


def _without_doubles(elements: Sequence[SeenElement]) -> list[SeenElement]:
    """The elements without those that an earlier one equals."""
    kept: list[SeenElement] = []
    for one in elements:
        if not any(
            one.role == other.role and one.name == other.name and iou(one.box, other.box) >= _SAME
            for other in kept
        ):
            kept.append(one)
    return kept


def _placed(elements: Sequence[SeenElement], order: str) -> list[SeenElement]:
    """The elements with the numbers of their lines, in reading order."""
    rows = in_rows([one.box for one in elements])
    of_index = {index: number for number, row in enumerate(rows, 1) for index in row}
    indices = range(len(elements)) if order == "model" else [index for row in rows for index in row]
    return [replace(elements[index], row=of_index[index]) for index in indices]


def _dividing_line(part: Crop) -> float:
    """The row near the middle at which a part is divided: one in the largest stretch of rows of one colour each."""
    height = part.pixels.shape[0]
    first, last = height // 4, height - height // 4
    rows = part.pixels[first:last]
    is_plain = (rows == rows[:, :1]).all(axis=(1, 2))
    best, start, length = (height // 2, 0), 0, 0
    for index, plain in enumerate(is_plain):
        start, length = (start, length + 1) if plain and length else (index, int(plain))
        if length > best[1]:
            best = (first + start + length // 2, length)
    return float(part.box.y1 + best[0])


def _line(text: str) -> str:
    return " ".join(text.split())
