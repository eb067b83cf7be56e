# SPDX-License-Identifier: Apache-2.0
"""Progress of a training on standard error: lines of values, and in a terminal a bar with the time left under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from finesight.train.loop import Trainer

_SHOWN = ("loss", "tokens_per_second", "mfu", "data_wait")
"""Values beside the bar; the lines have all."""


class TrainProgress:
    """Shows a run; use as a context manager and pass `report` to `Trainer.run`.

    Args:
        trainer: the run.
        console: of standard error.
    """

    def __init__(self, trainer: Trainer, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._trainer = trainer
        self._console = console
        self._bars = Progress(
            TextColumn("step {task.fields[step]}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            speed_estimate_period=600,
        )
        self._bar = self._bars.add_task("", total=1.0, step=trainer.state.step)
        self._bars.update(self._bar, completed=trainer.share_done)

    def __enter__(self) -> TrainProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, step: int, values: dict[str, float]) -> None:
        """Print values of a step, and move the bar."""
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._console.print(f"step {step}{_end(self._trainer)}  {shown}", highlight=False)
        few = "  ".join(f"{name} {values[name]:.4g}" for name in _SHOWN if name in values)
        self._bars.update(self._bar, completed=self._trainer.share_done, description=few, step=step)


def _end(trainer: Trainer) -> str:
    """Progress of a run: "/2400" of a number of steps, or ", 31% of 50 minutes" of a time budget or of epochs."""
    schedule = trainer.schedule
    if schedule.total_minutes is not None:
        return f", {trainer.share_done:.0%} of {schedule.total_minutes:g} minutes"
    if schedule.over_epochs:
        return f", {trainer.share_done:.0%} of the epochs"
    return f"/{schedule.total_steps}"
