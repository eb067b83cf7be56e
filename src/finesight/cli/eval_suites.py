# SPDX-License-Identifier: Apache-2.0
"""Suites of `finesight eval --suite`: the benchmarks that need no download."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.cli.eval_answerer import Answerer, responder_of
from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.samples import Sample


def local_model(model: str, device: str) -> Answerer:
    """A model of this machine as the one who answers."""
    return Answerer(
        kind="model",
        model=model,
        device=device,
        dtype=None,
        endpoint="",
        endpoint_model=None,
        api_key="",
        replay=Path(),
        space=None,
        cache=None,
    )


def offline(
    who: Answerer, real: Path | None, out: Path | None, *, limit: int | None, as_json: bool
) -> None:
    """Run the suite on real data; a table or one JSON object on standard output, files in `out`."""
    from finesight.evals.offline import run_offline, save_offline

    if real is None or out is None:
        raise ConfigError(
            f"--suite offline needs --real and --out, got {real} and {out}",
            hint="--real names the folder that holds ocr_scans, pubtabnet, mathvision; --out a folder to write to",
        )
    check_writable(out, is_folder=True)
    responder, space = responder_of(who, workers=1)
    with PartBars() as bars:
        done = run_offline(responder, space, real, out, limit=limit, on_progress=bars)
    content = save_offline(done, out, model=who.model)
    if as_json:
        print_json(content)
        return
    for name in done.missing:
        sys.stderr.write(f"{real / name} is not there: its benchmark was not run\n")
    _print_offline(content["rows"])
    sys.stderr.write(f"wrote {out / 'offline.json'} and {out / 'offline.html'}\n")


def _print_offline(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("row", "measure", "value", "95 %, or official", "n", "note")
    for row in rows:
        if "official" in row:
            beside, note = f"{row['official']:g}", "agrees" if row["agrees"] else "DIFFERS"
        else:
            low, high = row["interval"]
            beside = f"{low:.2f} – {high:.2f}"
            note = f"not read {row['not_read']:.0%}, cut short {row['cut_short']:.0%}"
            note += "".join(f", {reason}: {count}" for reason, count in row["failed"].items())
        value = f"{row['value']:.6g}"
        name = f"{row['row']}, {row['answered_by']}" if "official" in row else row["row"]
        table.add_row(name, row["measure"], value, beside, str(row["n"]), note)
    Console().print(table)


class PartBars:
    """Progress of the parts of a suite on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description} {task.completed:.0f}"), TimeElapsedColumn())
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> PartBars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, part: str, done: int, sample: Sample) -> None:
        """Count one item of a part."""
        del sample
        if part not in self._tasks:
            self._tasks[part] = self._bars.add_task(part, total=None)
        self._bars.update(self._tasks[part], completed=done)
