# SPDX-License-Identifier: Apache-2.0
"""Options shared by the eval commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from finesight.cli.options import field_help
from finesight.conversation import VideoPart


def read_shard(text: str) -> tuple[int, int]:
    """A shard from a command line: its index, from 0, and the number of shards."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise typer.BadParameter(f"{text!r} is not a shard such as 0/4; shards count from 0")
    return int(index), int(count)


Tasks = Annotated[list[str], typer.Argument(help="Benchmarks by name; see `finesight eval list`.")]
Data = Annotated[
    Path,
    typer.Option(
        help="Local copy; for several benchmarks, a folder with one folder per name.",
        metavar="DIR",
    ),
]
REAL = typer.Option(help="Folder of real data; may be repeated.", metavar="DIR")
Out = Annotated[Path, typer.Option(help="Answers and results go to DIR/TASK.", metavar="DIR")]
Model = Annotated[
    str | None, typer.Option(help="tiny, a folder, or a published name.", show_default="tiny")
]
Replay = Annotated[
    Path | None, typer.Option(help="Score stored answers, found by item id.", metavar="FILE")
]
SpaceOption = Annotated[
    Literal["resized", "original", "relative_1000", "relative_1"] | None,
    typer.Option(
        help="Unit of coordinates in answers; required for endpoints and stored answers.",
        show_default="resized for a model",
    ),
]
PromptName = Annotated[
    str | None,
    typer.Option(help="Prompt of the benchmark.", metavar="NAME", show_default="the first"),
]
ExtractorName = Annotated[
    str | None,
    typer.Option(help="Rule that parses answers.", metavar="NAME", show_default="the first"),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of items; started groups are completed.")
]
Shard = Annotated[
    Any, typer.Option(parser=read_shard, metavar="I/N", help="Only this part of the items: 0/4.")
]
Workers = Annotated[int, typer.Option(min=1, help="Concurrent requests; for endpoints.")]
Batch = Annotated[int, typer.Option(min=1, help="Questions that a local model decodes together.")]
RetryErrors = Annotated[bool, typer.Option("--retry-errors", help="Ask failed items again.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Cache of replies, shared by runs.", metavar="DIR"),
]
VideoFps = Annotated[float | None, typer.Option(help="Frames per second of videos.")]
MaxFrames = Annotated[int | None, typer.Option(help=field_help(VideoPart, "max_frames"))]
JudgeWorkers = Annotated[int, typer.Option(min=1, help="Answers judged at once.")]
