# SPDX-License-Identifier: Apache-2.0
"""Progress on standard error: a progress bar in a terminal, an occasional line elsewhere."""

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
"""Seconds between lines without a terminal; shorter work prints nothing."""


class StageProgress:
    """Progress callback that shows the stages of an answer; use as a context manager and pass it as `on_stage`.

    Args:
        shows_answer: whether the answer is streamed to the terminal; no bar is drawn while it is written.
    """

    def __init__(self, *, shows_answer: bool = False) -> None:
        self._shows_answer = shows_answer
        self._bars: Progress | None = None
        self._bar: tuple[str, TaskID] | None = None
        self._last_line = time.monotonic()
        self.seconds: dict[str, float] = {}
        """Seconds spent in each stage so far; the time outside of stages is under the empty name."""
        self._stage = ""
        self._since = time.monotonic()

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._count("")

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Record progress: `done` of `total` in a stage."""
        self._count(stage)
        if stage == "decode" and self._shows_answer:
            self.close()
        elif sys.stderr.isatty():
            self._draw(stage, done, total)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            sys.stderr.write(f"{LABELS.get(stage, stage)}: {done} of {total}\n")

    def stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage, in order."""
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
        # Reading and encoding one item report nothing until they end: show a pulsing bar, not an empty one.
        shown: dict[str, Any] = {"total": None if done == 0 else total, "completed": done}
        self._bars.update(self._bar[1], **shown)

    def close(self) -> None:
        """Remove the bar."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._bar = None


class ItemProgress:
    """Shows how many items of a batch are done, with a few words beside it; use as a context manager."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> ItemProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, done: int, total: int, words: str) -> None:
        """Show that `done` of `total` items are done."""
        if sys.stderr.isatty():
            if self._bars is None:
                self._bars = _make_bars()
                self._bars.start()
                self._bars.add_task(words, total=total)
            self._bars.update(self._bars.task_ids[0], completed=done, description=words)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            sys.stderr.write(f"{done} of {total}, {words}\n")


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
