# SPDX-License-Identifier: Apache-2.0
"""`finesight eval`: score a model, and say how.

Without a command it is the report card of the embedded model; benchmarks are its commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import eval_run, eval_stored, eval_suites, options
from finesight.cli.errors import reported

if TYPE_CHECKING:
    from rich.console import Console

    from finesight.evals.heldout import RowScore

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def evaluate(
    context: typer.Context,
    *,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder of a held-out data set; may be repeated.")
    ] = None,
    suite: Annotated[
        str, typer.Option(help="card: held-out pictures. offline: real data, no download.")
    ] = "card",
    model: Annotated[str, typer.Option(help="tiny, a folder, or a published name.")] = "tiny",
    real: Annotated[
        Path | None, typer.Option(help="Folder of real data, for offline.", metavar="DIR")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write answers, JSON and a page here.", metavar="DIR")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Items per row or benchmark at most.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    debug: options.Debug = False,
) -> None:
    """Score a model on benchmarks, or on held-out pictures and on blank pictures beside them.

    Without a command: the report card on held-out data. Options of a command stand after its name.
    """
    with reported(debug=debug):
        from finesight.errors import ConfigError

        if context.invoked_subcommand is not None:
            if data or real or out or limit is not None or as_json:
                raise ConfigError(
                    f"options of a suite stand before `{context.invoked_subcommand}`",
                    hint="options of a command stand after its name",
                )
            return
        if suite == "offline":
            who = eval_suites.local_model(model, device)
            eval_suites.offline(who, real, out, limit=limit, as_json=as_json)
            return
        if suite != "card":
            raise ConfigError(f"--suite is {suite!r}", hint="the suites there are: card, offline")
        if not data:
            raise ConfigError(
                "the report card needs held-out data",
                hint="make it with `finesight data build recipes/tiny/heldout_text.toml --out DIR`, then --data DIR",
            )
        _print_card(model, data, limit=limit, device=device, suite=suite, as_json=as_json)


for _name, _handler in (
    ("run", eval_run.run),
    ("list", eval_stored.show_tasks),
    ("check", eval_stored.check),
    ("rescore", eval_stored.rescore),
    ("compare", eval_stored.compare),
    ("report", eval_stored.report),
):
    app.command(_name)(_handler)


def _print_card(
    model: str, data: list[Path], *, limit: int | None, device: str, suite: str, as_json: bool
) -> None:
    from finesight.cli.output import print_json
    from finesight.evals.heldout import as_table

    rows = _score(model, data, limit=limit, device=device)
    if as_json:
        print_json({"suite": suite, "model": model, "rows": as_table(rows)})
    else:
        _print_table(rows)


def _score(model: str, data: list[Path], *, limit: int | None, device: str) -> list[RowScore]:
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from finesight.api import load
    from finesight.cli.heldout import read_items
    from finesight.evals.heldout import score_rows

    items = read_items(data, limit=limit)
    loaded = load(model, device=device)
    columns = (TextColumn("scoring"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console()) as progress:
        bar = progress.add_task("scoring", total=len(items))
        return score_rows(
            loaded.engine,
            items,
            on_progress=lambda done, total: progress.update(bar, completed=done),
        )


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _print_table(rows: list[RowScore]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("row", "measure", "score", "blank", "times blank", "n")
    for row in rows:
        times = f"{row.beats_blank:.1f}"
        table.add_row(
            row.row, row.measure, f"{row.score:.3f}", f"{row.blank:.3f}", times, str(row.num_items)
        )
    Console().print(table)
