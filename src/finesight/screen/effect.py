# SPDX-License-Identifier: Apache-2.0
"""What a step changed on a screen, decided by comparing pictures and elements, never by asking a model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from PIL.Image import Image

from finesight.elements import ScreenElement
from finesight.geometry import Point

__all__ = ["Effect", "Verdict", "changed_share", "effect_of", "settled"]

Verdict = Literal["changed", "elsewhere", "unchanged", "error"]
"""changed: at the point of the step, in the address or in the elements; elsewhere: only pixels far from the point;
unchanged: nothing, at most the focus of something that takes no text; error: the step was not performed."""

STILL_SHARE = 0.001
"""Share of changed pixels below which two pictures count as equal while a screen settles."""
FIELDS = ("combobox", "entry", "searchbox", "spinbutton", "textbox")
"""Roles that take text: to get their focus is a change by itself."""
_PAUSE_SECONDS = 0.1
"""Between two pictures of a screen that settles."""
_DIFFERENCE = 8
"""Least difference of a colour channel that counts as a change: less is noise of drawing."""
_NEAR_SHARE = 0.1
"""Half the side of the square around a point that counts as near, as a share of the screen's longer side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a step changed.

    Attributes:
        verdict: the conclusion from the other fields.
        changed_share: share of the pixels that changed.
        changed_near: whether pixels near the point of the step changed.
        place_changed: whether another page, window or app is shown.
        focus_changed: whether another element has the focus.
        elements_changed: number of elements that appeared, disappeared, or changed their name, value or state.
    """

    verdict: Verdict
    changed_share: float = 0.0
    changed_near: bool = False
    place_changed: bool = False
    focus_changed: bool = False
    elements_changed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "changed_share": round(self.changed_share, 6)}


def settled(
    take: Callable[[], Image],
    *,
    limit_seconds: float = 2.0,
    wait: Callable[[float], None] = time.sleep,
) -> Image:
    """Take pictures until two in a row are equal, or until the time limit: a blinking screen never settles.

    Args:
        take: takes a picture of the screen.
        limit_seconds: after this time the last picture is returned.
        wait: lets the time pass; for a screen that runs only while it is told to.
    """
    end = time.monotonic() + limit_seconds
    last = take()
    while time.monotonic() < end:
        wait(_PAUSE_SECONDS)
        now = take()
        if changed_share(last, now) < STILL_SHARE:
            return now
        last = now
    return last


def changed_share(before: Image, after: Image) -> float:
    """Share of the pixels that differ, from 0 to 1; 1 for pictures of different size."""
    found = _changed(before, after)
    return 1.0 if found is None else float(found.mean())


def effect_of(
    before: Image,
    after: Image,
    *,
    point: Point | None = None,
    places: tuple[str, str] = ("", ""),
    focus: tuple[ScreenElement | None, ScreenElement | None] = (None, None),
    elements: tuple[Sequence[ScreenElement], Sequence[ScreenElement]] = ((), ()),
) -> Effect:
    """The effect of a step, from what was observed before and after it.

    Args:
        before: the screen before the step.
        after: the screen after it.
        point: where the step was; None if it has no point.
        places: `Observation.place` before and after.
        focus: the focused element before and after.
        elements: all elements before and after.
    """
    found = _changed(before, after)
    share = 1.0 if found is None else float(found.mean())
    is_near = share > 0 and (found is None or point is None or _is_near(found, point))
    moved = sum((_counted(elements[0]) - _counted(elements[1])).values())
    came = sum((_counted(elements[1]) - _counted(elements[0])).values())
    place_changed, focus_changed = places[0] != places[1], _key(focus[0]) != _key(focus[1])
    is_field = focus_changed and focus[1] is not None and focus[1].role in FIELDS
    is_changed = is_near or place_changed or is_field or max(moved, came) > 0
    return Effect(
        verdict="changed" if is_changed else "elsewhere" if share > 0 else "unchanged",
        changed_share=share,
        changed_near=is_near,
        place_changed=place_changed,
        focus_changed=focus_changed,
        elements_changed=max(moved, came),
    )


def _changed(before: Image, after: Image) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """bool[h, w], which pixels differ; None for pictures of different size."""
    if before.size != after.size:
        return None
    first, second = (np.asarray(each.convert("RGB"), dtype=np.int16) for each in (before, after))
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.abs(first - second).max(axis=2) >= _DIFFERENCE
    return found


def _is_near(changed: np.ndarray[Any, np.dtype[np.bool_]], point: Point) -> bool:
    reach = int(_NEAR_SHARE * max(changed.shape))
    x, y = int(point.x), int(point.y)
    part = changed[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    return bool(part.any())


def _key(element: ScreenElement | None) -> object:
    return element and (element.role, element.name, element.box)


def _counted(elements: Sequence[ScreenElement]) -> Counter[object]:
    """Elements by what is said about them; the focus is compared by itself."""
    return Counter(
        (each.role, each.name, each.value, tuple(one for one in each.states if one != "focused"))
        for each in elements
    )
