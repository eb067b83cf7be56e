# SPDX-License-Identifier: Apache-2.0
"""`finesight train sft`: from a file of examples to a fine-tuned model, with a report of what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.names import did_you_mean
from finesight.errors import ConfigError

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


Share = Annotated[
    Any,
    typer.Option(
        parser=read_share,
        metavar="SHARE",
        help="Share of the records to hold back for scores and early stop; records that share a picture stay together.",
    ),
]


def sft(
    *,
    data: Annotated[
        Path,
        typer.Option(help="File of examples, or a folder of pictures or shards.", metavar="FILE"),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="RUN")],
    model: options.ModelName = options.DEFAULT_MODEL,
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of the file.", show_default="recognised"),
    ] = None,
    bad_rows: Annotated[
        str, typer.Option(help="Rows that cannot be used: stop, or skip them.")
    ] = "stop",
    held_back: Share = "10%",
    epochs: Annotated[
        float | None,
        typer.Option(help="Passes over the training records.", show_default="by their number"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time budget of the training, instead of epochs.", show_default="none"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate of the decoder.", show_default="by the model's size"),
    ] = None,
    lora_rank: Annotated[
        int | None,
        typer.Option(min=1, help="Rank of the LoRA adapters.", show_default="16"),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Train all weights of the decoder instead of LoRA adapters."),
    ] = False,
    replay: Annotated[
        Any,
        typer.Option(
            parser=read_share,
            metavar="SHARE",
            help="Share of training samples that are the model's own answers before training, against forgetting.",
        ),
    ] = "20%",
    metric: Annotated[
        str | None,
        typer.Option(
            help="Score of held-back answers: exact, text, fields, boxes or count.",
            show_default="by the kind of answer",
        ),
    ] = None,
    evaluate_limit: Annotated[
        int, typer.Option(min=1, help="Number of held-back questions to score, at most.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Random seed of split, order and adapters.")] = 0,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Override a value of the recipe: --set data.jitter=0. Repeatable."
        ),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Fine-tune a model on a file of examples, and score it before and after.

    The recipe follows from the model and the data; it is printed, and stored as RUN/config.toml. To
    resume a stopped run, repeat the command.
    """
    with reported(debug=debug):
        from finesight.cli.finetune_job import Job
        from finesight.cli.output import check_writable
        from finesight.config.load import validate
        from finesight.data.formats.config import ImportConfig
        from finesight.evals.suites.held_back import KINDS
        from finesight.train.finetune import SftChoices

        if metric is not None and metric not in KINDS:
            raise ConfigError(
                f"--metric {metric} is no kind of score", hint=did_you_mean(metric, KINDS)
            )
        _check_choices(epochs=epochs, minutes=minutes, rate=rate, lora_rank=lora_rank, full=full)
        check_writable(out, is_folder=True)
        choices = SftChoices(
            epochs=epochs,
            rate=rate,
            lora_rank=lora_rank,
            is_full=True if full else None,
            minutes=minutes,
            seed=seed,
            device=device,
        )
        job = Job(
            model=model,
            data=data,
            importing=validate(
                {"format": file_format, "bad_rows": bad_rows}, ImportConfig, where="train sft"
            ),
            out=out,
            share=held_back,
            replay=replay,
            metric=metric,
            limit=evaluate_limit,
            choices=choices,
            overrides=tuple(override or ()),
        )
        job.run()


def _check_choices(
    *,
    epochs: float | None,
    minutes: float | None,
    rate: float | None,
    lora_rank: int | None,
    full: bool,
) -> None:
    for name, value in (("epochs", epochs), ("minutes", minutes), ("rate", rate)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"--{name} {value:g} must be a positive number")
    if epochs is not None and minutes is not None:
        raise ConfigError("--epochs and --minutes are both given", hint="give one of them")
    if full and lora_rank is not None:
        raise ConfigError(
            f"--full and --lora-rank {lora_rank} are both given",
            hint="--full trains all weights of the decoder, --lora-rank adapters over frozen ones",
        )
