# SPDX-License-Identifier: Apache-2.0
"""`finesight data`: scan sources, build data sets, look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build and look at training data.", no_args_is_help=True)


@app.command()
def sources(
    assets: Annotated[Path, typer.Argument(help="Folder of install-training-assets.sh.")] = Path(
        "runs/assets"
    ),
) -> None:
    """Scan the installed fonts and drawings into catalogues, split into train and held-out."""
    from rich.console import Console
    from rich.table import Table

    from finesight.data.sources.font_scan import scan_fonts
    from finesight.data.sources.fonts import SPLITS
    from finesight.data.sources.icons import rasterise_icons

    console = Console(stderr=True)
    with console.status("opening every font face"):
        catalogue, report = scan_fonts(assets)
    catalogue.save(assets / "fonts.json")
    with console.status("drawing every icon"):
        icons = rasterise_icons(assets)
    icons.save(assets)
    table = Table("script", "train faces", "held-out faces")
    for script, (train, heldout) in catalogue.counts().items():
        table.add_row(script, str(train), str(heldout))
    console.print(table)
    for split in SPLITS:
        number = sum(drawing.split == split for drawing in icons.drawings)
        console.print(f"{split}: {number} drawings of {len(icons.names(split))} things")
    console.print(f"{report.kept} faces kept; dropped: {report.dropped}")


@app.command()
def build(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe of kind data.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Build every missing shard of a data set; run it again after a crash."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Table

    from finesight.data.build import build as build_data
    from finesight.data.build import read_recipe

    config = read_recipe(recipe)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(out.name, total=None)
        summary = build_data(
            config,
            out,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    table = Table(
        "part", "records", "shards", "MB", title=f"{out}: {summary.made} made, {summary.kept} kept"
    )
    for name, records, shards, size in summary.rows:
        table.add_row(name, str(records), str(shards), f"{size / 1e6:.1f}")
    console.print(table)
