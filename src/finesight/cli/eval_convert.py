# SPDX-License-Identifier: Apache-2.0
"""`finesight eval convert`: convert the published files of a data set to a local copy of its benchmark."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.names import did_you_mean
from finesight.cli.output import print_json

DATA_SETS = ("android_control",)
_NAMED = 5


@command
def convert(
    name: Annotated[str, typer.Argument(help=f"Data set: {', '.join(DATA_SETS)}.")],
    source: Annotated[Path, typer.Argument(help="Folder of the published files.", metavar="SRC")],
    target: Annotated[Path, typer.Argument(help="Folder to write the copy to.", metavar="DST")],
    *,
    split: Annotated[str, typer.Option(help="Part of the data set.", metavar="NAME")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Episodes at most.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Convert published files to the local copy of a benchmark; every checksum is verified.

    After an interruption, run the same command again: complete files are kept.
    """
    from finesight.cli.output import check_writable
    from finesight.errors import ConfigError

    if name not in DATA_SETS:
        raise ConfigError(f"there is no converter for {name!r}", hint=did_you_mean(name, DATA_SETS))
    from finesight.evals.convert.android_control import convert as convert_records

    check_writable(target, is_folder=True)
    found = convert_records(source, target, split=split, limit=limit)
    if found.missing:
        first = ", ".join(map(str, found.missing[:_NAMED]))
        sys.stderr.write(
            f"{len(found.missing)} episodes of split {split} are in no record, such as {first}\n"
        )
    if found.num_kept_files:
        sys.stderr.write(f"{found.num_kept_files} files had been converted before\n")
    if as_json:
        print_json({"name": name, "split": split, **asdict(found)})
    else:
        sys.stdout.write(
            f"{found.num_episodes} episodes, {found.num_steps} steps of split {split};"
            f" {found.num_other} episodes of other splits passed over\n"
        )
