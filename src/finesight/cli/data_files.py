# SPDX-License-Identifier: Apache-2.0
"""`finesight data check` and `finesight data import`: files of training data in the formats of other trainers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.errors import FAILED
from finesight.cli.output import check_report, check_writable, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from finesight.data.check_samples import Shown
    from finesight.data.checking import CheckReport
    from finesight.data.formats.config import ImportConfig

_LISTED = 20
_FORMATS = "qwen, llama-factory, alpaca, swift, trl, openai, captions, coco or yolo"

_File = Annotated[
    Path,
    typer.Argument(
        help="JSON, JSONL, CSV, parquet or webdataset file, or a folder with captions.csv or data.yaml."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """Options that say how a file is read, with the names of `ImportConfig`."""

    format: Annotated[
        str | None,
        typer.Option(help=f"Format: {_FORMATS}.", show_default="recognised from the content"),
    ] = None
    media: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of the media. Repeatable.", show_default="the folder of the file"
        ),
    ] = None
    coordinates: Annotated[
        str | None,
        typer.Option(
            help="What boxes and points in texts count: original, resized (pixels), norm1000, norm1; none leaves texts"
            " as they are.",
            show_default="resized for the format qwen, else original",
        ),
    ] = None
    label_min_pixels: Annotated[
        int | None,
        typer.Option(
            help="With resized: least area of the resized pictures of the labels, in pixels."
        ),
    ] = None
    label_max_pixels: Annotated[
        int | None,
        typer.Option(
            help="With resized: largest area of the resized pictures of the labels, in pixels."
        ),
    ] = None
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch media from http and https addresses.")
    ] = False
    question: Annotated[
        str | None,
        typer.Option(
            help="Question of pictures that have only a caption.",
            show_default="Describe this image.",
        ),
    ] = None

    def config(self, bad_rows: str | None = None) -> ImportConfig:
        """Settings of the options that were given; raises `ConfigError` if one is wrong."""
        from finesight.config.load import validate
        from finesight.data.formats.config import ImportConfig

        values = {**asdict(self), "bad_rows": bad_rows}
        given = {name: value for name, value in values.items() if value not in (None, [])}
        return validate(given, ImportConfig, where="the command line")


@command
def check(
    file: _File,
    model: options.ModelName = options.DEFAULT_MODEL,
    *,
    reading: ImportOptions,
    html: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Largest number of samples shown.")] = 10,
    seed: Annotated[int, typer.Option(help="Random seed of the choice of samples.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Check training data: what is wrong with each row, lengths, and samples as the model gets them.

    Exit code 1 if a row cannot be used.
    """
    config = reading.config()
    if html is not None:
        check_report(html)
    from finesight import files
    from finesight.api.checkpoints import find_checkpoint
    from finesight.api.network import load_processor
    from finesight.data.check_page import check_page
    from finesight.data.checking import as_json as report_json
    from finesight.data.checking import check_file

    processor = load_processor(find_checkpoint(model, needs_weights=False))
    with _rows_bar("checking") as progress:
        report = check_file(
            file, processor, config, num_samples=samples, seed=seed, progress=progress
        )
    if html is not None:
        files.write_text(html, check_page(report), parents=True)
        sys.stderr.write(f"{html}: {len(report.samples)} samples\n")
    if as_json:
        print_json(report_json(report))
    else:
        _print_report(report)
    if report.problems:
        raise typer.Exit(FAILED)


@command
def import_data(
    file: _File,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    *,
    reading: ImportOptions,
    bad_rows: Annotated[
        str, typer.Option(help="Rows that cannot be used: stop, or skip and count them.")
    ] = "stop",
    as_json: options.AsJson = False,
) -> None:
    """Import training data of any known format as shards, which training reads."""
    config = reading.config(bad_rows)
    check_writable(out, is_folder=True)
    from finesight.data.importing import import_file

    with _rows_bar("importing") as progress:
        summary = import_file(file, out, config, progress=progress)
    for note in summary.notes:
        sys.stderr.write(f"{note}\n")
    for problem in summary.problems[:_LISTED]:
        sys.stderr.write(f"left out: {problem}\n")
    if as_json:
        print_json(summary.as_json())
        return
    left = ", ".join(f"{reason} {number:,}" for reason, number in summary.dropped.items())
    sys.stdout.write(f"{out}: {summary.num_records:,} records; left out: {left or 'none'}\n")


@contextmanager
def _rows_bar(what: str) -> Iterator[Callable[[int], None] | None]:
    """A counter of rows on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda number: status.update(f"{what}: row {number:,}")


def _print_report(report: CheckReport) -> None:
    """The report on standard output, in colours on a terminal."""
    from rich.console import Console
    from rich.table import Table

    from finesight.data.check_page import numbered_lengths

    console = Console(highlight=False, soft_wrap=True, markup=False)
    for note in report.notes:
        console.print(note)
    counts = ", ".join(f"{name} {number:,}" for name, number in report.counts.items() if number)
    console.print(
        f"rows that can be used: {report.num_records:,}" + (f" ({counts})" if counts else "")
    )
    for problem in report.problems[:_LISTED]:
        console.print(f"  {problem}", style="red")
        if problem.hint:
            console.print(f"    hint: {problem.hint}")
    if report.problems:
        listed = ", ".join(f"{name} {n:,}" for name, n in report.reasons.most_common())
        console.print(f"rows that cannot be used: {report.num_refused:,} ({listed})")
    if lengths := numbered_lengths(report):
        table = Table("", "least", "median", "90 %", "largest", "sum", box=None)
        for name, numbers in lengths:
            table.add_row(name, *numbers)
        console.print(table)
    for sample in report.samples:
        _print_sample(console, sample)


_STYLES = {"control": "magenta", "media": "cyan", "context": ""}


def _print_sample(console: Console, sample: Shown) -> None:
    from rich.text import Text

    console.rule(sample.place, align="left")
    for item in sample.media:
        width, height = item.image.size
        console.print(
            f"{item.original.width} x {item.original.height} resized to {width} x {height}, "
            f"{item.num_tokens:,} visual tokens, {len(item.places)} boxes and points",
            style="dim",
        )
    for title, runs in (("", sample.runs), ("the worse answer:", sample.rejected)):
        text = Text()
        for is_target, of_kind in groupby(runs, key=lambda run: run.is_target):
            # Without colours, brackets tell what is learned.
            opening, closing = ("[learn]", "[/learn]") if is_target else ("", "")
            text.append("" if console.is_terminal else opening)
            for run in of_kind:
                text.append(run.text, style="green" if is_target else _STYLES[run.kind])
            text.append("" if console.is_terminal else closing)
        if runs:
            console.print(*filter(None, (title, text)))
