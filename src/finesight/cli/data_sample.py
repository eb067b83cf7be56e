# SPDX-License-Identifier: Apache-2.0
"""`finesight data sample`: a round of rejection sampling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.command import command
from finesight.cli.eval_answerer import EndpointOptions
from finesight.cli.eval_options import Batch, Model

if TYPE_CHECKING:
    from finesight.processor.processor import Processor
    from finesight.responder import Responder


@command
def sample(
    recipe: Annotated[Path, typer.Argument(help='TOML recipe with kind = "sample".')],
    out: Annotated[Path, typer.Option(help="Folder of the round.")],
    *,
    model: Model = None,
    batch: Batch = 8,
    remote: EndpointOptions,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value of the recipe: --set answers=4. Repeatable."),
    ] = None,
) -> None:
    """Draw answers from a model and keep those that agree with the truth, as training data.

    To resume after a crash, run the command again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
    from rich.table import Table

    console = Console(stderr=True)
    from finesight.cli.output import check_writable
    from finesight.cli.recipe import read
    from finesight.evals.responders.blind import blanked
    from finesight.evals.rewards import REWARDS
    from finesight.train import rejection

    config = read(recipe, rejection.SampleRecipe, override)
    check_writable(out, is_folder=True)
    responder, name, processor = _responder(model, batch, remote)
    sampler = rejection.Sampler(
        config,
        responder,
        model=name,
        processor=processor,
        rewards=REWARDS,
        blanked=blanked,
    )
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        task = bar.add_task("blocks", total=None)
        counts = sampler.run(
            out, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    table = Table("what", "number")
    for row in rejection.table(counts):
        table.add_row(row[0], str(row[1]))
    console.print(table)


def _responder(
    model: str | None, batch: int, remote: EndpointOptions
) -> tuple[Responder, str, Processor]:
    """What answers, its name, and the processor whose sizes of pictures it has."""
    from finesight.api import load
    from finesight.api.checkpoints import find_checkpoint
    from finesight.cli.options import DEFAULT_MODEL
    from finesight.engine.options import EngineOptions
    from finesight.errors import ConfigError
    from finesight.processor.processor import Processor
    from finesight.processor.resize import fit_image
    from finesight.remote.client import Endpoint

    if remote.endpoint is None:
        if remote.endpoint_model:
            raise ConfigError(f"--endpoint-model {remote.endpoint_model} needs --endpoint")
        name = model or DEFAULT_MODEL
        loaded = load(name, engine=EngineOptions(max_sequences=batch))
        return loaded.engine, name, loaded.processor
    if remote.endpoint_model is None:
        raise ConfigError("--endpoint needs --endpoint-model", hint="what the API calls its model")
    processor = Processor.from_folder(find_checkpoint(model or DEFAULT_MODEL))
    config = processor.config
    client = Endpoint(
        url=remote.endpoint,
        model=remote.endpoint_model,
        api_key=remote.api_key,
        config=config,
        fit=lambda size, part: fit_image(size, part, config).resized,
    )
    return client, f"{remote.endpoint_model} at {client.url}", processor
