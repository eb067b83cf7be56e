# SPDX-License-Identifier: Apache-2.0
"""`finesight train sft`: from a file of examples to a fine-tuned model, with a report of what changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.names import did_you_mean
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.train.finetune import SftChoices

MOST_HELD_BACK = 0.5


def read_share(text: str) -> float:
    """A share written as 10% or 0.1."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1.0
    if not 0 <= number <= MOST_HELD_BACK:
        raise typer.BadParameter(
            f"{text[:40]!r} is no share from 0 to {MOST_HELD_BACK:.0%} such as 10% or 0.1"
        )
    return number


def _share(text: str) -> Any:
    """An option that is a share."""
    return typer.Option(parser=read_share, metavar="SHARE", help=text)


Data = Annotated[
    Path, typer.Option(help="File of examples, or a folder of pictures or shards.", metavar="FILE")
]
Out = Annotated[Path, typer.Option(help="Folder of the run.", metavar="RUN")]
FileFormat = Annotated[
    str | None, typer.Option("--format", help="Format of the file.", show_default="recognised")
]
BadRows = Annotated[str, typer.Option(help="Rows that cannot be used: stop, or skip them.")]
HeldBack = Annotated[
    Any,
    _share("Share of the records to score on; records that share a picture stay together."),
]
Replay = Annotated[
    Any,
    _share("Share of the samples that are the model's own answers, against forgetting."),
]
Epochs = Annotated[
    float | None,
    typer.Option(help="Passes over the training records.", show_default="by their number"),
]
Minutes = Annotated[
    float | None,
    typer.Option(help="Time budget of the training, instead of epochs.", show_default="none"),
]
Rate = Annotated[
    float | None,
    typer.Option(help="Peak learning rate of the decoder.", show_default="by the model's size"),
]
LoraRank = Annotated[
    int | None, typer.Option(min=1, help="Rank of the LoRA adapters.", show_default="16")
]
Full = Annotated[
    bool, typer.Option("--full", help="Train all weights of the decoder instead of LoRA adapters.")
]
Metric = Annotated[
    str | None,
    typer.Option(
        help="Score of held-back answers: boxes, fields, count, text or exact.",
        show_default="by the kind of answer",
    ),
]
EvaluateLimit = Annotated[
    int, typer.Option(min=1, help="Number of held-back questions to score, at most.")
]
Seed = Annotated[int, typer.Option(help="Random seed of split, order and adapters.")]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value of the recipe: --set data.jitter=0. Repeatable."),
]


@command
def sft(
    *,
    data: Data,
    out: Out,
    model: options.ModelName = options.DEFAULT_MODEL,
    file_format: FileFormat = None,
    bad_rows: BadRows = "stop",
    held_back: HeldBack = "10%",
    epochs: Epochs = None,
    minutes: Minutes = None,
    rate: Rate = None,
    lora_rank: LoraRank = None,
    full: Full = False,
    replay: Replay = "30%",
    metric: Metric = None,
    evaluate_limit: EvaluateLimit = 200,
    seed: Seed = 0,
    override: Override = None,
    device: options.Device = "auto",
) -> None:
    """Fine-tune a model on a file of examples, and score it before and after.

    The recipe follows from the model and the data; it is printed, and stored as RUN/config.toml. To
    resume a stopped run, repeat the command.
    """
    from finesight.cli.finetune_job import Job
    from finesight.cli.output import check_writable
    from finesight.config.load import validate
    from finesight.data.formats.config import ImportConfig
    from finesight.train.finetune import SftChoices

    choices = SftChoices(
        epochs=epochs,
        rate=rate,
        lora_rank=lora_rank,
        is_full=full,
        minutes=minutes,
        seed=seed,
        device=device,
    )
    _check(choices, metric)
    check_writable(out, is_folder=True)
    rows = {"format": file_format, "bad_rows": bad_rows}
    Job(
        model=model,
        data=data,
        importing=validate(rows, ImportConfig, where="train sft"),
        out=out,
        share=held_back,
        replay=replay,
        metric=metric,
        limit=evaluate_limit,
        choices=choices,
        overrides=tuple(override or ()),
    ).run()


def _check(choices: SftChoices, metric: str | None) -> None:
    """Raise `ConfigError` on options that are out of range or exclude each other."""
    from finesight.evals.suites.held_back import KINDS

    for name in ("epochs", "minutes", "rate"):
        value = getattr(choices, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"--{name} {value:g} must be a positive number")
    if choices.epochs is not None and choices.minutes is not None:
        raise ConfigError("--epochs and --minutes are both given", hint="give one of them")
    if choices.is_full and choices.lora_rank is not None:
        raise ConfigError(
            f"--full and --lora-rank {choices.lora_rank} are both given",
            hint="--full trains all weights of the decoder, --lora-rank adapters over frozen ones",
        )
    if metric is not None and metric not in KINDS:
        raise ConfigError(
            f"--metric {metric} is no kind of score", hint=did_you_mean(metric, KINDS)
        )
