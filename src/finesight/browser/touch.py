# SPDX-License-Identifier: Apache-2.0
"""Touch a page with one finger, through the protocol of Chromium's developer tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

_STEP_SECONDS = 0.02
"""Time between two positions of a moving finger."""


def touch(page: Page, start: tuple[float, float], end: tuple[float, float], seconds: float) -> None:
    """Put a finger down, move it for some time, and lift it; points are in CSS pixels.

    Equal points are a tap, or a long press if the time is long.
    """
    session = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        places: list[Any] = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    try:
        session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        send("touchStart", start)
        if start == end:
            page.wait_for_timeout(1000 * seconds)
        else:
            steps = max(round(seconds / _STEP_SECONDS), 2)
            for step in range(1, steps + 1):
                page.wait_for_timeout(1000 * seconds / steps)
                share = step / steps
                x, y = (
                    first + share * (last - first) for first, last in zip(start, end, strict=True)
                )
                send("touchMove", (x, y))
        send("touchEnd")
    finally:
        session.detach()
