# SPDX-License-Identifier: Apache-2.0
"""All benchmarks on real data that need no download, one after another, and stored outputs scored again.

What a folder of real data lacks is named, not skipped in silence. A benchmark that could not be answered at all stays
in the table with its reasons: the suite is there to be read whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.results import Result, write_whole
from finesight.evals.core.run import run
from finesight.evals.core.task import Item, Space
from finesight.evals.report.report import Row, Table, needed_items, write_report
from finesight.evals.suites.goldens import Golden, replay
from finesight.evals.suites.parts import PARTS, Part, present

OnPart = Callable[[str, int], None]
"""Told the benchmark and the number of its items done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """What the suite gave.

    Attributes:
        results: of the benchmarks that were run, in order.
        goldens: stored outputs scored again.
        missing: benchmarks whose folders are not there.
        copies: local copy by benchmark.
    """

    results: tuple[Result, ...]
    goldens: tuple[Golden, ...]
    missing: tuple[Part, ...]
    copies: Mapping[str, Path]

    def table(self) -> list[dict[str, Any]]:
        """One row per benchmark and per set of stored outputs, in plain JSON values."""
        rows: list[dict[str, Any]] = []
        for result in self.results:
            low, high = (end * result.unit for end in result.interval)
            rows.append(
                {
                    "row": result.task,
                    "answered_by": result.responder,
                    "measure": result.main,
                    "value": round(result.value * result.unit, 4),
                    "interval": [round(low, 4), round(high, 4)],
                    "n": result.n,
                    "not_read": round(result.parse_fail_rate, 4),
                    "cut_short": round(result.truncated_rate, 4),
                    "failed": dict(result.errors),
                }
            )
        rows += [
            {
                "row": f"replay: {each.benchmark}",
                "answered_by": each.system,
                "measure": "total",
                "value": round(each.ours, 4),
                "official": each.official,
                "agrees": each.agrees,
                "n": each.n,
            }
            for each in self.goldens
        ]
        return rows


def run_offline(
    responder: ItemResponder,
    space: Space,
    real: Sequence[Path],
    out: Path,
    *,
    limit: int | None = None,
    on_progress: OnPart | None = None,
) -> Offline:
    """Run everything that the folders of real data hold; run again to go on after a crash.

    Args:
        responder: who answers.
        space: what numbers in its answers mean.
        real: folders of real data, each with a folder per source; the first that has a source counts.
        out: answers go to a folder per benchmark here.
        limit: items per benchmark at most.
        on_progress: told of every item.

    Raises:
        EvalError: there is nothing that could be run, or a copy is broken.
    """
    there, missing = present(PARTS, real)
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
        done = run(
            task,
            prompt,
            prompt.items(copy, task.budget),
            responder,
            folder=out / part.task,
            space=space,
            limit=limit,
            on_progress=on_progress and partial(on_progress, part.task),
        )
        if done.result is not None:
            results.append(done.result)
    return Offline(
        results=tuple(results),
        goldens=tuple(golden for root in real for golden in replay(root)),
        missing=tuple(missing),
        copies={part.task: copy for part, copy in there},
    )


def save_offline(done: Offline, out: Path, *, model: str) -> dict[str, Any]:
    """Write `offline.json` and the page `offline.html` beside the answers.

    Args:
        done: the suite.
        out: folder it was run in.
        model: who answered, for the title.

    Returns:
        What `offline.json` holds.

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
    folders = [out / result.task for result in done.results]
    more = [goldens_table(done.goldens)] if done.goldens else []
    write_report(
        out / "offline.html",
        folders,
        items=_shown_items(done, out),
        title=f"Offline suite: {model}",
        more=more,
    )
    write_whole(out / "offline.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return content


def goldens_table(goldens: Sequence[Golden]) -> Table:
    """Stored outputs of other systems: our totals beside the published ones."""
    rows = tuple(
        Row(
            (
                each.benchmark,
                each.system,
                f"{each.ours:.6g}",
                f"{each.official:.6g}",
                "yes" if each.agrees else "NO",
                f"{each.n:,}",
            )
        )
        for each in goldens
    )
    header = ("benchmark", "stored outputs of", "ours", "official", "agree", "n")
    return Table("Stored outputs scored again", header, rows)


def _shown_items(done: Offline, out: Path) -> dict[tuple[str, str], Item]:
    """Items that the page shows, by benchmark and id: some pictures are cut or drawn only when they are asked."""
    items: dict[tuple[str, str], Item] = {}
    for result in done.results:
        task = registry.task(result.task)
        prompt = registry.find_prompt(task, result.prompt)
        wanted = needed_items(out / task.name)
        for item in islice(prompt.items(done.copies[task.name], task.budget), result.n):
            if item.id in wanted:
                items[task.name, item.id] = item
    return items
