# SPDX-License-Identifier: Apache-2.0
"""`finesight train RECIPE.toml`: run or resume a training, and export its model."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import INTERRUPTED, reported

if TYPE_CHECKING:
    from finesight.train.loop import Evaluate, Trainer
    from finesight.train.recipe import TrainRecipe


EvaluateOn = Annotated[
    list[Path] | None,
    typer.Option(
        help="Held-out data set on which the averaged weights are scored every run.evaluate_every steps."
        " Repeatable.",
        metavar="DIR",
    ),
]
EvaluateOnReal = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of real data on which the weights are scored as well. Repeatable.",
        metavar="DIR",
    ),
]
EncodeOn = Annotated[
    str | None,
    typer.Option(
        help="Where records are encoded: `processes` of this machine, or a `ray` cluster. Overrides data.executor."
    ),
]
EvaluateLimit = Annotated[
    int, typer.Option(min=1, help="Number of items per row of each evaluation.")
]


def train(
    recipe: Annotated[Path, typer.Argument(help="Training recipe, a TOML file with a `kind`.")],
    *,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Override a value of the recipe: --set run.max_minutes=10. Repeatable."
        ),
    ] = None,
    executor: EncodeOn = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Folder to write the averaged weights to as a model when done."),
    ] = None,
    export_parts: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the adapter and the vision tower of a run with [lora] to when done."
        ),
    ] = None,
    evaluate: EvaluateOn = None,
    evaluate_real: EvaluateOnReal = None,
    evaluate_limit: EvaluateLimit = 8,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Run a training recipe; a stopped run resumes from its newest checkpoint."""
    with reported(debug=debug):
        from finesight.cli.output import check_writable
        from finesight.cli.recipe import read
        from finesight.errors import ConfigError
        from finesight.train.recipe import TrainRecipe

        if executor is not None:
            override = [*(override or ()), f"data.executor={executor}"]
        resolved = read(recipe, TrainRecipe, override)
        check_writable(resolved.run.folder, is_folder=True)
        for folder in (export, export_parts):
            if folder is not None:
                check_writable(folder, is_folder=True)
        if export_parts is not None and resolved.lora is None:
            raise ConfigError(
                f"--export-parts {export_parts}: the recipe has no [lora]",
                hint="--export writes all weights as a model folder",
            )
        score = None
        if evaluate or evaluate_real:
            from finesight.cli.card import evaluation

            score = evaluation(
                evaluate or (),
                resolved.model.folder,
                limit=evaluate_limit,
                real=evaluate_real or (),
            )
        _run(resolved, score, export, export_parts)


def _run(
    recipe: TrainRecipe, score: Evaluate | None, export: Path | None, export_parts: Path | None
) -> None:
    """Train with progress on standard error, and export the model or its trained parts."""
    from rich.console import Console

    from finesight.cli.train_progress import TrainProgress
    from finesight.train import export as exporting
    from finesight.train import parallel, pretrain

    trainer = pretrain.start(recipe)
    console = Console(stderr=True, quiet=not trainer.ranks.is_first)
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

    if recipe.run.export_saves:
        trainer.writer.saved = exporting.exporter(recipe.run, recipe.model.folder)
    # The first signal saves a checkpoint and stops; a second one ends the process at once.
    signal.signal(signal.SIGTERM, lambda *_: _stop(trainer))
    signal.signal(signal.SIGINT, lambda *_: _stop(trainer))
    with TrainProgress(trainer, console) as progress:
        trainer.run(report=progress.report, evaluate=score)
    parallel.leave()
    if not trainer.ranks.is_first:
        return
    if trainer.was_stopped:
        console.print(
            f"interrupted; step {trainer.state.step} is saved, and the same command resumes from it"
        )
        raise typer.Exit(INTERRUPTED)
    if export is not None:
        exporting.export(recipe.run.folder, recipe.model.folder, export)
        console.print(f"wrote {export}")
    if export_parts is not None:
        exporting.export_parts(recipe.run.folder, recipe.model.folder, export_parts)
        console.print(f"wrote {export_parts}")


def _stop(trainer: Trainer) -> None:
    trainer.stop()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    typer.run(train)
