# SPDX-License-Identifier: Apache-2.0
"""`finesight eval --suite ocr-compare`: which of two or more systems reads better, and where."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight import files
from finesight.cli.eval_answerer import Answerer, responder_of
from finesight.cli.eval_suites import PartBars, local_model
from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.responders import ItemResponder
    from finesight.evals.core.task import Space
    from finesight.present.page import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """Who is compared, as the command line says it.

    Attributes:
        a: model here; None leaves it out.
        b: another model here; None leaves it out.
        endpoint: base address of an API; None leaves it out.
        endpoint_model: what the endpoint calls its model.
        api_key: of the endpoint.
        device: of the models here.
    """

    a: str | None
    b: str | None
    endpoint: str | None
    endpoint_model: str | None
    api_key: str
    device: str

    def answerers(self) -> dict[str, Answerer]:
        """Those who answer, by the names of their folders.

        Raises:
            ConfigError: there are fewer than two.
        """
        models = {"a": self.a, "b": self.b}
        found = {name: local_model(model, self.device) for name, model in models.items() if model}
        if self.endpoint:
            found["endpoint"] = replace(
                local_model("", self.device),
                kind="endpoint",
                endpoint=self.endpoint,
                endpoint_model=self.endpoint_model,
                api_key=self.api_key,
                space="original",  # nothing here asks for coordinates
            )
        if len(found) < 2:
            raise ConfigError(
                f"ocr-compare needs two systems, got {', '.join(found) or 'none'}",
                hint="give two of --a MODEL, --b MODEL and --endpoint URL",
            )
        return found


def ocr_compare(
    systems: Systems,
    data: Sequence[Path],
    real: Path | None,
    out: Path | None,
    *,
    limit: int | None,
    as_json: bool,
) -> None:
    """Make the set, have every system read it, compare; tables or one JSON object, files in `out`."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.cli.heldout import read_texts
    from finesight.evals.suites.ocr_set import write_set

    if out is None or not (data or real):
        raise ConfigError(
            f"--suite ocr-compare needs --out and --data or --real, got {out}, {len(data)} folders, {real}",
            hint="--data names held-out text, --real the folder that holds ocr_scans",
        )
    answerers = systems.answerers()
    check_writable(out, is_folder=True)
    for who in answerers.values():  # the second is asked hours after the first
        if who.kind == "model":
            find_checkpoint(who.model)
        else:
            responder_of(who, workers=1)
    write_set(out / "set", read_texts(data), real, limit=limit)
    names = {}
    for folder, who in answerers.items():
        responder, space = responder_of(who, workers=1)
        names[folder] = responder.name
        ask_all(responder, space, out, folder)
        del responder  # one model in memory at a time
    content, tables = summarise(out, names)
    if as_json:
        print_json(content)
    else:
        for table in tables:
            _print(table)
        sys.stderr.write(f"wrote {out / 'ocr_compare.json'} and {out / 'ocr_compare.html'}\n")


def ask_all(responder: ItemResponder, space: Space, out: Path, folder: str) -> None:
    """Have one system read the whole set; answers that are there already are kept."""
    from finesight.evals.core import registry
    from finesight.evals.core.run import run

    task = registry.task("ocr_compare")
    with PartBars() as bars:
        run(
            task,
            task.prompts[0],
            task.prompts[0].items(out / "set", task.budget),
            responder,
            folder=out / folder,
            space=space,
            on_progress=lambda done, sample: bars(folder, done, sample),
        )


def summarise(out: Path, names: Mapping[str, str]) -> tuple[dict[str, Any], list[Table]]:
    """Compare the finished runs in a folder; writes `ocr_compare.json` and `ocr_compare.html`.

    Args:
        out: folder of the runs.
        names: folder of each run below it -> who answered.
    """
    from finesight.evals.report.report import write_report
    from finesight.evals.suites.ocr_compare import compare_rows, failings, tables

    runs = {name: out / name for name in names}
    rows, failed = compare_rows(runs), failings(runs)
    content = {
        "suite": "ocr-compare",
        "systems": dict(names),
        "rows": [{**asdict(each), "says": each.says} for each in rows],
        "failures": [asdict(each) for each in failed],
    }
    shown = tables(rows, failed)
    files.write_json(out / "ocr_compare.json", content)
    write_report(
        out / "ocr_compare.html", list(runs.values()), title="Reading compared", more=shown
    )
    return content, shown


def _print(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as Printed

    printed = Printed(*table.header, title=table.title)
    for row in table.rows:
        printed.add_row(*row.cells)
    Console().print(printed)
