# SPDX-License-Identifier: Apache-2.0
"""`finesight inspect`: check pictures against an inspection, with an exit code for scripts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.located import (
    Done,
    PicturePages,
    Written,
    each_picture,
    json_of,
    shown_files,
    write_drawn,
)
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_writable, print_json
from finesight.cli.pictures import is_many
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.grounding.findings import Inspected
    from finesight.apps.grounding.presets import Inspection
    from finesight.conversation import ImagePart, Part

FAIL, UNSURE = 3, 4
"""Exit codes of verdicts."""

Name = Annotated[
    str,
    typer.Argument(
        metavar="PRESET|FILE",
        help="ppe, surface_defect, label_check, shelf, perimeter, parcel, leftover_object, meter, or a TOML file.",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        help="Picture of how it should look, for inspections that compare.", metavar="FILE"
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a value: checks.people.most=2. Repeatable.", metavar="KEY=VALUE"
    ),
]
Show = Annotated[
    bool, typer.Option("--show", help="Print the inspection as TOML and do nothing else.")
]


@command
def inspect(
    context: typer.Context,
    preset: Name,
    *,
    image: options.Images = None,
    pages: PicturePages = None,
    reference: Reference = None,
    overrides: Set = None,
    show: Show = False,
    model: DraftingModel,
    as_json: options.AsJson = False,
    save_overlay: options.SaveOverlay = None,
    report: options.Report = None,
    sarif: options.Sarif = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
) -> None:
    """Check pictures: pass, fail or unsure, with what was found, where, and how sure.

    Prints one line per check: verdict, severity, check and message. The exit code is 0 if all pictures pass, 3 if one
    fails, 4 if one is unsure and none fails, 1 if a picture could not be opened and none fails.
    """
    from finesight.apps.grounding.presets import read_inspection

    inspection = read_inspection(preset, overrides=overrides or ())
    if show:
        from finesight.config.load import recipe_text

        sys.stdout.write(recipe_text(inspection))
        return
    _check(preset, inspection, image, reference)
    written = Written(save_overlay, report)
    written.check()
    if sarif is not None:
        check_writable(sarif, is_folder=False)
    parts = options.media_of(context, image, pages=pages)
    done = _inspected(parts, inspection, reference, model, min_pixels, max_pixels)
    files = _write(done, written, inspection, sarif)
    named = is_many(image or []) or bool(pages)
    _print(done, files, named=named, model=model.name if as_json else None)
    _exit(done)


def _check(
    preset: str, inspection: Inspection, image: list[str] | None, reference: str | None
) -> None:
    """Raise `ConfigError` if a picture is missing, or the reference would not be looked at."""
    if not image:
        raise ConfigError("there is no picture to inspect", hint="give --image FILE, or a folder")
    if inspection.needs_reference and reference is None:
        raise ConfigError(
            f"{preset} compares with a picture of how it should look", hint="give --reference FILE"
        )
    if reference is not None and not inspection.needs_reference:
        raise ConfigError(
            f"--reference has no effect: no check of {preset} compares",
            hint="leave it out, or set reference = true in a check of kind count or question",
        )


def _inspected(
    parts: Sequence[Part],
    inspection: Inspection,
    reference: str | None,
    model: DraftingModel,
    min_pixels: int | None,
    max_pixels: int | None,
) -> Done:
    """Inspect each picture; the reference is opened before the model."""
    from finesight.api.grounding import pixels_of, responder_of, search_for
    from finesight.apps.grounding.inspect import inspect as inspect_picture
    from finesight.conversation import ImagePart
    from finesight.media.source import source_name

    beside = None if reference is None else pixels_of(ImagePart(source=reference))
    loaded = model.opened(8)
    search = search_for(loaded, min_pixels=min_pixels, max_pixels=max_pixels)
    responder = responder_of(loaded)

    def work(part: ImagePart) -> Inspected:
        return inspect_picture(
            responder,
            pixels_of(part),
            inspection,
            reference=beside,
            search=search,
            source=source_name(part.source),
            page=part.page,
        )

    pictures = [one for one in parts if isinstance(one, ImagePart)]
    return each_picture(pictures, work, lambda one: one.verdict)


def _write(done: Done, written: Written, inspection: Inspection, sarif: Path | None) -> list[str]:
    from finesight.apps.grounding.alerts import write_inspection_sarif
    from finesight.apps.grounding.page import inspected_section

    files = write_drawn(done, written, inspected_section, inspection.title)
    if sarif is not None:
        write_inspection_sarif(sarif, inspection, done.results, done.failed)
        files.append(sarif)
    return shown_files(files)


def _print(done: Done, files: list[str], *, named: bool, model: str | None) -> None:
    """Print the findings, or the JSON if a model's name is given, and the verdicts to standard error."""
    if model is not None:
        print_json(json_of(done, model, files))
    for inspected in done.results:
        start = f"{inspected.source}\t" if named else ""
        if model is None:
            for one in inspected.findings:
                cells = (one.verdict, one.severity, one.check, " ".join(one.message.split()))
                sys.stdout.write(start + "\t".join(cells) + "\n")
        sys.stderr.write(f"{inspected.source}: {inspected.verdict}\n")
    sys.stdout.flush()


def _exit(done: Done) -> None:
    """End with the code of the worst verdict."""
    verdicts = Counter(one.verdict for one in done.results)
    if verdicts["fail"]:
        raise typer.Exit(FAIL)
    done.raise_if_failed()
    if verdicts["unsure"]:
        raise typer.Exit(UNSURE)
