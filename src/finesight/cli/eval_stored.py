# SPDX-License-Identifier: Apache-2.0
"""Commands on benchmarks and runs that need no model: list, check, rescore, compare, report."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli import eval_options, options
from finesight.cli.command import light_command
from finesight.cli.eval_benchmark import copy_of, print_result
from finesight.cli.eval_judge import JudgeOptions, judge_of, judged
from finesight.errors import ConfigError, EvalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from finesight.evals.core.task import Task

Folders = Annotated[
    list[Path], typer.Argument(help="Folders of runs, or a folder of such folders.")
]


@light_command
def show_tasks(
    name: Annotated[str | None, typer.Argument(help="Show all about this benchmark.")] = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """List the benchmarks, or show one: files, prompts, extractors, published scores."""
    from finesight.evals.core import registry

    chosen = registry.tasks().values() if name is None else [registry.task(name)]
    lines = [f"{each.name:28} {each.title} ({each.main})" for each in chosen]
    if name is not None:
        lines = _details(registry.task(name))
    content = {"tasks": [_described(each) for each in chosen]}
    print_result(lines, content, as_json=as_json)


@light_command
def check(
    task: eval_options.Tasks,
    *,
    data: eval_options.Data,
    extractor: eval_options.ExtractorName = None,
    as_json: options.AsJson = False,
) -> None:
    """Read local copies completely and score correct, shuffled and empty answers.

    Correct answers must score full marks; otherwise the copy or the extractor is faulty. Unusable rows, repeated ids
    and errors of extractor or score end the check with exit code 1.
    """
    from finesight.evals.core import registry

    tasks = [registry.task(name) for name in task]
    checks = [_checked(each, copy_of(each, data, len(tasks)), extractor) for each in tasks]
    print_result(map(_check_line, checks), {"checks": checks}, as_json=as_json)
    _refuse_losses(checks)


@light_command
def rescore(
    folder: Folders,
    *,
    extractor: eval_options.ExtractorName = None,
    judging: JudgeOptions,
    workers: eval_options.JudgeWorkers = 1,
    as_json: options.AsJson = False,
) -> None:
    """Parse and score stored answers again, without model and data; joins shards.

    With a judge, a language model judges the same answers beside the score by rule.
    """
    from finesight.evals.core import registry
    from finesight.evals.core.rescore import rescore as rescore_run

    runs = {each: _task_of(each) for each in run_folders(folder)}
    who = judge_of(judging, tasks=runs.values())
    found: list[dict[str, Any]] = []
    lines: list[str] = []
    for each, task in runs.items():
        result = rescore_run(each, task, registry.find_extractor(task, extractor))
        second = None if who is None else judged(each, task, who, workers=workers)
        found.append(asdict(result) | ({"judged": asdict(second)} if second else {}))
        lines += second.lines() if second else [result.line()]
    print_result(lines, {"results": found}, as_json=as_json)


@light_command
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run, such as the baseline.")],
    second: Annotated[Path, typer.Argument(help="Folder of another run of the same benchmark.")],
    *,
    as_json: options.AsJson = False,
) -> None:
    """Compare two runs item by item, with a paired interval of the difference."""
    from finesight.evals.core.compare import compare as compare_runs

    found = compare_runs(first, second, _task_of(first))
    print_result(found.lines(), asdict(found), as_json=as_json)


@light_command
def report(
    folder: Folders,
    *,
    out: Annotated[Path, typer.Option(help="HTML file.", metavar="FILE")],
    data: Annotated[
        Path | None,
        typer.Option(help="Local copy, for pictures that are not separate files.", metavar="DIR"),
    ] = None,
    failures: Annotated[int, typer.Option(min=0, help="Wrong answers shown per run.")] = 24,
) -> None:
    """Write an HTML page: scores, published scores beside them, and wrong answers with their pictures."""
    from finesight.cli.output import check_report
    from finesight.evals.report.report import write_report
    from finesight.evals.suites.offline import shown_items

    check_report(out)
    folders = run_folders(folder)
    drawn = folders if data is not None else ()
    copies = {each: copy_of(_task_of(each), data or Path(), len(folders)) for each in drawn}
    items = shown_items(copies, most_failures=failures)
    write_report(out, folders, items=items, most_failures=failures)
    sys.stderr.write(f"wrote {out}\n")


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """Folders of runs among these paths and directly inside them.

    Raises:
        ConfigError: a path contains no run.
    """
    from finesight.evals.core.settings import SETTINGS_FILE

    found: list[Path] = []
    for path in paths:
        inside = sorted(each.parent for each in path.glob(f"*/{SETTINGS_FILE}"))
        runs = [path] if (path / SETTINGS_FILE).exists() else inside
        if not runs:
            raise ConfigError(f"{path} holds no run", hint="give the --out of `finesight eval run`")
        found += runs
    return found


def _task_of(folder: Path) -> Task:
    from finesight.evals.core import registry
    from finesight.evals.core.settings import read_settings

    return registry.task(str(read_settings(folder)["task"]))


def _checked(task: Task, copy: Path, extractor: str | None) -> dict[str, Any]:
    """A check of one copy, with its unusable rows."""
    from finesight.evals.core import registry
    from finesight.evals.core.self_check import check_task, lost_rows, usable

    items = list(task.prompts[0].items(copy, task.budget))
    broken, whole = lost_rows(items), usable(items)
    if not whole:
        reasons = ", ".join(f"{reason} ({len(rows)})" for reason, rows in broken.items())
        raise EvalError(
            f"{copy} has no row that task {task.name} can use: {reasons or 'no row at all'}"
        )
    found = asdict(check_task(task, whole, extractor=registry.find_extractor(task, extractor)))
    return {
        "task": task.name,
        **found,
        "broken": [each for rows in broken.values() for each in rows],
        "broken_by_reason": {reason: len(rows) for reason, rows in broken.items()},
        "unit": task.unit,
    }


def _refuse_losses(checks: Sequence[Mapping[str, Any]]) -> None:
    """Raise if a copy has unusable rows, or extractor or score failed."""
    bad = [each for each in checks if each["broken"] or each["failures"]]
    if bad:
        counts = "; ".join(
            f"{each['task']}: {len(each['broken'])} of {each['num_items'] + len(each['broken'])} rows cannot be used, "
            f"{len(each['failures'])} failures of rules"
            for each in bad
        )
        raise EvalError(
            counts,
            hint="compare the copy with the files that `finesight eval list NAME` names; --json shows every row",
        )


def _check_line(check: Mapping[str, Any]) -> str:
    """A check as text, with the first of each kind of fault."""
    names = (("right answers", "oracle"), ("answers of others", "shuffled"), ("silence", "empty"))
    scores = ", ".join(f"{name} {check[key] * check['unit']:.2f}" for name, key in names)
    line = f"{check['task']}: {check['num_items']} items: {scores}"
    for name, key in (("broken rows", "broken"), ("failures of rules", "failures")):
        if check[key]:
            line += f"; {len(check[key])} {name}, the first: {check[key][0]}"
    reasons = check["broken_by_reason"].items()
    return "\n".join((line, *(f"  {count} rows: {reason}" for reason, count in reasons)))


def _described(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "title": task.title,
        "source": task.source,
        "layout": task.layout,
        "main": task.main,
        "prompts": [each.name for each in task.prompts],
        "extractors": [{"name": each.name, "version": each.version} for each in task.extractors],
        "budget": asdict(task.budget),
        "sampling": asdict(task.sampling),
        "chance": task.chance,
        "published": dict(task.published),
        "judge": task.judge and {"name": task.judge.name, "version": task.judge.version},
        "notes": list(task.notes),
    }


def _details(task: Task) -> list[str]:
    budget = {name: value for name, value in asdict(task.budget).items() if value is not None}
    limits = ", ".join(f"{name} {value}" for name, value in budget.items())
    published = ", ".join(f"{name} {value:g}" for name, value in task.published.items())
    return [
        f"{task.name}: {task.title}",
        f"source: {task.source}",
        f"files: {task.layout}",
        f"metric: {task.main}",
        *(f"prompt {each.name}: {each.source}" for each in task.prompts),
        *(f"extractor {each.name}, version {each.version}" for each in task.extractors),
        f"judge: {f'{task.judge.name}, version {task.judge.version}' if task.judge else 'none'}",
        f"media: {limits or 'the model decides'}",
        f"answer tokens at most: {task.sampling.max_new_tokens}",
        f"published: {published or 'nothing'}",
        *(f"note: {note}" for note in task.notes),
    ]
