# SPDX-License-Identifier: Apache-2.0
"""Search pictures with checks for `finesight locate`, and write what was found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from finesight.cli.output import check_report, check_writable, print_json
from finesight.cli.progress import ItemProgress
from finesight.errors import AppError, ConfigError, FinesightError

if TYPE_CHECKING:
    from finesight.apps.grounding.export import Format
    from finesight.apps.grounding.findings import Inspected
    from finesight.apps.grounding.records import Located, Thing
    from finesight.conversation import ImagePart
    from finesight.present.page import Section

PicturePages = Annotated[
    list[str] | None,
    typer.Option(
        help="Pages of a picture file that holds several, from 1: 1-3,7 or 5-.", metavar="PAGES"
    ),
]
"""Pages of commands that take pictures and no PDFs."""

ResultT = TypeVar("ResultT", "Located", "Inspected")


@dataclass(frozen=True, slots=True)
class Written:
    """Where results are written besides standard output.

    Attributes:
        overlay_folder: folder for copies of the pictures with the things drawn in.
        report_file: HTML file to write.
        folder: of the exported files.
        formats: of them.
    """

    overlay_folder: Path | None = None
    report_file: Path | None = None
    folder: Path | None = None
    formats: Sequence[Format] = ()

    def check(self) -> None:
        """Raise `ConfigError` if a result cannot be written."""
        if self.formats and self.folder is None:
            raise ConfigError("--export needs --out DIR, the folder of its files")
        if self.folder is not None and not self.formats:
            raise ConfigError(
                "--out has no effect without --export", hint="give --export FORMAT, or leave it out"
            )
        for folder in (self.overlay_folder, self.folder):
            if folder is not None:
                check_writable(folder, is_folder=True)
        if self.report_file is not None:
            check_report(self.report_file)


@dataclass(frozen=True, slots=True)
class Done:
    """What was found in some pictures, and the pictures that could not be opened.

    Attributes:
        parts: the pictures of `results`.
        results: one for each of them.
        failed: names of the others, with the reason.
    """

    parts: list[ImagePart]
    results: list[Any]
    failed: list[tuple[str, str]]

    def raise_if_failed(self, unread: Sequence[str] = ()) -> None:
        """Raise `AppError` if a picture could not be opened, or was not read to its end."""
        bad = [name for name, _ in self.failed] + list(unread)
        if bad:
            total = len(self.results) + len(self.failed)
            raise AppError(
                f"{len(bad)} of {total} pictures were not read to their end: {', '.join(bad[:5])}",
                hint="what was found is written; the reasons are above and in the JSON",
            )


def each_picture(
    parts: Sequence[ImagePart],
    work: Callable[[ImagePart], ResultT],
    words: Callable[[ResultT], str],
) -> Done:
    """Search each picture, after its notes; one that cannot be opened is noted and does not stop the others.

    Args:
        parts: the pictures.
        work: on one of them.
        words: what is shown beside the progress.
    """
    from finesight.media.image import picture_notes
    from finesight.media.source import source_name

    done = Done([], [], [])
    with ItemProgress() as progress:
        for number, part in enumerate(parts, 1):
            name = source_name(part.source)
            try:
                for note in picture_notes(part.source, page=part.page):
                    sys.stderr.write(f"note: {name}: {note}\n")
                result = work(part)
            except ConfigError:
                raise
            except FinesightError as error:
                done.failed.append((name, error.message))
                sys.stderr.write(f"{name}: {error.message}\n")
                continue
            done.parts.append(part)
            done.results.append(result)
            progress(number, len(parts), f"{name}: {words(result)}")
    return done


def print_located(done: Done, *, counts: bool, is_many: bool) -> None:
    """Print a line for each thing, or for each phrase, and notes to standard error.

    Args:
        done: the pictures.
        counts: print number, status and phrase instead of the places.
        is_many: lines begin with the picture's name.
    """
    for located in done.results:
        start = f"{_name(located)}\t" if is_many else ""
        for one in located.sought:
            phrase = " ".join(one.phrase.split())
            if counts:
                sys.stdout.write(f"{start}{one.count}\t{one.status}\t{phrase}\n")
            else:
                sys.stdout.write("".join(f"{start}{_line(thing)}\n" for thing in one.things))
            where = f"{_name(located)}: " if is_many else ""
            asked = "" if one.asked is None else f", asked {one.asked} beside {one.compared}"
            rejected = f", {len(one.rejected)} rejected" if one.rejected else ""
            sys.stderr.write(
                f"{where}{phrase}: {one.status}, {one.count} ({one.sure()} sure{asked}{rejected})\n"
            )
            sys.stderr.write("".join(f"{where}{problem}\n" for problem in one.problems))
        _note_coverage(located)
    sys.stdout.flush()


def _note_coverage(located: Located) -> None:
    """Print that a picture was divided or shrunk, and what was not read."""
    coverage = located.coverage
    if coverage.total > 1:
        tile, scale = coverage.details["tile"], float(coverage.details["scale"])
        sys.stderr.write(
            f"note: {located.source}: {coverage.total - 1} tiles of {tile} pixels, and the whole picture once; "
            f"tiles are shown at a scale of {scale:g}\n"
        )
    for one in coverage.skipped:
        sys.stderr.write(f"{located.source}: {one.what}: {one.reason}\n")


def write_located(done: Done, written: Written) -> list[str]:
    """Write overlays, report and exports of located things; returns the paths."""
    from finesight.apps.grounding import export
    from finesight.apps.grounding.page import located_section

    files = write_drawn(done, written, located_section, "What was found")
    if written.formats and written.folder is not None:
        files += export.write(done.results, written.folder, written.formats)
        sys.stderr.write(_pictures_note(written))
    return shown_files(files)


def _pictures_note(written: Written) -> str:
    """A line about where exported data sets look for the pictures; empty without one."""
    places = ""
    if "yolo" in written.formats:
        places += f"; YOLO expects them in {written.folder}/images"
    if "coco" in written.formats:
        places += "; coco.json names them as --image did (finesight data import: --media FOLDER)"
    return f"note: pictures are not copied{places}\n" if places else ""


def shown_files(files: Sequence[Path]) -> list[str]:
    """The paths as text; they are printed to standard error."""
    for path in files:
        sys.stderr.write(f"wrote {path}\n")
    return [str(path) for path in files]


def write_drawn(
    done: Done, written: Written, section: Callable[..., Section], title: str
) -> list[Path]:
    """Write the overlays and the report.

    Args:
        done: the pictures.
        written: where.
        section: makes the section of a result and its picture.
        title: of the report.
    """
    from finesight.apps.grounding.export import stems
    from finesight.apps.grounding.page import overlay
    from finesight.media.image import load_image
    from finesight.present.overlay import save_png
    from finesight.present.page import Page, write_page

    files: list[Path] = []
    if written.overlay_folder is not None:
        written.overlay_folder.mkdir(parents=True, exist_ok=True)
        for part, result, stem in zip(done.parts, done.results, stems(done.results), strict=True):
            path = written.overlay_folder / f"{stem}.answer.png"
            save_png(overlay(load_image(part.source, page=part.page), result.things), path)
            files.append(path)
    if written.report_file is not None:

        def sections() -> Iterator[Section]:
            for part, result in zip(done.parts, done.results, strict=True):
                yield section(result, load_image(part.source, page=part.page))

        footer = "Coordinates are pixels of the original pictures."
        write_page(
            written.report_file, Page(title=title, sections=sections(), footer=footer), parents=True
        )
        files.append(written.report_file)
    return files


def json_of(done: Done, model: str, files: Sequence[str]) -> dict[str, Any]:
    """Results and failures as JSON."""
    return {
        "pictures": [result.to_dict() for result in done.results],
        "failed": [{"source": name, "reason": reason} for name, reason in done.failed],
        "model": model,
        "files": list(files),
    }


def show_located(
    done: Done, written: Written, *, counts: bool, is_many: bool, model: str | None
) -> None:
    """Print and write what was found; raise if a picture was not read to its end.

    Args:
        done: the pictures.
        written: where files go.
        counts: print numbers instead of places.
        is_many: lines begin with the picture's name.
        model: name of the model, if the JSON is to be printed.
    """
    files: list[str] = []
    try:
        files = write_located(done, written)
    finally:  # the results are printed even if a file cannot be written
        if model is not None:
            print_json(json_of(done, model, files))
        else:
            print_located(done, counts=counts, is_many=is_many)
    done.raise_if_failed([_name(one) for one in done.results if not one.coverage.is_full])


def _name(result: Located | Inspected) -> str:
    page = "" if result.page is None else f" page {result.page + 1}"
    return " ".join(f"{result.source}{page}".split())


def _line(thing: Thing) -> str:
    from finesight.apps.grounding.page import score_text
    from finesight.apps.grounding.records import corners

    numbers = corners(thing) if thing.evidence.box else corners(thing)[:2]
    score = score_text(thing.score) or "-"
    return "\t".join((*(f"{value:.0f}" for value in numbers), " ".join(thing.label.split()), score))
