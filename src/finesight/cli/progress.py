# SPDX-License-Identifier: Apache-2.0
"""What is going on, on standard error: a moving line in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LABELS = {
    "load": "loading the model",
    "media": "reading pictures and videos",
    "vision": "encoding pictures (visual tokens)",
    "prefill": "reading the prompt (tokens)",
    "decode": "answering (tokens)",
}

SECONDS_BETWEEN_LINES = 10.0
"""Without a terminal, a line is written only this often: short work stays silent."""


class StageProgress:
    """Shows stages as they are told; use as a context manager and pass it as `on_stage`.

    Args:
        shows_answer: whether the answer itself is streamed to the terminal, so that nothing may be
            drawn while it is written.
    """

    def __init__(self, *, shows_answer: bool = False) -> None:
        self._shows_answer = shows_answer
        self._bars: Progress | None = None
        self._bar: tuple[str, TaskID] | None = None
        self._last_line = time.monotonic()
        self.seconds: dict[str, float] = {}
        """Seconds spent in each stage so far."""
        self._stage = ""
        self._since = time.monotonic()

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._count("")

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note of `done` of `total` in a stage."""
        self._count(stage)
        if stage == "decode" and self._shows_answer:
            self._close()
        elif sys.stderr.isatty():
            self._draw(stage, done, total)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            sys.stderr.write(f"{LABELS.get(stage, stage)}: {done} of {total}\n")

    def stage_seconds(self) -> dict[str, float]:
        """Seconds of the stages that took any, in the order they came."""
        return {stage: spent for stage, spent in self.seconds.items() if stage}

    def _count(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now

    def _draw(self, stage: str, done: int, total: int) -> None:
        if self._bars is None:
            self._bars = _make_bars()
            self._bars.start()
        if self._bar is None or self._bar[0] != stage:
            if self._bar is not None:
                self._bars.remove_task(self._bar[1])
            self._bar = (stage, self._bars.add_task(LABELS.get(stage, stage), total=total))
        # Reading and encoding one item say nothing until they are over: a pulsing bar, not an empty one.
        shown: dict[str, Any] = {"total": None if done == 0 else total, "completed": done}
        self._bars.update(self._bar[1], **shown)

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._bar = None


def _make_bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
