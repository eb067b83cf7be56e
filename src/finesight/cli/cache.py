# SPDX-License-Identifier: Apache-2.0
"""`finesight cache list` and `finesight cache clear`: checkpoints and kernels that are kept for the next start."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.command import light_command
from finesight.errors import ConfigError
from finesight.inputs import shown_bytes

if TYPE_CHECKING:
    from finesight.checkpoints.kept import Kept

app = typer.Typer(
    help="Show and clear what is kept for the next start: assembled GGUF models, packed weights, downloads, kernels.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command(name="list")
@light_command
def show() -> None:
    """List what is kept: kind, size, date and name of each.

    The kinds are gguf, packed, small, kernels, download (from Hugging Face) and unfinished.
    """
    from finesight.checkpoints.kept import cache_folder, kept_files

    entries = kept_files()
    for entry in entries:
        typer.echo(_line(entry))
    total = shown_bytes(sum(entry.num_bytes for entry in entries))
    typer.echo(f"{len(entries)} entries, {total}; the cache is {cache_folder()}", err=True)


@app.command()
@light_command
def clear(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help='Names of the list; "*" in one stands for any letters.', metavar="NAME"
        ),
    ] = None,
    *,
    kind: Annotated[
        list[str] | None, typer.Option(help="Remove all of a kind. Repeatable.", metavar="KIND")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed.")
    ] = False,
) -> None:
    """Remove from the cache what is named; it is made or downloaded again when it is needed.

    Downloads are in the cache of Hugging Face, which other programs may use, too.
    """
    from finesight.checkpoints.kept import kept_files, remove

    chosen = _chosen(kept_files(), names or [], kind or [], everything=everything)
    for entry in chosen:
        if not dry_run:
            remove(entry)
        typer.echo(_line(entry))
    total = shown_bytes(sum(entry.num_bytes for entry in chosen))
    done = "would be removed" if dry_run else "removed"
    typer.echo(f"{len(chosen)} entries, {total}, {done}", err=True)


def _line(entry: Kept) -> str:
    day = datetime.fromtimestamp(entry.made_at).astimezone().date().isoformat()
    return f"{entry.kind:<10} {shown_bytes(entry.num_bytes):>9}  {day}  {entry.name}"


def _chosen(
    entries: list[Kept], names: list[str], kinds: list[str], *, everything: bool
) -> list[Kept]:
    """The entries that are named; a name or kind that chooses none is an error."""
    from typing import get_args

    from finesight.checkpoints.kept import Kind

    known = get_args(Kind)
    if wrong := [each for each in kinds if each not in known]:
        raise ConfigError(f"--kind is {wrong[0]!r}", hint=f"known: {', '.join(known)}")
    if not (names or kinds or everything):
        raise ConfigError("nothing is named", hint="give names of the list, --kind, or --all")
    for name in names:
        if not any(fnmatchcase(entry.name, name) for entry in entries):
            raise ConfigError(
                f"the cache has no {name!r}", hint="finesight cache list shows the names"
            )
    return [
        entry
        for entry in entries
        if everything or entry.kind in kinds or any(fnmatchcase(entry.name, name) for name in names)
    ]
