# SPDX-License-Identifier: Apache-2.0
"""`finesight data`: check and import files, scan fonts and icons, build data sets, inspect them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli import data_files
from finesight.cli.command import command
from finesight.cli.data_sample import sample

app = typer.Typer(
    help="Check, import, build and inspect training data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command()(data_files.check)
app.command(name="import")(data_files.import_data)


@app.command()
@command
def sources(
    assets: Annotated[
        Path, typer.Argument(help="Folder filled by scripts/install-training-assets.sh.")
    ] = Path("runs/assets"),
) -> None:
    """Scan all font faces and icons; write their catalogues, split into train and held-out."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    from finesight.data.sources.font_scan import scan_fonts
    from finesight.data.sources.icons import rasterise_icons
    from finesight.data.split import SPLITS

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
    console.print(f"{report.kept} faces kept; left out: {report.dropped}")


@app.command()
@command
def bundle(
    out: Annotated[Path, typer.Argument(help="File to write, such as assets.tar.xz.")],
    assets: Annotated[
        Path, typer.Option(help="Folder filled by scripts/install-training-assets.sh.")
    ] = Path("runs/assets"),
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
) -> None:
    """Pack fonts (subset to the characters in use), icons and word lists for a machine without a network."""
    from rich.console import Console
    from rich.progress import Progress

    from finesight.cli.output import check_writable
    from finesight.data.sources import bundle as packing

    check_writable(out, is_folder=False)

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("cutting fonts", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        kept, dropped = packing.bundle(assets, out, workers=workers, progress=show)
    typer.echo(f"{out}: {out.stat().st_size:,} bytes, {kept} faces, {dropped} left out", err=True)


@app.command()
@command
def unbundle(
    source: Annotated[Path, typer.Argument(help="File written by `finesight data bundle`.")],
    assets: Annotated[Path, typer.Argument(help="Folder to fill.")] = Path("runs/assets"),
) -> None:
    """Unpack a bundle for `finesight data build`."""
    from finesight.cli.output import check_writable
    from finesight.data.sources import bundle as packing

    check_writable(assets, is_folder=True)
    packing.unbundle(source, assets)
    typer.echo(f"{assets} is ready", err=True)


@app.command()
@command
def build(
    recipe: Annotated[Path, typer.Argument(help='TOML recipe with kind = "data".')],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value of the recipe: --set seed=3. Repeatable."),
    ] = None,
) -> None:
    """Build the missing shards of a data set; to resume after a crash, run the command again."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
    from rich.table import Table

    console = Console(stderr=True)
    from finesight.cli.output import check_writable
    from finesight.cli.recipe import read
    from finesight.errors import ConfigError

    try:
        from finesight.data.build import BuildConfig
        from finesight.data.build import build as build_data
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is missing: {error}",
            hint="make setup-data, or pip install 'finesight[data]'",
        ) from error

    config = read(recipe, BuildConfig, override)
    check_writable(out, is_folder=True)
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        task = bar.add_task(out.name, total=None)
        summary = build_data(
            config,
            out,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    table = Table("part", "records", "shards", "MB")
    for name, records, shards, size in summary.rows:
        table.add_row(name, str(records), str(shards), f"{size / 1e6:.1f}")
    console.print(table)
    line = f"{out}: {summary.made} made, {summary.kept} kept, {summary.seconds:.0f} s"
    console.print(line, soft_wrap=True, highlight=False)


@app.command()
@command
def inspect(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    out: Annotated[
        Path | None, typer.Option(help="HTML file.", show_default="FOLDER/inspect.html")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Largest number of samples shown.")] = 60,
    seed: Annotated[int, typer.Option(help="Random seed of the choice of samples.")] = 0,
) -> None:
    """Check the shards and write an HTML page of samples with their boxes and character centres."""
    from finesight import files
    from finesight.cli.output import check_report
    from finesight.data.inspect import sheet

    target = out or folder / "inspect.html"
    check_report(target)
    page, shown = sheet(folder, num_samples=samples, seed=seed)
    files.write_text(target, page, parents=True)
    typer.echo(f"{target}: {shown} samples", err=True)


app.command()(sample)


if __name__ == "__main__":
    app()
