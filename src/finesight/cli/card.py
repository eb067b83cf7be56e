# SPDX-License-Identifier: Apache-2.0
"""The report card: of a model on the command line, and of weights that are being trained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.card import Examples
    from finesight.evals.heldout import RowScore
    from finesight.model.vl import VisionLanguageModel


def show_card(
    model: str,
    data: list[Path] | None,
    *,
    out: Path | None,
    limit: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Score a model on held-out data; a table or one JSON object on standard output, files in `out`."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.evals.card import Examples, read_trained, write_card
    from finesight.evals.heldout import as_table

    if not data:
        raise ConfigError(
            "the report card needs held-out data",
            hint="make it with `finesight data build recipes/tiny/heldout_text.toml --out DIR`, then --data DIR",
        )
    trained = None
    if out is not None:
        check_writable(out, is_folder=True)
        trained = read_trained(find_checkpoint(model))
    examples = Examples()
    rows = _score(model, data, examples, limit=limit, device=device)
    content = {"suite": "card", "model": model, "rows": as_table(rows)}
    if as_json:
        print_json(content)
    else:
        _print_table(rows)
    if out is not None:
        write_card(out, content, rows, examples, trained=trained)
        sys.stderr.write(f"wrote card.json, card.svg and card.html to {out}\n")


def evaluation(
    folders: list[Path], model_folder: Path, *, limit: int
) -> Callable[[VisionLanguageModel], dict[str, float]]:
    """A callable for `Trainer.run`: rows of the report card as named scores, none if the model cannot answer.

    Args:
        folders: held-out data sets.
        model_folder: configuration and tokenizer of the model that is trained.
        limit: items per row; training waits while they are answered.

    Raises:
        EvalError: the data is not held out, or there is none.
    """
    from finesight.api.checkpoints import read_generation_defaults
    from finesight.api.model import load_processor
    from finesight.cli.heldout import read_items
    from finesight.engine.engine import Engine
    from finesight.errors import EvalError, FinesightError
    from finesight.evals.heldout import as_scores, score_rows

    items = read_items(folders, limit=limit)
    if not items:
        raise EvalError(f"there is nothing to score in {', '.join(map(str, folders))}")
    processor = load_processor(model_folder)
    eos_ids = read_generation_defaults(model_folder).eos_ids

    def evaluate(model: VisionLanguageModel) -> dict[str, float]:
        try:
            return as_scores(score_rows(Engine(model, processor, eos_ids=eos_ids), items))
        except FinesightError as error:  # hours of training must not end because a score is missing
            sys.stderr.write(f"this evaluation gives no score: {error.message}\n")
            return {}

    return evaluate


def _score(
    model: str, data: list[Path], examples: Examples, *, limit: int | None, device: str
) -> list[RowScore]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from finesight.api import load
    from finesight.cli.heldout import read_items
    from finesight.evals.heldout import score_rows

    items = read_items(data, limit=limit)
    loaded = load(model, device=device)
    columns = (TextColumn("scoring"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("scoring", total=len(items))
        return score_rows(
            loaded.engine,
            items,
            on_progress=lambda done, total: progress.update(bar, completed=done),
            on_asked=examples,
        )


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
