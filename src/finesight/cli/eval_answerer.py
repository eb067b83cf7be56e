# SPDX-License-Identifier: Apache-2.0
"""Who answers a benchmark: a model here, an endpoint, or stored outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from finesight.cli.options import DEFAULT_MODEL
from finesight.cli.session import ModelChoice
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.responders import ItemResponder
    from finesight.evals.core.task import Item, Space
    from finesight.evals.responders.harness_logs import Imported
    from finesight.evals.responders.model import FromModel
    from finesight.evals.responders.replay import Replay


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model of this machine.

    Attributes:
        choice: which, where, in which dtype.
        space: what coordinates in its answers mean.
        cache: folder that keeps its answers; None keeps none.
        batch: sequences that are decoded together. More than one are part of its name: sums are then rounded
            differently, so that answers may differ.
    """

    choice: ModelChoice
    space: Space = "resized"
    cache: Path | None = None
    batch: int = 1

    def responder(self) -> FromModel:
        """The loaded model, named by the digest of its files and the type of its weights."""
        from finesight.api import load
        from finesight.api.checkpoints import find_checkpoint
        from finesight.evals.core.digests import folder_digest
        from finesight.evals.responders.model import FromModel

        name, choice = self.choice.name, self.choice
        digest = folder_digest(find_checkpoint(name))
        loaded = load(name, device=choice.device, dtype=choice.dtype)
        loaded.engine.max_sequences = self.batch
        dtype = str(next(loaded.network.parameters()).dtype).removeprefix("torch.")
        together = f", {self.batch} together" if self.batch > 1 else ""
        described = f"{name} ({digest[:12]}, {dtype}{together})"
        return FromModel(loaded.engine, described, cache=self.cache)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model behind an OpenAI-compatible API.

    Attributes:
        url: base address.
        model: what the API calls it.
        api_key: empty sends none.
        space: what coordinates in its answers mean; "resized" has pictures resized before they are sent.
        cache: folder that keeps its answers; None keeps none.
    """

    url: str
    model: str | None
    api_key: str
    space: Space
    cache: Path | None = None

    def responder(self) -> FromModel:
        """The endpoint, named by its model, its address and what it is sent.

        Raises:
            ConfigError: it is not said what the API calls its model.
        """
        from finesight.config.processor import ProcessorConfig
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
        return FromModel(client, name, declares_resize=fits, cache=self.cache)


@dataclass(frozen=True, slots=True)
class StoredOutputs:
    """Answers that were given before, by us or in another harness.

    Attributes:
        path: their file, or the folder of a run.
        space: what coordinates in them mean.
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
    *,
    model: str | None = None,
    endpoint: str | None = None,
    endpoint_model: str | None = None,
    api_key: str = "",
    replay: Path | None = None,
    space: Space | None = None,
    cache: Path | None = None,
    device: str = "auto",
    dtype: str | None = None,
    workers: int = 1,
    batch: int = 1,
) -> Answerer:
    """Who is to answer, by the options of a command.

    Raises:
        ConfigError: two are given, something needed is not said, or an option has no effect on this kind.
    """
    kind = only_one({"model": model, "endpoint": endpoint, "replay": replay})
    if kind != "model" and space is None:
        raise ConfigError(
            f"--{kind} needs --space: what coordinates in its answers mean",
            hint="resized, original, relative_1000 or relative_1; any of them where a task has no coordinates",
        )
    of_endpoints = {"endpoint-model": endpoint_model, "workers": workers if workers > 1 else None}
    of_models = {
        "device": device if device != "auto" else None,
        "dtype": dtype,
        "batch": batch if batch > 1 else None,
    }
    if kind != "endpoint":
        _refuse_idle(kind, "endpoints", of_endpoints)
    if kind != "model":
        _refuse_idle(kind, "models here", of_models)
    if replay is not None and space is not None:
        _refuse_idle(kind, "models", {"cache": cache})
        return StoredOutputs(replay, space)
    if endpoint is not None and space is not None:
        return RemoteModel(
            url=endpoint, model=endpoint_model, api_key=api_key, space=space, cache=cache
        )
    choice = ModelChoice(model or DEFAULT_MODEL, device, dtype)
    return LocalModel(choice, space or "resized", cache, batch)


def only_one(named: Mapping[str, object]) -> str:
    """The one answerer that is given; a model if there is none.

    Raises:
        ConfigError: there are two.
    """
    found = [name for name, value in named.items() if value is not None]
    if len(found) > 1:
        raise ConfigError(f"both --{found[0]} and --{found[1]} are to answer", hint="give one")
    return found[0] if found else "model"


def _refuse_idle(kind: str, owner: str, values: Mapping[str, object]) -> None:
    """Raise `ConfigError` on an option that has no effect on this kind of answerer."""
    for option, value in values.items():
        if value is not None:
            raise ConfigError(
                f"--{option} {value} is for {owner}, and --{kind} answers", hint="leave it out"
            )


def matched(
    responder: ItemResponder | Imported, items: Callable[[], Iterable[Item]]
) -> ItemResponder:
    """A responder that answers these items: outputs of another harness are first matched with them.

    Args:
        responder: any.
        items: gives all items of the benchmark; called only where they are needed.

    Raises:
        EvalError: outputs and items do not belong together.
    """
    from finesight.evals.responders.harness_logs import Imported

    if not isinstance(responder, Imported):
        return responder
    replay, lines = responder.match(items())
    for line in lines:
        sys.stderr.write(f"{responder.file}: {line}\n")
    return replay
