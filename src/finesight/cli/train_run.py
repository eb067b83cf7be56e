# SPDX-License-Identifier: Apache-2.0
"""Run a training recipe with progress on the console; shared by the commands of `finesight train`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from finesight.cli.errors import INTERRUPTED
from finesight.errors import FinesightError

if TYPE_CHECKING:
    from rich.console import Console

    from finesight.train.early_stop import EarlyStop
    from finesight.train.loop import Evaluate, Trainer
    from finesight.train.recipe import TrainRecipe


def run_recipe(recipe: TrainRecipe, console: Console, score: Evaluate | None = None) -> bool:
    """Train, or resume a training, with progress on the console.

    Returns:
        Whether this process is the first rank, which exports the model.

    Raises:
        typer.Exit: a signal stopped the run; its last step is saved.
        FinesightError: the memory does not suffice, or an error of `pretrain.start` or `Trainer.run`.
    """
    with _memory_reported(recipe):
        return _run(recipe, console, score)


def _run(recipe: TrainRecipe, console: Console, score: Evaluate | None) -> bool:
    from finesight.cli.policy import rollout_functions
    from finesight.cli.train_progress import TrainProgress
    from finesight.train import export, parallel, pretrain
    from finesight.train.early_stop import EarlyStop

    trainer = pretrain.start(recipe, rollout_functions(recipe))
    console.quiet = not trainer.ranks.is_first
    _describe(trainer, console)
    stop_early = EarlyStop.of(trainer, recipe)
    if stop_early is not None and stop_early.is_over:
        console.print(f"this run is over: {_lowest(stop_early)}")
        return trainer.ranks.is_first
    if recipe.run.export_saves:
        trainer.writer.saved = export.exporter(recipe.run, recipe.model.folder)
    # The first signal saves a checkpoint and stops; a second one ends the process at once.
    signal.signal(signal.SIGTERM, lambda *_: _stop(trainer))
    signal.signal(signal.SIGINT, lambda *_: _stop(trainer))
    with TrainProgress(trainer, console) as progress:
        if stop_early is not None and not trainer.state.step:
            progress.report(0, trainer.evaluated(stop_early))
        trainer.run(report=progress.report, evaluate=_together(stop_early, score))
    parallel.leave()
    if not trainer.ranks.is_first:
        return False
    if stop_early is not None and stop_early.is_over:
        console.print(f"stopped early: {_lowest(stop_early)}")
    elif trainer.was_stopped:
        console.print(
            f"interrupted; step {trainer.state.step} is saved, and the same command resumes from it"
        )
        raise typer.Exit(INTERRUPTED)
    return True


def _lowest(stop_early: EarlyStop) -> str:
    assert stop_early.best is not None
    return f"the held-back loss was lowest at step {stop_early.best.step}"


def _describe(trainer: Trainer, console: Console) -> None:
    """Print what is trained at which rate, and where the run starts."""
    for match, algorithm, lr, tensors, values in trainer.optimizers.table():
        console.print(
            f"{match:<40} {algorithm:<7} lr {lr:<8g} {tensors:4d} tensors {values:>12,d} values"
        )
    for note in trainer.notes:
        console.print(note, soft_wrap=True, highlight=False)
    if trainer.state.step:
        console.print(
            f"resuming from step {trainer.state.step} ({trainer.state.samples:,} samples)"
        )


def _together(*parts: Evaluate | None) -> Evaluate | None:
    """One evaluation of several; None without any."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    return lambda model: {name: value for part in found for name, value in part(model).items()}


def _stop(trainer: Trainer) -> None:
    trainer.stop()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _memory_reported(recipe: TrainRecipe) -> Iterator[None]:
    """Report a lack of memory with what reduces it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch raises RuntimeError, also on a GPU
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            raise
        raise FinesightError(
            f"out of memory on {recipe.run.device}: {str(error).splitlines()[0] if str(error) else 'no more memory'}",
            hint="--set run.gradient_checkpointing=true, a smaller data.pack_tokens, or adapters instead of --full; "
            "`finesight plan --train` estimates what a training needs",
        ) from error
