# SPDX-License-Identifier: Apache-2.0
"""`finesight eval --suite ocr-compare`: compare how well systems read text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight import files
from finesight.cli.eval_answerer import LocalModel, RemoteModel
from finesight.cli.eval_benchmark import Bars, print_table
from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.present.page import Table


def ocr_compare(
    compared: Mapping[str, LocalModel | RemoteModel],
    data: Sequence[Path],
    real: Path | None,
    out: Path | None,
    *,
    limit: int | None,
    as_json: bool,
) -> None:
    """Make the data set, run every system on it and compare; print tables or one JSON object, write files to `out`.

    Args:
        compared: systems by the names of their folders.
        data: folders of held-out text.
        real: folder of real data, for its scans.
        out: folder of the runs and of the result.
        limit: pictures per language and of each other row.
        as_json: print one JSON object.
    """
    from finesight.api.checkpoints import find_checkpoint
    from finesight.cli.heldout import read_texts
    from finesight.evals.suites.ocr_set import write_set

    if out is None or not (data or real):
        raise ConfigError(
            f"--suite ocr-compare needs --out and --data or --real, got {out}, {len(data)} folders, {real}",
            hint="--data names held-out text, --real the folder that holds ocr_scans",
        )
    if len(compared) < 2:
        raise ConfigError(
            f"ocr-compare needs two systems, got {', '.join(compared) or 'none'}",
            hint="give two of --a MODEL, --b MODEL and --endpoint URL",
        )
    check_writable(out, is_folder=True)
    for who in compared.values():  # errors of later systems are reported before the first runs
        if isinstance(who, LocalModel):
            find_checkpoint(who.choice.name)
        else:
            who.responder()
    write_set(out / "set", read_texts(data), real, limit=limit)
    names = {}
    for folder, who in compared.items():
        names[folder] = _ask_all(who, out, folder)
    content, tables = _summarise(out, names)
    if as_json:
        print_json(content)
    else:
        for table in tables:
            print_table(table.header, [row.cells for row in table.rows], table.title)
        sys.stderr.write(f"wrote {out / 'ocr_compare.json'} and {out / 'ocr_compare.html'}\n")


def _ask_all(who: LocalModel | RemoteModel, out: Path, folder: str) -> str:
    """Run one system on the data set and return its name; stored answers are kept."""
    from finesight.evals.core import registry
    from finesight.evals.core.run import run

    task, responder = registry.task("ocr_compare"), who.responder()
    with Bars() as bars:
        run(
            task,
            task.prompts[0],
            task.prompts[0].items(out / "set", task.budget),
            responder,
            folder=out / folder,
            space=who.space,
            on_progress=partial(bars, folder),
        )
    return responder.name


def _summarise(out: Path, names: Mapping[str, str]) -> tuple[dict[str, Any], list[Table]]:
    """Compare the runs in a folder, named by system; write `ocr_compare.json` and `ocr_compare.html`."""
    from finesight.evals.report.report import write_report
    from finesight.evals.suites.ocr_compare import compare_rows, failings, tables

    runs = {name: out / name for name in names}
    rows, failed = compare_rows(runs), failings(runs)
    content = {
        "suite": "ocr-compare",
        "systems": dict(names),
        "rows": [each.values() for each in rows],
        "failures": failed,
    }
    shown = tables(rows, failed)
    files.write_json(out / "ocr_compare.json", content)
    write_report(
        out / "ocr_compare.html", list(runs.values()), title="Reading compared", more=shown
    )
    return content, shown
