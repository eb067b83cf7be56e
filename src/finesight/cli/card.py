# SPDX-License-Identifier: Apache-2.0
"""The report card: of a model on the command line, and of weights that are being trained."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.conversation import Responder
    from finesight.evals.suites.card import Examples, NoData
    from finesight.evals.suites.heldout import HeldOutItem, RowScore
    from finesight.model.vl import VisionLanguageModel


HELD_OUT = "text_*, point, count, absent"
"""Rows of held-out data sets; which they are exactly stands in the data."""
HOW_HELD_OUT = "finesight data build recipes/tiny/heldout_text.toml --out DIR, then --data DIR"


def show_card(
    model: str,
    data: Sequence[Path],
    real: Sequence[Path],
    *,
    out: Path | None,
    limit: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Score a model on held-out and on real data; a table or one JSON object on standard output, files in `out`."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.evals.suites.card import Examples, read_trained, trained_for, write_card
    from finesight.evals.suites.heldout import as_table

    if not data and not real:
        raise ConfigError(
            "the report card needs held-out data, real data, or both",
            hint=f"{HOW_HELD_OUT}; or scripts/fetch_real_data.py DIR, then --real DIR",
        )
    if out is not None:
        check_writable(out, is_folder=True)
    trained = read_trained(find_checkpoint(model))
    examples = Examples()
    with _answers(out) as folder:
        rows = _score(model, data, real, folder, examples, limit=limit, device=device)
    no_data = _no_data(data, real)
    table = {
        name: {**row, "training": trained_for(name, trained)}
        for name, row in as_table(rows).items()
    }
    missing = {row.row: {"needs": row.needs, "how": row.how} for row in no_data}
    content = {"suite": "card", "model": model, "rows": table, "no_data": missing}
    if as_json:
        print_json(content)
    else:
        _print_table(rows, no_data)
    if out is not None:
        write_card(out, content, rows, examples, trained=trained, no_data=no_data)
        sys.stderr.write(f"wrote card.json, card.svg and card.html to {out}\n")


def evaluation(
    folders: Sequence[Path], model_folder: Path, *, limit: int, real: Sequence[Path] = ()
) -> Callable[[VisionLanguageModel], dict[str, float]]:
    """A callable for `Trainer.run`: rows of the report card as named scores, none if the model cannot answer.

    Args:
        folders: held-out data sets.
        model_folder: configuration and tokenizer of the model that is trained.
        limit: items per row; training waits while they are answered.
        real: folders of real data.

    Raises:
        EvalError: the data is not held out, or there is none.
    """
    from finesight.api.checkpoints import read_generation_defaults
    from finesight.api.model import load_processor
    from finesight.engine.engine import Engine
    from finesight.errors import FinesightError
    from finesight.evals.suites.card import Examples
    from finesight.evals.suites.heldout import as_scores

    none = Examples(most=0)
    items = _items_of(folders, real, limit)
    processor = load_processor(model_folder)
    eos_ids = read_generation_defaults(model_folder).eos_ids

    def evaluate(model: VisionLanguageModel) -> dict[str, float]:
        engine = Engine(model, processor, eos_ids=eos_ids)
        try:
            with _answers(None) as out:
                rows = _rows(engine, "training", items, real, out, limit=limit, examples=none)
                return as_scores(rows)
        except FinesightError as error:  # hours of training must not end because a score is missing
            sys.stderr.write(f"this evaluation gives no score: {error.message}\n")
            return {}

    return evaluate


def _items_of(data: Sequence[Path], real: Sequence[Path], limit: int | None) -> list[HeldOutItem]:
    """Held-out items.

    Raises:
        EvalError: there is none, and no benchmark on real data either.
    """
    from finesight.cli.heldout import read_items
    from finesight.errors import EvalError
    from finesight.evals.suites.parts import CARD_PARTS, present

    items = read_items(data, limit=limit)
    if not items and not present(CARD_PARTS, real)[0]:
        raise EvalError(f"there is nothing to score in {', '.join(map(str, (*data, *real)))}")
    return items


@contextmanager
def _answers(out: Path | None) -> Iterator[Path]:
    """A folder for the answers of benchmarks: below `out`, or one that is gone afterwards."""
    if out is not None:
        yield out / "answers"
        return
    with tempfile.TemporaryDirectory(prefix="finesight-card-") as folder:
        yield Path(folder)


def _score(
    model: str,
    data: Sequence[Path],
    real: Sequence[Path],
    out: Path,
    examples: Examples,
    *,
    limit: int | None,
    device: str,
) -> list[RowScore]:
    from finesight.cli.eval_answerer import loaded_responder
    from finesight.cli.eval_suites import PartBars

    items = _items_of(data, real, limit)
    responder = loaded_responder(model, device)
    with PartBars() as bars:
        return _rows(
            responder.responder,
            responder.name,
            items,
            real,
            out,
            limit=limit,
            examples=examples,
            on_progress=bars.count,
        )


def _rows(
    engine: Responder,
    name: str,
    items: Sequence[HeldOutItem],
    real: Sequence[Path],
    out: Path,
    *,
    limit: int | None,
    examples: Examples,
    on_progress: Callable[[str, int], None] | None = None,
) -> list[RowScore]:
    """Rows of held-out items, then those of the benchmarks on real data that are there."""
    from finesight.evals.core.responders import FromModel
    from finesight.evals.suites.card_rows import score_part
    from finesight.evals.suites.heldout import score_rows
    from finesight.evals.suites.parts import CARD_PARTS, present

    rows: list[RowScore] = []
    if items:
        told = on_progress
        rows += score_rows(
            engine,
            items,
            on_progress=(lambda done, total: told("held-out", done)) if told else None,
            on_asked=examples,
        )
    for part, copy in present(CARD_PARTS, real)[0]:
        row = score_part(
            part,
            copy,
            FromModel(engine, name),
            "resized",
            out,
            limit=limit,
            most_examples=examples.most,
            on_progress=on_progress,
        )
        rows.append(row.score)
        for example in row.examples:
            examples.add(example)
    return rows


def _no_data(data: Sequence[Path], real: Sequence[Path]) -> list[NoData]:
    """Rows of the card that nothing was given for."""
    from finesight.evals.suites.card import NoData
    from finesight.evals.suites.parts import CARD_PARTS, present

    missing = [] if data else [NoData(HELD_OUT, "a held-out data set", HOW_HELD_OUT)]
    absent = present(CARD_PARTS, real)[1]
    return missing + [NoData(part.task, ", ".join(part.needs), part.how) for part in absent]


def _print_table(rows: Sequence[RowScore], no_data: Sequence[NoData]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("row", "measure", "score", "blank", "times blank", "n", "failed")
    for row in rows:
        times = f"{row.beats_blank:.1f}"
        counts = (str(row.num_items), str(row.num_failed))
        table.add_row(row.row, row.measure, f"{row.score:.3f}", f"{row.blank:.3f}", times, *counts)
    Console().print(table)
    for absent in no_data:
        sys.stderr.write(f"{absent.row}: no data, {absent.needs} is not there: {absent.how}\n")
