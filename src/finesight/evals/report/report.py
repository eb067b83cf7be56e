# SPDX-License-Identifier: Apache-2.0
"""HTML report of runs: scores with intervals, published scores, and wrong answers.

The file is self-contained: pictures are embedded, nothing is fetched, and there are no scripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from finesight.errors import EvalError
from finesight.evals.core.journal import Sample, read_samples
from finesight.evals.core.results import Result, load_result
from finesight.evals.core.scoring import REASONS
from finesight.evals.core.task import Item
from finesight.evals.judge.ask import FAILURES
from finesight.evals.judge.run import Judged, load_judged
from finesight.evals.report.failures import failure_section, wrong
from finesight.present.page import (
    Facts,
    Notes,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    Text,
    write_page,
)

MOST_FAILURES = 24
"""Wrong answers shown per run."""

FOOTER = (
    "Intervals are 95 % bootstrap intervals over pictures. Published numbers are quoted from their sources; their "
    "prompts, pixels and rules of reading may differ. Boxes are drawn in pixels of the original pictures."
)
JUDGED = ("task", "answered by", "scored by", "metric", "value", "95 % interval", "n")
NUMBERS = ("value", "95 % interval", "n")
OVERVIEW = ("task", "answered by", "prompt", "read by", "metric", "value", "95 % interval", "n")


def needed_items(folder: Path, *, most_failures: int = MOST_FAILURES) -> set[str]:
    """Ids of the items that the report shows, and that `write_report` needs from the copy.

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
    """Write the report atomically.

    Args:
        path: the HTML file.
        folders: of runs, one or several.
        items: by task and id, for pictures that are not separate files.
        most_failures: wrong answers shown per run.
        title: of the page.
        more: tables before the runs.

    Raises:
        EvalError: a folder holds no finished run, a judged result is older than the score by rule, or the page cannot
            be written.
    """
    runs = [(load_result(folder), read_samples(folder)) for folder in folders]
    judged = [found for folder in folders if (found := load_judged(folder)) is not None]
    tables = [*more, *_judged_tables(judged)]
    if len(runs) > 1:
        overview = tuple(_overview_row(result) for result, _ in runs)
        tables.insert(0, Table("Runs", OVERVIEW, overview, NUMBERS))
    sections = chain(
        (Section("", (table,)) for table in tables),
        _run_sections(runs, items or {}, most_failures),
    )
    page = Page(title=title, sections=sections, footer=FOOTER)
    write_page(path, page, error=EvalError, parents=True)


def _run_sections(
    runs: Sequence[tuple[Result, Sequence[Sample]]],
    items: Mapping[tuple[str, str], Item],
    most_failures: int,
) -> Iterator[Section]:
    """Each run, followed by its wrong answers."""
    for result, samples in runs:
        yield _section(result)
        for sample in _failed(result, samples, most_failures):
            yield failure_section(sample, items.get((result.task, sample.id)))


def _failed(result: Result, samples: Sequence[Sample], most: int) -> list[Sample]:
    return wrong(samples, most=most, higher_is_better=result.higher_is_better)


def _overview_row(result: Result) -> TableRow:
    who = (result.task, result.responder, result.prompt, result.extractor)
    return TableRow((*who, result.main, *_value_cells(result), f"{result.n:,}"))


def _value_cells(result: Result) -> tuple[str, str]:
    low, high = (end * result.unit for end in result.interval)
    return f"{result.value * result.unit:.2f}", f"{low:.2f} – {high:.2f}"


def _judged_tables(judged: Sequence[Judged]) -> list[Table]:
    """Scores by rule and by judge, and the reasons for missing rulings."""
    if not judged:
        return []
    rows = []
    for each in judged:
        for result in (each.by_rule, each.result):
            who = result.judged_by or f"rule {result.extractor} {result.extractor_version}"
            cells = (result.task, result.responder, who, result.main, *_value_cells(result))
            rows.append(TableRow((*cells, f"{result.n:,}"), is_strong=bool(result.judged_by)))
    tables = [Table("By rule and by judge", JUDGED, tuple(rows), NUMBERS)]
    kept = tuple(
        TableRow((each.result.task, each.result.judged_by, FAILURES[reason], f"{count:,}"))
        for each in judged
        for reason, count in each.failures.items()
    )
    header = ("task", "judge", "why the score by rule was kept", "items")
    return (
        [*tables, Table("Not settled by the judge", header, kept, ("items",))] if kept else tables
    )


def _section(result: Result) -> Section:
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
    parts: list[PagePart] = [Facts(tuple(facts), tuple(warnings))]
    if result.notes:
        parts.append(Notes(tuple(result.notes)))
    settings = json.dumps(dict(result.settings), indent=2, ensure_ascii=False)
    parts += [*_tables(result), Text("Settings", settings, is_folded=True)]
    return Section(f"{result.task}: {result.responder}", tuple(parts))


def _tables(result: Result) -> list[Table]:
    tables = [_beside_published(result)]
    metrics = (TableRow((name, f"{value:.4f}")) for name, value in result.metrics.items())
    tables.append(Table("Metrics", ("metric", "value"), tuple(metrics), NUMBERS))
    for tag, values in result.breakdown.items():
        rows = tuple(
            TableRow((name, _scaled(each["value"], result.unit), f"{each['n'] or 0:,.0f}"))
            for name, each in values.items()
        )
        tables.append(Table(f"By {tag}", (tag, result.main, "n"), rows, (result.main, "n")))
    return tables


def _beside_published(result: Result) -> Table:
    """Our score, published scores and chance, best first."""
    value, ends = _value_cells(result)
    rows = [(result.value * result.unit, TableRow((result.responder, value, ends), is_strong=True))]
    rows += [
        (number, TableRow((name, f"{number:g}", ""))) for name, number in result.published.items()
    ]
    if result.chance is not None:
        chance = result.chance * result.unit
        rows.append((chance, TableRow(("random answers", f"{chance:.2f}", ""))))
    rows.sort(key=lambda pair: pair[0], reverse=result.higher_is_better)
    header = ("system", result.main, "95 % interval")
    return Table("Beside published numbers", header, tuple(row for _, row in rows), header[1:])


def _scaled(value: float | None, unit: float) -> str:
    return "–" if value is None else f"{value * unit:.2f}"
