# SPDX-License-Identifier: Apache-2.0
"""The offline suite of `finesight eval`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finesight.cli.eval_answerer import LocalModel
from finesight.cli.eval_benchmark import Bars, print_table
from finesight.cli.output import check_writable, print_json
from finesight.errors import ConfigError

SUITES = ("card", "offline", "ocr-compare")


def offline(
    who: LocalModel, real: Sequence[Path], out: Path | None, *, limit: int | None, as_json: bool
) -> None:
    """Run the suite on real data; print a table or one JSON object, write files to `out`."""
    from finesight.evals.suites.offline import run_offline, save_offline

    if not real or out is None:
        given = ", ".join(map(str, real)) or None
        raise ConfigError(
            f"--suite offline needs --real and --out, got {given} and {out}",
            hint="--real names a folder of real data, such as scripts/fetch_real_data.py makes; --out one to write to",
        )
    check_writable(out, is_folder=True)
    with Bars() as bars:
        done = run_offline(who.responder(), who.space, real, out, limit=limit, on_progress=bars)
    content = save_offline(done, out, model=who.choice.name)
    if as_json:
        print_json(content)
        return
    for part in done.missing:
        needs = " and ".join(part.needs)
        sys.stderr.write(f"{part.task}: not run, {needs} is not there: {part.how}\n")
    _print_offline(content["rows"])
    sys.stderr.write(f"wrote {out / 'offline.json'} and {out / 'offline.html'}\n")


def with_scans(real: Sequence[Path]) -> Path | None:
    """The first folder with `ocr_scans`, else the first folder; None without folders."""
    return next((root for root in real if (root / "ocr_scans").is_dir()), next(iter(real), None))


def _print_offline(rows: list[dict[str, Any]]) -> None:
    cells = []
    for row in rows:
        name = row["row"]
        if "official" in row:
            name += f", {row['answered_by']}"
            beside, note = f"{row['official']:g}", "agrees" if row["agrees"] else "DIFFERS"
        else:
            beside = " – ".join(f"{end:.2f}" for end in row["interval"])
            note = f"not read {row['not_read']:.0%}, cut short {row['cut_short']:.0%}"
            note += "".join(f", {reason}: {count}" for reason, count in row["failed"].items())
        cells.append((name, row["measure"], f"{row['value']:.6g}", beside, str(row["n"]), note))
    print_table(("row", "measure", "value", "95 %, or official", "n", "note"), cells)
