# SPDX-License-Identifier: Apache-2.0
"""The offline suite: all benchmarks on local real data, and stored outputs of other systems scored again.

Benchmarks without data are listed. A benchmark without any answer stays in the table with its reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from finesight import files
from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.results import Result
from finesight.evals.core.run import chosen_items, run
from finesight.evals.core.settings import read_settings
from finesight.evals.core.task import Budget, Item, Space
from finesight.evals.report.report import MOST_FAILURES, needed_items, write_report
from finesight.evals.suites.goldens import Golden, replay
from finesight.evals.suites.real_tasks import REAL_TASKS, RealTask, present
from finesight.present.page import Table, TableRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """Outcome of the suite.

    Attributes:
        results: of the benchmarks, in order.
        goldens: stored outputs scored again.
        missing: benchmarks without data.
        copies: local copy by benchmark.
    """

    results: tuple[Result, ...]
    goldens: tuple[Golden, ...]
    missing: tuple[RealTask, ...]
    copies: Mapping[str, Path]

    def table(self) -> list[dict[str, Any]]:
        """One row per benchmark and per set of stored outputs, as plain JSON values."""
        return [*map(_result_row, self.results), *map(_golden_row, self.goldens)]


def run_offline(
    responder: ItemResponder,
    space: Space,
    real: Sequence[Path],
    out: Path,
    *,
    limit: int | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Offline:
    """Run all benchmarks with data; after a crash, call it again.

    Args:
        responder: source of answers.
        space: unit of coordinates in answers.
        real: folders of real data, each with a folder per source; the first that has a source is used.
        out: gets one folder per benchmark.
        limit: maximum number of items per benchmark.
        on_progress: called with the benchmark, the number of its items done and that of all.

    Raises:
        EvalError: no benchmark has data, or a copy is broken.
    """
    there, missing = present(REAL_TASKS, real)
    if not there:
        names = sorted({name for part in missing for name in part.needs})
        raise EvalError(
            f"{', '.join(map(str, real))} holds none of the folders {', '.join(names)}",
            hint="give the folder that holds them; scripts/fetch_real_data.py makes one",
        )
    results = []
    for part, copy in there:
        task = registry.task(part.task)
        prompt = registry.find_prompt(task, part.prompt)
        items = partial(prompt.items, copy, task.budget)
        total = sum(1 for _ in chosen_items(items(), limit))
        done = run(
            task,
            prompt,
            items(),
            responder,
            folder=out / part.task,
            space=space,
            limit=limit,
            on_progress=on_progress and partial(_tell, on_progress, part.task, total),
        )
        assert done.result is not None  # only a shard has none
        results.append(done.result)
    return Offline(
        results=tuple(results),
        goldens=tuple(golden for root in real for golden in replay(root)),
        missing=tuple(missing),
        copies={part.task: copy for part, copy in there},
    )


def _tell(report: Callable[[str, int, int], None], name: str, total: int, done: int) -> None:
    report(name, done, total)


def save_offline(done: Offline, out: Path, *, model: str) -> dict[str, Any]:
    """Write `offline.json` and `offline.html` beside the answers.

    Args:
        done: outcome of the suite.
        out: its folder.
        model: name for the title.

    Returns:
        The content of `offline.json`.

    Raises:
        EvalError: the page cannot be written.
    """
    content = {
        "suite": "offline",
        "model": model,
        "rows": done.table(),
        "missing": {
            part.task: {"needs": list(part.needs), "how": part.how} for part in done.missing
        },
        "goldens": [asdict(each) for each in done.goldens],
    }
    write_report(
        out / "offline.html",
        [out / result.task for result in done.results],
        items=shown_items({out / name: copy for name, copy in done.copies.items()}),
        title=f"Offline suite: {model}",
        more=[goldens_table(done.goldens)] if done.goldens else [],
    )
    files.write_json(out / "offline.json", content, error=EvalError)
    return content


def goldens_table(goldens: Sequence[Golden]) -> Table:
    """Table of stored outputs: our totals and the published ones."""
    rows = []
    for each in goldens:
        totals = (f"{each.ours:.6g}", f"{each.official:.6g}", "yes" if each.agrees else "NO")
        rows.append(TableRow((each.benchmark, each.system, *totals, f"{each.n:,}")))
    header = ("benchmark", "stored outputs of", "ours", "official", "agree", "n")
    return Table("Stored outputs scored again", header, tuple(rows), ("ours", "official", "n"))


def _result_row(result: Result) -> dict[str, Any]:
    low, high = (round(end * result.unit, 4) for end in result.interval)
    return {
        "row": result.task,
        "answered_by": result.responder,
        "measure": result.main,
        "value": round(result.value * result.unit, 4),
        "interval": [low, high],
        "n": result.n,
        "not_read": round(result.parse_fail_rate, 4),
        "cut_short": round(result.truncated_rate, 4),
        "failed": dict(result.errors),
    }


def _golden_row(golden: Golden) -> dict[str, Any]:
    return {
        "row": f"replay: {golden.benchmark}",
        "answered_by": golden.system,
        "measure": "total",
        "value": round(golden.ours, 4),
        "official": golden.official,
        "agrees": golden.agrees,
        "n": golden.n,
    }


def shown_items(
    copies: Mapping[Path, Path], *, most_failures: int = MOST_FAILURES
) -> dict[tuple[str, str], Item]:
    """Items that a report shows, by benchmark and id, for pictures that are not separate files.

    Args:
        copies: local copy by folder of a run.
        most_failures: wrong answers shown per run.
    """
    items: dict[tuple[str, str], Item] = {}
    for folder, copy in copies.items():
        settings = read_settings(folder)
        task = registry.task(str(settings["task"]))
        prompt = registry.find_prompt(task, str(settings["prompt"]))
        budget = Budget(**settings["budget"])  # a video is sampled as it was for the model
        wanted = needed_items(folder, most_failures=most_failures)
        for item in prompt.items(copy, budget):
            if item.id in wanted:
                items[task.name, item.id] = item
                wanted.remove(item.id)
            if not wanted:
                break
    return items
