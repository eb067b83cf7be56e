# SPDX-License-Identifier: Apache-2.0
"""`finesight describe-screen`: the controls and texts of a screenshot in words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_report, print_json
from finesight.cli.progress import ItemProgress
from finesight.errors import AppError, ConfigError, UnsupportedMedia

if TYPE_CHECKING:
    from PIL import Image

    from finesight.apps.accessibility.compare import Change
    from finesight.apps.accessibility.describe import DescribeOptions
    from finesight.apps.accessibility.records import ScreenDescription, SeenElement


class Order(StrEnum):
    """Reading order."""

    MODEL = "model"
    PLACE = "place"


Files = Annotated[
    list[Path],
    typer.Argument(help="Screenshots; of several, each is compared with the one before it."),
]
Since = Annotated[
    Path | None,
    typer.Option(
        help="Earlier description (--json) that the first screenshot is compared with.",
        metavar="FILE",
    ),
]
Find = Annotated[
    str | None,
    typer.Option(help='Say where this is, such as "submit button".', metavar="PHRASE"),
]
OrderOption = Annotated[
    Order,
    typer.Option(help="Reading order: the model's, or by place, line by line."),
]
Suggest = Annotated[
    bool,
    typer.Option("--suggest/--no-suggest", help="Suggest names for controls without a text."),
]
Report = Annotated[
    Path | None,
    typer.Option(help="HTML page with all elements drawn and numbered.", metavar="FILE"),
]


@command
def describe_screen(
    files: Files,
    *,
    since: Since = None,
    find: Find = None,
    order: OrderOption = Order.MODEL,
    suggest: Suggest = True,
    report: Report = None,
    model: DraftingModel,
    as_json: options.AsJson = False,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = 4096,
) -> None:
    """Describe screenshots in words, for a screen reader or as a check of names.

    Prints one line for each element in reading order, ready to be spoken, then what changed. A name is the text on a
    control; a control without one is called unlabeled, with a suggested name. The exit code is 1 if a part of a
    screenshot was not read to its end, or --find finds nothing; what was read is printed.
    """
    if report is not None:
        check_report(report)
    if find is not None and not find.strip():
        raise ConfigError("--find is empty", hint='say what is looked for: "submit button"')
    from finesight.apps.accessibility.describe import DescribeOptions

    before = None if since is None else _earlier(since)
    pictures = _opened(files)
    settings = DescribeOptions(
        order=order.value,
        suggests=suggest,
        max_new_tokens=max_new_tokens or 4096,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    described = _described(files, pictures, model, settings)
    changed = _changes(before, described)
    if report is not None:
        from finesight.apps.accessibility.page import write_descriptions

        write_descriptions(report, zip(described, pictures, changed, strict=True))
        sys.stderr.write(f"wrote {report}\n")
    _show(described, changed, find, as_json=as_json, report=report)


def _earlier(path: Path) -> ScreenDescription:
    import json

    from finesight.apps.accessibility.records import ScreenDescription

    if not path.is_file():
        raise AppError(
            f"--since {path}: there is no such file",
            hint="give the output of an earlier call with --json",
        )
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AppError(f"{path} cannot be read: {error}") from error
    listed = given.get("screens") if isinstance(given, dict) else None
    return ScreenDescription.from_dict(listed[-1] if listed else given)


def _opened(files: Sequence[Path]) -> list[Image.Image]:
    """The screenshots; a note is printed for a file of several pages, of which one is shown."""
    from finesight.media.image import load_image, page_note

    pictures = []
    for path in files:
        try:
            pictures.append(load_image(path).convert("RGB"))
        except UnsupportedMedia as error:
            if "on the command line" not in error.hint:
                raise
            hint = "this command takes pictures: save the page or frame as one, such as a PNG"
            raise UnsupportedMedia(error.message, hint=hint) from error
        if note := page_note(path):
            shown = note.partition("; --pages")[0]  # this command has no such option
            sys.stderr.write(f"note: {path}: {shown}; save other pages as pictures of their own\n")
    return pictures


def _described(
    files: Sequence[Path],
    pictures: Sequence[Image.Image],
    model: DraftingModel,
    settings: DescribeOptions,
) -> list[ScreenDescription]:
    import numpy as np

    from finesight.apps.accessibility.describe import describe

    responder, found = model.opened(), []
    with ItemProgress() as progress:
        for path, picture in zip(files, pictures, strict=True):
            pixels = np.asarray(picture)
            found.append(
                describe(pixels, responder, source=path.name, model=model.name, options=settings)
            )
            progress(len(found), len(files), path.name)
    return found


def _changes(
    before: ScreenDescription | None, described: Sequence[ScreenDescription]
) -> list[list[Change]]:
    """What changed on each screen since the one before it."""
    from finesight.apps.accessibility.compare import changes

    earlier = [before, *described[:-1]]
    return [
        [] if old is None else changes(old, new)
        for old, new in zip(earlier, described, strict=True)
    ]


def _show(
    described: Sequence[ScreenDescription],
    changed: Sequence[Sequence[Change]],
    phrase: str | None,
    *,
    as_json: bool,
    report: Path | None,
) -> None:
    """Print the descriptions, and raise if something is missing."""
    from finesight.apps.accessibility.compare import find

    hits = [[] if phrase is None else find(each, phrase) for each in described]
    if as_json:
        screens = [
            {
                **each.to_dict(),
                "changes": [one.to_dict() for one in diff],
                **({} if phrase is None else {"found": [one.to_dict(each.size) for one in hit]}),
            }
            for each, diff, hit in zip(described, changed, hits, strict=True)
        ]
        files = [] if report is None else [str(report)]
        print_json({"screens": screens, "files": files})
    else:
        for each, diff, hit in zip(described, changed, hits, strict=True):
            title = f"{each.source}\n" if len(described) > 1 else ""
            sys.stdout.write(title + (each.speech() if phrase is None else _places(each, hit)))
            sys.stdout.writelines(f"{one.spoken()}\n" for one in diff)
    for each in described:
        for one in each.low_contrast:
            sys.stderr.write(f"{each.source}: low contrast of {one.name[:60]!r}: {one.contrast}\n")
        for skipped in each.coverage.skipped:
            sys.stderr.write(f"{each.source}: {skipped.what} not read: {skipped.reason}\n")
        for problem in each.problems:
            sys.stderr.write(f"{each.source}: {problem}\n")
    _raise_if_missing(described, hits, phrase)


def _places(description: ScreenDescription, hit: Sequence[SeenElement]) -> str:
    from finesight.apps.accessibility.records import place_in_words

    lines = (
        f"{one.spoken()}: row {one.row}, {place_in_words(one.box, description.size)}, "
        f"at {one.box.center.x:.0f}, {one.box.center.y:.0f}\n"
        for one in hit
    )
    return "".join(lines)


def _raise_if_missing(
    described: Sequence[ScreenDescription],
    hits: Sequence[Sequence[SeenElement]],
    phrase: str | None,
) -> None:
    cut = [each.source for each in described if not each.coverage.is_full]
    missing = f"no element of the screen is named {phrase!r}"
    is_missing = phrase is not None and not any(hits)
    if cut:
        also = f"; in what was read, {missing}" if is_missing else ""
        raise AppError(
            f"{len(cut)} of {len(described)} screenshots were not read to the end: {', '.join(cut[:6])}{also}",
            hint="what was read is printed; --max-new-tokens or --max-pixels may read more",
        )
    if is_missing:
        raise AppError(missing)
