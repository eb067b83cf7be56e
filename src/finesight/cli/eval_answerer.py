# SPDX-License-Identifier: Apache-2.0
"""Sources of answers of the eval commands: a local model, an endpoint, or stored outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from finesight.cli import eval_options, options
from finesight.cli.imports import import_torch
from finesight.cli.model_choice import ModelChoice
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.responders import ItemResponder
    from finesight.evals.core.task import Item, Space
    from finesight.evals.responders.harness_logs import Imported
    from finesight.evals.responders.model import FromModel
    from finesight.evals.responders.replay import Replay


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """Options of a local model.

    Attributes:
        batch: see `LocalModel`.
    """

    model: eval_options.Model = None
    device: options.Device = "auto"
    dtype: options.Dtype = None
    weights: options.Weights = None
    vision_weights: options.VisionWeights = None
    draft_tokens: options.DraftTokens = 0
    batch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """Options of an endpoint.

    Attributes:
        workers: concurrent requests.
    """

    endpoint: Annotated[
        str | None,
        typer.Option(help="Ask an OpenAI-compatible API: http://host:8000/v1.", metavar="URL"),
    ] = None
    endpoint_model: Annotated[
        str | None, typer.Option(help="Name of the model at the endpoint.", metavar="NAME")
    ] = None
    api_key: Annotated[
        str, typer.Option(envvar="FINESIGHT_API_KEY", help="Of the endpoint.", metavar="KEY")
    ] = ""
    workers: int = 1


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine.

    Attributes:
        choice: model, device and dtype.
        space: unit of coordinates in its answers.
        cache: folder for its replies; None caches nothing.
        batch: sequences decoded together. A number above 1 is part of the model's name, because sums are rounded
            differently and answers may differ.
    """

    choice: ModelChoice
    space: Space = "resized"
    cache: Path | None = None
    batch: int = 1

    def responder(self) -> FromModel:
        """The loaded model; its name contains the digest of its files and the dtypes or formats of its weights."""
        import_torch()
        from finesight.engine.options import EngineOptions
        from finesight.engine.request import no_progress
        from finesight.evals.core.digests import folder_digest
        from finesight.evals.responders.model import FromModel
        from finesight.model.quantised_gpu import weights_format

        name, choice = self.choice.name, self.choice
        folder = choice.folder()
        digest = folder_digest(folder)
        engine = EngineOptions(max_sequences=self.batch, draft_tokens=choice.draft_tokens)
        loaded = choice.open(folder, engine, no_progress)
        dtype = str(next(loaded.network.parameters()).dtype).removeprefix("torch.")
        if packed := weights_format(loaded.network):
            dtype = f"{packed} weights"
        if choice.vision_weights is not None:
            dtype += f", {choice.vision_weights} vision"
        together = f", {self.batch} together" if self.batch > 1 else ""
        described = f"{name} ({digest[:12]}, {dtype}{together})"
        return FromModel(loaded.engine, described, cache=self.cache)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model behind an OpenAI-compatible API.

    Attributes:
        url: base address.
        model: its name at the API.
        api_key: empty sends none.
        space: unit of coordinates in its answers; with "resized", pictures are resized before they are sent.
        cache: folder for its replies; None caches nothing.
    """

    url: str
    model: str | None
    api_key: str
    space: Space
    cache: Path | None = None

    def responder(self) -> FromModel:
        """The endpoint; its name contains model, address and whether pictures are resized.

        Raises:
            ConfigError: the name of the model is missing.
        """
        from finesight.config.processor import ProcessorConfig
        from finesight.evals.responders.limited import LimitedFailures
        from finesight.evals.responders.model import FromModel
        from finesight.media.fetch import address_name
        from finesight.processor.resize import fit_image
        from finesight.remote.client import Endpoint

        if self.model is None:
            raise ConfigError(
                "--endpoint needs --endpoint-model", hint="what the API calls its model"
            )
        config = ProcessorConfig()
        fits = self.space == "resized"
        client = Endpoint(
            url=self.url,
            model=self.model,
            api_key=self.api_key,
            config=config,
            fit=(lambda size, part: fit_image(size, part, config).resized) if fits else None,
        )
        if not fits:
            sys.stderr.write(
                "pictures are sent as they are: the endpoint decides on their pixels\n"
            )
        how = "resized here" if fits else "pictures as they are"
        name = f"{self.model} at {address_name(self.url)} ({how})"
        limited = LimitedFailures(client, address_name(self.url))
        return FromModel(limited, name, declares_resize=fits, cache=self.cache)


@dataclass(frozen=True, slots=True)
class StoredOutputs:
    """Stored answers of a run or of another program.

    Attributes:
        path: their file, or the folder of a run.
        space: unit of coordinates in them.
    """

    path: Path
    space: Space

    def responder(self) -> Replay | Imported:
        """The outputs; those of another harness are not yet matched with items, see `matched`."""
        from finesight.evals.responders.harness_logs import load_outputs
        from finesight.evals.responders.replay import Replay

        is_resized = self.space == "resized"
        if is_resized:
            sys.stderr.write(
                "resized sizes that are not stored follow from the pixels of the benchmark, or of --min-pixels and"
                " --max-pixels\n"
            )
        imported = load_outputs(self.path, declares_resize=is_resized)
        if imported is None:
            return Replay.load(self.path, declares_resize=is_resized)
        count = len(imported.outputs)
        sys.stderr.write(f"{imported.file}: {count} outputs logged by {imported.harness}\n")
        return imported


Answerer: TypeAlias = LocalModel | RemoteModel | StoredOutputs


def answerer_of(
    local: LocalOptions,
    remote: EndpointOptions,
    replay: Path | None = None,
    *,
    space: Space | None = None,
    cache: Path | None = None,
) -> Answerer:
    """The source of answers that the options of a command select.

    Raises:
        ConfigError: two sources are given, a required option is missing, or an option does not apply to the source.
    """
    sources = {"model": local.model, "endpoint": remote.endpoint, "replay": replay}
    kind = only_one(sources)
    if kind != "model" and space is None:
        raise ConfigError(
            f"--{kind} needs --space: the unit of coordinates in its answers",
            hint="resized, original, relative_1000 or relative_1; any of them where a task has no coordinates",
        )
    if kind != "endpoint":
        of_endpoints = replace(remote, api_key="")  # the key may come from the environment
        _refuse_unused(kind, "endpoints", asdict(of_endpoints), asdict(EndpointOptions()))
    if kind != "model":
        _refuse_unused(kind, "local models", asdict(local), asdict(LocalOptions()))
    if replay is not None and space is not None:
        _refuse_unused(kind, "models", {"cache": cache}, {"cache": None})
        return StoredOutputs(replay, space)
    if remote.endpoint is not None and space is not None:
        return RemoteModel(
            url=remote.endpoint,
            model=remote.endpoint_model,
            api_key=remote.api_key,
            space=space,
            cache=cache,
        )
    choice = ModelChoice(
        name=local.model or options.DEFAULT_MODEL,
        device=local.device,
        dtype=local.dtype,
        weights=local.weights,
        draft_tokens=local.draft_tokens,
        vision_weights=local.vision_weights,
    )
    return LocalModel(choice, space or "resized", cache, local.batch)


def only_one(named: Mapping[str, object]) -> str:
    """The name of the one source that is given; "model" if there is none.

    Raises:
        ConfigError: two are given.
    """
    found = [name for name, value in named.items() if value is not None]
    if len(found) > 1:
        raise ConfigError(
            f"both --{found[0]} and --{found[1]} are given as source of answers", hint="give one"
        )
    return found[0] if found else "model"


def _refuse_unused(
    kind: str, owner: str, values: Mapping[str, object], defaults: Mapping[str, object]
) -> None:
    """Raise `ConfigError` on an option that has no effect on this source of answers."""
    for name, value in values.items():
        if value != defaults[name]:
            raise ConfigError(
                f"--{name.replace('_', '-')} {value} is for {owner}, not for --{kind}",
                hint="leave it out",
            )


def matched(
    responder: ItemResponder | Imported, items: Callable[[], Iterable[Item]]
) -> ItemResponder:
    """A responder for these items; outputs of another harness are matched with them first.

    Args:
        responder: any.
        items: gives all items of the benchmark; called only for outputs of another harness.

    Raises:
        EvalError: outputs and items do not match.
    """
    from finesight.evals.responders.harness_logs import Imported

    if not isinstance(responder, Imported):
        return responder
    replay, lines = responder.match(items())
    for line in lines:
        sys.stderr.write(f"{responder.file}: {line}\n")
    return replay
