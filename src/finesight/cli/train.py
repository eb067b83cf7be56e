# SPDX-License-Identifier: Apache-2.0
"""`finesight train RECIPE.toml`: run a recipe, resume it, take a model out of it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import reported

if TYPE_CHECKING:
    from finesight.train.loop import Evaluate, Trainer
    from finesight.train.recipe import TrainRecipe


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file with a `kind`.")],
    *,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: --set run.max_minutes=10.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the averaged weights as a model folder when done.")
    ] = None,
    evaluate: Annotated[
        list[Path] | None,
        typer.Option(
            help="Held-out data set: score the averaged weights every run.evaluate_every steps."
            " May be repeated.",
            metavar="DIR",
        ),
    ] = None,
    evaluate_real: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of real data to score the weights on as well. May be repeated.",
            metavar="DIR",
        ),
    ] = None,
    evaluate_limit: Annotated[
        int, typer.Option(min=1, help="Items per row of each evaluation.")
    ] = 8,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Run a training recipe; a run that was stopped goes on from its newest checkpoint."""
    with reported(debug=debug):
        from finesight.cli.output import check_writable
        from finesight.cli.recipe import read
        from finesight.train.recipe import TrainRecipe

        resolved = read(recipe, TrainRecipe, override)
        check_writable(resolved.run.folder, is_folder=True)
        if export is not None:
            check_writable(export, is_folder=True)
        score = None
        if evaluate or evaluate_real:
            from finesight.cli.card import evaluation

            score = evaluation(
                evaluate or (),
                resolved.model.folder,
                limit=evaluate_limit,
                real=evaluate_real or (),
            )
        _run(resolved, score, export)


def _run(recipe: TrainRecipe, score: Evaluate | None, export: Path | None) -> None:
    """Train, say how it goes, and write the model."""
    from rich.console import Console

    from finesight.train import pretrain

    console = Console(stderr=True)
    trainer = pretrain.start(recipe)
    for match, algorithm, lr, tensors, values in trainer.optimizers.table():
        console.print(
            f"{match:<40} {algorithm:<7} lr {lr:<8g} {tensors:4d} tensors {values:>12,d} values"
        )
    for note in trainer.notes:
        console.print(note, soft_wrap=True, highlight=False)
    if trainer.state.step:
        console.print(
            f"going on from step {trainer.state.step} ({trainer.state.samples:,} samples)"
        )

    def report(step: int, values: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        console.print(f"step {step}{_of_all(trainer)}  {shown}", highlight=False)

    # A terminated run keeps its last steps; a second signal ends it at once.
    signal.signal(signal.SIGTERM, lambda *_: _stop(trainer))
    signal.signal(signal.SIGINT, lambda *_: _stop(trainer))
    trainer.run(report=report, evaluate=score)
    if export is not None:
        pretrain.export(recipe.run.folder, recipe.model.folder, export)
        console.print(f"wrote {export}")


def _of_all(trainer: Trainer) -> str:
    """How far a run has come: "/2400", or ", 31% of 50 minutes" where the clock ends it and not the steps."""
    schedule = trainer.schedule
    if schedule.total_minutes is None:
        return f"/{schedule.total_steps}"
    return f", {trainer.schedule_step / schedule.total_steps:.0%} of {schedule.total_minutes:g} minutes"


def _stop(trainer: Trainer) -> None:
    trainer.stop()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    typer.run(train)
