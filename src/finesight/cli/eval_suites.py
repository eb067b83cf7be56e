# SPDX-License-Identifier: Apache-2.0
"""Suites of `finesight eval --suite`: the benchmarks that need no download."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.cli.eval_answerer import Answerer, responder_of
from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.journal import Sample


SUITES = ("card", "offline", "ocr-compare")


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
    who: Answerer, real: Sequence[Path], out: Path | None, *, limit: int | None, as_json: bool
) -> None:
    """Run the suite on real data; a table or one JSON object on standard output, files in `out`."""
    from finesight.evals.suites.offline import run_offline, save_offline

    if not real or out is None:
        given = ", ".join(map(str, real)) or None
        raise ConfigError(
            f"--suite offline needs --real and --out, got {given} and {out}",
            hint="--real names a folder of real data, such as scripts/fetch_real_data.py makes; --out one to write to",
        )
    check_writable(out, is_folder=True)
    responder, space = responder_of(who, workers=1)
    with PartBars() as bars:
        done = run_offline(responder, space, real, out, limit=limit, on_progress=bars)
    content = save_offline(done, out, model=who.model)
    if as_json:
        print_json(content)
        return
    for part in done.missing:
        needs = " and ".join(part.needs)
        sys.stderr.write(f"{part.task}: not run, {needs} is not there: {part.how}\n")
    _print_offline(content["rows"])
    sys.stderr.write(f"wrote {out / 'offline.json'} and {out / 'offline.html'}\n")


def with_scans(real: Sequence[Path]) -> Path | None:
    """The first of the folders that holds the scans, or the first; None if none is given."""
    return next((root for root in real if (root / "ocr_scans").is_dir()), next(iter(real), None))


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
        self.count(part, done)

    def count(self, part: str, done: int) -> None:
        """Say how many items of a part are done."""
        if part not in self._tasks:
            self._tasks[part] = self._bars.add_task(part, total=None)
        self._bars.update(self._tasks[part], completed=done)
