# SPDX-License-Identifier: Apache-2.0
"""`finesight eval`: the suites, and the commands for benchmarks.

Without a command it runs a suite, by default the report card of the embedded model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli import (
    card,
    eval_convert,
    eval_live,
    eval_options,
    eval_run,
    eval_screens,
    eval_stored,
    eval_suites,
    ocr_compare,
    options,
)
from finesight.cli.command import command
from finesight.cli.eval_answerer import EndpointOptions, LocalModel, RemoteModel
from finesight.cli.eval_suites import SUITES
from finesight.cli.model_choice import ModelChoice
from finesight.cli.names import did_you_mean
from finesight.errors import ConfigError

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
)

SuiteName = Annotated[
    str,
    typer.Option(
        help="card: held-out and real pictures. offline: real data, no download."
        " ocr-compare: systems side by side."
    ),
]


@app.callback()
@command
def evaluate(
    context: typer.Context,
    *,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder of a held-out data set; may be repeated.")
    ] = None,
    suite: SuiteName = "card",
    model: eval_options.Model = None,
    a: Annotated[
        str | None, typer.Option("--a", help="ocr-compare: a model.", metavar="MODEL")
    ] = None,
    b: Annotated[
        str | None, typer.Option("--b", help="ocr-compare: another model.", metavar="MODEL")
    ] = None,
    remote: EndpointOptions,
    real: Annotated[list[Path] | None, eval_options.REAL] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write answers, JSON and a page here.", metavar="DIR")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Items per row or benchmark at most.")
    ] = None,
    as_json: options.AsJson = False,
    device: options.Device = "auto",
    weights: options.Weights = None,
    vision_weights: options.VisionWeights = None,
    draft_tokens: options.DraftTokens = 0,
) -> None:
    """Score a model with a suite, or on benchmarks by a command.

    Without a command: the suite; the default is the report card. Options of a command follow its name.
    """
    if context.invoked_subcommand is not None:
        of_suite = (data, real, out, a, b, remote.endpoint, as_json)
        of_model = (weights, vision_weights, draft_tokens)
        if any((*of_suite, *of_model)) or limit is not None:
            raise ConfigError(
                f"options of a suite precede the command `{context.invoked_subcommand}`",
                hint="put options of a command after its name",
            )
        return
    choice = ModelChoice(
        name=model or options.DEFAULT_MODEL,
        device=device,
        weights=weights,
        vision_weights=vision_weights,
        draft_tokens=draft_tokens,
    )
    who = LocalModel(choice)
    if suite == "offline":
        eval_suites.offline(who, real or (), out, limit=limit, as_json=as_json)
    elif suite == "ocr-compare":
        compared = _compared({"a": a, "b": b}, choice, remote)
        scans = eval_suites.with_scans(real or ())
        ocr_compare.ocr_compare(compared, data or (), scans, out, limit=limit, as_json=as_json)
    elif suite == "card":
        card.show_card(who, data or (), real or (), out=out, limit=limit, as_json=as_json)
    else:
        raise ConfigError(f"there is no suite {suite!r}", hint=did_you_mean(suite, SUITES))


def _compared(
    models: Mapping[str, str | None], choice: ModelChoice, remote: EndpointOptions
) -> dict[str, LocalModel | RemoteModel]:
    """The systems of ocr-compare by name."""
    compared: dict[str, LocalModel | RemoteModel] = {
        name: LocalModel(replace(choice, name=model)) for name, model in models.items() if model
    }
    if remote.endpoint:
        compared["endpoint"] = RemoteModel(
            url=remote.endpoint,
            model=remote.endpoint_model,
            api_key=remote.api_key,
            space="original",  # transcriptions have no coordinates
        )
    return compared


for _name, _handler in (
    ("run", eval_run.run),
    ("live", eval_live.live),
    ("list", eval_stored.show_tasks),
    ("check", eval_stored.check),
    ("rescore", eval_stored.rescore),
    ("compare", eval_stored.compare),
    ("report", eval_stored.report),
    ("convert", eval_convert.convert),
    ("screens", eval_screens.screens),
):
    app.command(_name)(_handler)
