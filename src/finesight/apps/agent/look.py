# SPDX-License-Identifier: Apache-2.0
"""What the agent knows about the screen before a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.Image import Image

from finesight.apps.agent.injection import suspicious_texts
from finesight.apps.agent.secrets import Secrets
from finesight.apps.agent.trace import Trace
from finesight.elements import ScreenElement
from finesight.screen.environment import Observation, Screen

__all__ = ["Look", "element_as_json", "is_other_control", "look_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The screen before a step.

    Attributes:
        seen: as it is, with secrets; never stored.
        picture: without secrets.
        path: file of that picture.
        digest: SHA-256 of its pixels.
        elements: of the screen.
        focus: the control that gets the keys.
        warnings: texts that try to give orders.
    """

    seen: Observation
    picture: Image
    path: Path
    digest: str
    elements: Sequence[ScreenElement]
    focus: ScreenElement | None
    warnings: tuple[str, ...]


def look_at(screen: Screen, trace: Trace, secrets: Secrets) -> Look:
    """Observe the screen and store its picture.

    Args:
        screen: is observed.
        trace: keeps the picture.
        secrets: are painted over.
    """
    seen = screen.observe()
    elements = screen.elements()
    picture = secrets.masked(seen.screenshot, elements)
    path, digest = trace.keep_screen(picture)
    warnings = suspicious_texts(elements, seen.notices)
    return Look(
        seen=seen,
        picture=picture,
        path=path,
        digest=digest,
        elements=elements,
        focus=screen.focused(),
        warnings=tuple(secrets.hidden(text) for text in warnings),
    )


def element_as_json(element: ScreenElement | None) -> Mapping[str, Any] | None:
    """Role, name and box of a control, as it is stored; None if it is not known."""
    if element is None:
        return None
    box = element.box
    return {
        "role": element.role,
        "name": element.name,
        "box": [round(edge, 1) for edge in (box.x1, box.y1, box.x2, box.y2)],
    }


def is_other_control(ruled: ScreenElement | None, now: ScreenElement | None) -> bool:
    """Whether the control at a point is not the one that the gate has ruled on."""
    if ruled is None or now is None:
        return ruled is not now
    return (ruled.role, ruled.name, dict(ruled.traits)) != (now.role, now.name, dict(now.traits))
