# SPDX-License-Identifier: Apache-2.0
"""One HTML file that shows what runs scored, how sure that is, what others published, and what went wrong.

Self-contained: pictures are embedded and small, nothing is fetched, no script runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from finesight.errors import EvalError
from finesight.evals.core.journal import Sample, read_samples
from finesight.evals.core.results import Result, load_result
from finesight.evals.core.scoring import REASONS
from finesight.evals.core.task import Item
from finesight.evals.judge.ask import FAILURES
from finesight.evals.judge.run import Judged, load_judged
from finesight.evals.report.failures import Failure, failure_of, wrong
from finesight.evals.report.page import PAGE, STYLE_MORE
from finesight.present.report_page import STYLE

MOST_FAILURES = 24
"""Wrong answers shown per run."""

JUDGED = ("task", "answered by", "scored by", "metric", "value", "95 % interval", "n")
OVERVIEW = ("task", "answered by", "prompt", "read by", "metric", "value", "95 % interval", "n")


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of a table; ours are set in bold."""

    cells: tuple[str, ...]
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run as the page shows it."""

    title: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    settings: str
    failures: tuple[Failure, ...]


def needed_items(folder: Path, *, most_failures: int = MOST_FAILURES) -> set[str]:
    """Ids whose pictures the page would show: what to keep of a copy that is read for `write_report`.

    Raises:
        EvalError: the folder holds no finished run.
    """
    result = load_result(folder)
    return {sample.id for sample in _failed(result, read_samples(folder), most_failures)}


def write_report(
    path: Path,
    folders: Sequence[Path],
    *,
    items: Mapping[tuple[str, str], Item] | None = None,
    most_failures: int = MOST_FAILURES,
    title: str = "Benchmarks",
    more: Sequence[Table] = (),
) -> None:
    """Write the report whole or not at all.

    Args:
        path: the HTML file.
        folders: of runs, one or several.
        items: questions by task and id, for pictures that are no files of their own.
        most_failures: wrong answers shown per run.
        title: of the page.
        more: tables to show before the runs.

    Raises:
        EvalError: a folder holds no finished run, or one that was judged before it was scored last, or the page
            cannot be written.
    """
    runs = [(load_result(folder), read_samples(folder)) for folder in folders]
    judged = [found for folder in folders if (found := load_judged(folder)) is not None]
    page = render_report(
        runs,
        items=items or {},
        most_failures=most_failures,
        title=title,
        more=[*more, *_judged_tables(judged)],
    )
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(page, encoding="utf-8", errors="replace")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise EvalError(
            f"report {path} cannot be written: {error.strerror or error}",
            hint="name a file in a folder that you may write to",
        ) from error


def render_report(
    runs: Sequence[tuple[Result, Sequence[Sample]]],
    *,
    items: Mapping[tuple[str, str], Item],
    most_failures: int = MOST_FAILURES,
    title: str = "Benchmarks",
    more: Sequence[Table] = (),
) -> str:
    """The report as one HTML page; arguments as in `write_report`."""
    shown = []
    for result, samples in runs:
        failures = tuple(
            failure_of(sample, items.get((result.task, sample.id)))
            for sample in _failed(result, samples, most_failures)
        )
        shown.append(_shown(result, failures))
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    overview = Table("Runs", OVERVIEW, tuple(_overview_row(result) for result, _ in runs))
    style = Markup(STYLE + STYLE_MORE)
    return environment.from_string(PAGE).render(
        title=title, style=style, overview=overview, more=more, runs=shown
    )


def _failed(result: Result, samples: Sequence[Sample], most: int) -> list[Sample]:
    return wrong(samples, most=most, higher_is_better=result.higher_is_better)


def _overview_row(result: Result) -> Row:
    who = (result.task, result.responder, result.prompt, result.extractor)
    return Row((*who, result.main, *_value_cells(result), f"{result.n:,}"))


def _value_cells(result: Result) -> tuple[str, str]:
    low, high = (end * result.unit for end in result.interval)
    return f"{result.value * result.unit:.2f}", f"{low:.2f} – {high:.2f}"


def _judged_tables(judged: Sequence[Judged]) -> list[Table]:
    """Scores by rule and by judge side by side, and what judges could not settle."""
    if not judged:
        return []
    rows = []
    for each in judged:
        for result in (each.by_rule, each.result):
            who = result.judged_by or f"rule {result.extractor} {result.extractor_version}"
            cells = (result.task, result.responder, who, result.main, *_value_cells(result))
            rows.append(Row((*cells, f"{result.n:,}"), is_ours=bool(result.judged_by)))
    tables = [Table("By rule and by judge", JUDGED, tuple(rows))]
    kept = tuple(
        Row((each.result.task, each.result.judged_by, FAILURES[reason], f"{count:,}"))
        for each in judged
        for reason, count in each.failures.items()
    )
    header = ("task", "judge", "why the score by rule was kept", "items")
    return [*tables, Table("Not settled by the judge", header, kept)] if kept else tables


def _shown(result: Result, failures: tuple[Failure, ...]) -> Shown:
    value, ends = _value_cells(result)
    facts = [
        f"{result.main} {value} [{ends}]",
        f"{result.n:,} items, {result.num_clusters:,} pictures or groups",
        f"answered by {result.responder}",
        f"prompt {result.prompt}",
        f"read by {result.extractor}, version {result.extractor_version}",
        f"{result.tokens:,} answer tokens, {result.seconds:,.0f} s",
        f"identity {result.identity[:12]}",
    ]
    if result.standard_error is not None:
        facts.insert(1, f"standard error {result.standard_error * result.unit:.2f}")
    warnings = [
        f"{REASONS.get(reason, reason)} ({reason}): {count:,}"
        for reason, count in result.errors.items()
    ]
    if result.parse_fail_rate:
        warnings.append(f"not read: {result.parse_fail_rate:.1%}")
    if result.truncated_rate:
        warnings.append(f"cut short: {result.truncated_rate:.1%}")
    return Shown(
        title=f"{result.task}: {result.responder}",
        facts=tuple(facts),
        warnings=tuple(warnings),
        notes=tuple(result.notes),
        tables=tuple(_tables(result)),
        settings=json.dumps(dict(result.settings), indent=2, ensure_ascii=False),
        failures=failures,
    )


def _tables(result: Result) -> list[Table]:
    tables = [_beside_published(result)]
    metrics = (Row((name, f"{value:.4f}")) for name, value in result.metrics.items())
    tables.append(Table("Metrics", ("metric", "value"), tuple(metrics)))
    for tag, values in result.breakdown.items():
        rows = tuple(
            Row((name, _scaled(each["value"], result.unit), f"{each['n'] or 0:,.0f}"))
            for name, each in values.items()
        )
        tables.append(Table(f"By {tag}", (tag, result.main, "n"), rows))
    return tables


def _beside_published(result: Result) -> Table:
    """Ours among the published numbers, best first; chance is one of them."""
    value, ends = _value_cells(result)
    rows = [(result.value * result.unit, Row((result.responder, value, ends), is_ours=True))]
    rows += [(number, Row((name, f"{number:g}", ""))) for name, number in result.published.items()]
    if result.chance is not None:
        chance = result.chance * result.unit
        rows.append((chance, Row(("random answers", f"{chance:.2f}", ""))))
    rows.sort(key=lambda pair: pair[0], reverse=result.higher_is_better)
    header = ("system", result.main, "95 % interval")
    return Table("Beside published numbers", header, tuple(row for _, row in rows))


def _scaled(value: float | None, unit: float) -> str:
    return "–" if value is None else f"{value * unit:.2f}"
