# SPDX-License-Identifier: Apache-2.0
"""`finesight quantize MODEL --weights int8 --out DIR`: write a checkpoint with packed weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.command import command


@command
def quantize(
    model: Annotated[str, typer.Argument(help="Checkpoint folder, or a name, as of ask --model.")],
    *,
    weights: Annotated[str, typer.Option(help="Format of the language model: int8, int4 or bf16.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
) -> None:
    """Write a checkpoint whose language model has packed weights, for fast answers on a CPU.

    Give its folder as --model. The vision tower is not changed.
    """
    from finesight.api.checkpoints import find_checkpoint
    from finesight.api.network import checked_weights
    from finesight.checkpoints.packed import write_packed
    from finesight.cli.output import check_writable
    from finesight.errors import ConfigError
    from finesight.model.quantised_gpu import packable

    if out.exists():
        raise ConfigError(f"{out} exists", hint="delete it, or give another --out")
    check_writable(out, is_folder=True)
    chosen = checked_weights(weights)
    assert chosen is not None
    write_packed(find_checkpoint(model), packable(chosen), out)
    typer.echo(f"wrote {out}", err=True)
