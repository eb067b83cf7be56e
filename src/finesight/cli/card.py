# SPDX-License-Identifier: Apache-2.0
"""The report card as a command, and as an evaluation during training."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError, EvalError, FinesightError

if TYPE_CHECKING:
    from finesight.cli.eval_answerer import LocalModel
    from finesight.engine.engine import Engine
    from finesight.evals.core.task import Task
    from finesight.evals.responders.model import FromModel
    from finesight.evals.suites.card import NoData
    from finesight.evals.suites.card_rows import RowScore
    from finesight.evals.suites.english import BareDecoder
    from finesight.model.vl import VisionLanguageModel


HOW_HELD_OUT = "finesight data build {} --out DIR, then --data DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class _English:
    """The rows without pictures, see `finesight.evals.suites.english`."""

    engine: Engine
    tokens: Sequence[int]
    bare: BareDecoder

    @classmethod
    def of(cls, model: FromModel) -> _English:
        """Those of a model on this machine."""
        from finesight.engine.engine import Engine
        from finesight.evals.suites.english import BareDecoder, read_prose

        engine = model.responder
        assert isinstance(engine, Engine)
        tokens = engine.processor.tokenizer.encode(read_prose())
        return cls(engine=engine, tokens=tokens, bare=BareDecoder.stored())

    @property
    def missing(self) -> list[NoData]:
        """Both rows, if the model has another tokenizer than the bare decoder."""
        return self.bare.missing(self.tokens)

    @property
    def tasks(self) -> list[tuple[Task, Path]]:
        """The benchmark of facts."""
        return [] if self.missing else [(self.bare.facts_task(), Path())]

    def rows(self) -> list[RowScore]:
        """The row of perplexity."""
        return [] if self.missing else [self.bare.row(self.engine, self.tokens)]


def show_card(
    who: LocalModel,
    data: Sequence[Path],
    real: Sequence[Path],
    *,
    out: Path | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Score a model on held-out and real data; print a table or one JSON object, write files to `out`."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.cli.eval_benchmark import Bars
    from finesight.evals.suites.card import EXAMPLES_PER_ROW, read_trained, trained_for, write_card
    from finesight.evals.suites.card_rows import Card

    if not data and not real:
        raise ConfigError(
            "the report card needs held-out data, real data, or both",
            hint=f"{HOW_HELD_OUT.format('recipes/tiny/heldout_text.toml')}; or scripts/fetch_real_data.py DIR,"
            " then --real DIR",
        )
    if out is not None:
        check_writable(out, is_folder=True)
    trained = read_trained(find_checkpoint(who.choice.name))
    tasks = _tasks(data, real, limit)
    responder = who.responder()
    english = _English.of(responder)
    with _answers(out) as folder, Bars() as bars:
        card = Card(
            model=responder,
            out=folder,
            limit=limit,
            most_examples=EXAMPLES_PER_ROW,
            on_progress=bars,
        )
        rows = card.rows([*tasks, *english.tasks]) + english.rows()
    no_data = [*_no_data(rows, real), *english.missing]
    table = {row.row: {**row.table(), "training": trained_for(row.row, trained)} for row in rows}
    missing = {row.row: {"needs": row.needs, "how": row.how} for row in no_data}
    content = {"suite": "card", "model": who.choice.name, "rows": table, "no_data": missing}
    if as_json:
        print_json(content)
    else:
        _print_table(rows, no_data)
    if out is not None:
        write_card(out, content, rows, trained=trained, no_data=no_data)
        sys.stderr.write(f"wrote card.json, card.svg and card.html to {out}\n")


def evaluation(
    folders: Sequence[Path], model_folder: Path, *, limit: int, real: Sequence[Path] = ()
) -> Callable[[VisionLanguageModel], dict[str, float]]:
    """A callable for `Trainer.run` that scores the report card; it returns no scores if the model fails.

    Args:
        folders: held-out data sets.
        model_folder: configuration and tokenizer of the trained model.
        limit: items per row.
        real: folders of real data.

    Raises:
        EvalError: the data is not held out, or there are no rows.
    """
    from finesight.api.checkpoints import read_generation_defaults
    from finesight.api.network import load_processor
    from finesight.engine.engine import Engine
    from finesight.evals.responders.model import FromModel
    from finesight.evals.suites.card_rows import Card, as_scores

    tasks = _tasks(folders, real, limit)
    processor = load_processor(model_folder)
    eos_ids = read_generation_defaults(model_folder).eos_ids

    def evaluate(model: VisionLanguageModel) -> dict[str, float]:
        engine = FromModel(Engine(model, processor, eos_ids=eos_ids), "training")
        english = _English.of(engine)
        try:
            with _answers(None) as out:
                card = Card(model=engine, out=out, limit=limit)
                return as_scores(card.rows([*tasks, *english.tasks]) + english.rows())
        except FinesightError as error:  # a failed evaluation must not stop the training
            sys.stderr.write(f"this evaluation gives no score: {error.message}\n")
            return {}

    return evaluate


def _tasks(
    data: Sequence[Path], real: Sequence[Path], limit: int | None
) -> list[tuple[Task, Path]]:
    """Benchmarks of the rows with their local copies, held-out data first.

    Raises:
        EvalError: there are no rows.
    """
    from finesight.cli.heldout import read_items
    from finesight.evals.suites.card_rows import card_task
    from finesight.evals.suites.heldout import held_out_tasks
    from finesight.evals.suites.real_tasks import CARD_TASKS, present

    held_out = held_out_tasks(read_items(data, limit=limit))
    found = [(task, Path()) for task in held_out]  # its items are already read
    found += [(card_task(part), copy) for part, copy in present(CARD_TASKS, real)[0]]
    if not found:
        raise EvalError(f"there is nothing to score in {', '.join(map(str, (*data, *real)))}")
    return found


@contextmanager
def _answers(out: Path | None) -> Iterator[Path]:
    """A folder for the answers: `out/answers`, or a temporary one."""
    if out is not None:
        yield out / "answers"
        return
    with tempfile.TemporaryDirectory(prefix="finesight-card-") as folder:
        yield Path(folder)


def _no_data(rows: Sequence[RowScore], real: Sequence[Path]) -> list[NoData]:
    """Rows of held-out and real data that these rows lack."""
    from finesight.evals.suites.card import NoData
    from finesight.evals.suites.heldout import rows_without
    from finesight.evals.suites.real_tasks import CARD_TASKS, present

    missing = [
        NoData(each.row, "a held-out data set", HOW_HELD_OUT.format(each.recipe))
        for each in rows_without(row.row for row in rows)
    ]
    absent = present(CARD_TASKS, real)[1]
    return missing + [NoData(part.task, ", ".join(part.needs), part.how) for part in absent]


def _print_table(rows: Sequence[RowScore], no_data: Sequence[NoData]) -> None:
    from finesight.cli.eval_benchmark import print_table
    from finesight.evals.suites.card_rows import NO_RATIO, NO_RATIO_NOTE

    header = ("row", "measure", "score", "blank", "times blank", "n", "failed")
    cells = [
        (row.row, row.measure, *row.numbers, str(row.num_items), str(row.num_failed))
        for row in rows
    ]
    print_table(header, cells)
    if any(NO_RATIO in row.numbers for row in rows):
        sys.stdout.write(f"{NO_RATIO_NOTE}\n")
    for absent in no_data:
        sys.stderr.write(f"{absent.row}: no data, {absent.needs} is not there: {absent.how}\n")
