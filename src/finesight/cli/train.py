# SPDX-License-Identifier: Apache-2.0
"""`finesight train`: run or resume a training from a recipe, or fine-tune a model on a file of examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from finesight.cli import finetune
from finesight.cli.command import command

if TYPE_CHECKING:
    from finesight.train.loop import Evaluate
    from finesight.train.recipe import TrainRecipe

DEFAULT = "recipe"
"""Command of the group that is meant if none is named: `finesight train RECIPE.toml`."""


class _Group(TyperGroup):
    """A group whose first argument is a recipe unless it names a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Group,
    help="""Train a model. `finesight train RECIPE.toml` runs a recipe; `finesight train sft` fine-tunes a model on a
file of examples.""",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

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

app.command("sft")(finetune.sft)


@app.command(DEFAULT)
@command
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
) -> None:
    """Run a training recipe; a stopped run resumes from its newest checkpoint."""
    from finesight.cli.output import check_writable
    from finesight.cli.recipe import read
    from finesight.errors import ConfigError
    from finesight.train.recipe import TrainRecipe

    if executor is not None:
        override = [*(override or ()), f"data.executor={executor}"]
    kinds = cast("Any", TrainRecipe)  # a union, which `type[...]` cannot express
    resolved: TrainRecipe = read(recipe, kinds, override)
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

    from finesight.cli.train_run import run_recipe
    from finesight.train import export as exporting

    console = Console(stderr=True)
    if not run_recipe(recipe, console, score):
        return
    if export is not None:
        exporting.export(recipe.run.folder, recipe.model.folder, export)
        console.print(f"wrote {export}")
    if export_parts is not None:
        exporting.export_parts(recipe.run.folder, recipe.model.folder, export_parts)
        console.print(f"wrote {export_parts}")


if __name__ == "__main__":
    typer.run(train)
