# SPDX-License-Identifier: Apache-2.0
"""`finesight eval screens`: record web pages of public packages as screenshots with boxes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli import eval_options
from finesight.cli.command import command
from finesight.cli.output import check_writable


@command
def screens(
    *,
    real: Annotated[list[Path], eval_options.REAL],
    out: Annotated[
        Path, typer.Option(help="web_pages and miniwob_screens go here.", metavar="DIR")
    ],
) -> None:
    """Record web pages once, so that benchmarks on them need no browser. Needs Chromium.

    Each of the two sets is written atomically; an interrupted set is recorded again from the start.
    """
    from finesight.evals.screens import miniwob, web_pages
    from finesight.evals.screens.record import write_set

    miniwob.find_pages(real)
    web_pages.find_sites(real)
    check_writable(out, is_folder=True)
    for name, draw in (
        ("miniwob_screens", miniwob.screens),
        ("web_pages", web_pages.screens),
    ):
        count = write_set(draw(real), out / name)
        sys.stderr.write(f"wrote {count} elements to {out / name}\n")
