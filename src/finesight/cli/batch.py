# SPDX-License-Identifier: Apache-2.0
"""`finesight batch`: answer a file of requests in the OpenAI batch format."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_writable, print_json
from finesight.cli.progress import ItemProgress
from finesight.errors import ConfigError, FinesightError

if TYPE_CHECKING:
    from finesight.api.batch import Batch, Counts
    from finesight.api.model import Model


@command
def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="JSON lines with custom_id, method, url and body. Relative paths of pictures are those of its folder.",
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="JSON lines, one per item as it finishes.")
    ],
    *,
    model: DraftingModel,
    served_model_name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model in requests and responses.", show_default="that of --model"
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Items that are computed together.", metavar="N")
    ] = 8,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask items again that failed in an earlier run.")
    ] = False,
    as_json: options.AsJson = False,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Give each item the same answer whatever is computed beside it; slower.",
        ),
    ] = False,
) -> None:
    """Answer a file of requests in the OpenAI batch format; after a crash, run the same command again.

    Items that the output already contains are not asked again. The exit code is 1 if an item has an error. An adapter
    answers the items that have its name as their model.
    """
    _check_input(source)
    check_writable(target, is_folder=False)
    # Both files are checked before the model is opened.
    names = [served_model_name] if served_model_name else [model.name, Path(model.name).name]
    with _checked(source, target, names, model, retry_errors=retry_errors) as checked:
        loaded = model.opened(concurrency, deterministic=deterministic)
        counts, seconds = _run(checked, loaded)
    if as_json:
        print_json({**asdict(counts), "seconds": seconds, "model": model.name})
    _raise_if_failed(counts, target)


def _checked(
    source: Path, target: Path, names: list[str], model: DraftingModel, *, retry_errors: bool
) -> Batch:
    """The batch, whose files were checked."""
    from finesight.api.adapters import adapter_folders
    from finesight.api.batch import Batch

    adapters = adapter_folders(model.adapters)
    return Batch(source, target, names=names, adapters=adapters, retry_errors=retry_errors)


def _raise_if_failed(counts: Counts, target: Path) -> None:
    if counts.failed:
        raise FinesightError(
            f"{counts.failed} of {counts.total} items failed; {target} says why",
            hint="correct them in the input, or give --retry-errors, and run the same command again",
        )


def _check_input(source: Path) -> None:
    if not source.exists():
        raise FinesightError(f"{source} does not exist", hint="give a file of JSON lines")
    if not source.is_file():
        raise ConfigError(f"{source} is not a regular file", hint="give a file of JSON lines")


def _run(checked: Batch, model: Model) -> tuple[Counts, float]:
    """Run a batch with progress; returns its counts and the seconds it took."""
    for note in checked.notes:
        sys.stderr.write(f"note: {note}\n")
    counts = checked.counts
    if counts.doubled:
        sys.stderr.write(f"note: {counts.doubled} lines occur twice and are asked once\n")
    if counts.before:
        sys.stderr.write(f"{counts.before} of {counts.total} items are already finished\n")
    start = time.monotonic()
    with ItemProgress() as show:

        def on_progress(counts: Counts) -> None:
            rate = counts.tokens / max(time.monotonic() - start, 1e-9)
            show(counts.done, counts.total, f"{rate:.1f} tokens/s, failed: {counts.failed}")

        checked.run(model, on_progress=on_progress)
    seconds = time.monotonic() - start
    copied = f", {counts.copied} copied from equal requests" if counts.copied else ""
    sys.stderr.write(
        f"{counts.done} of {counts.total} items{copied}, {counts.tokens} answer tokens in {seconds:.1f} s "
        f"({counts.tokens / max(seconds, 1e-9):.1f} tokens/s), failed: {counts.failed}\n"
    )
    return counts, seconds
