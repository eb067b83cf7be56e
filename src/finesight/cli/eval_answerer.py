# SPDX-License-Identifier: Apache-2.0
"""Who answers a benchmark: a model here, an endpoint, or stored outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.responders import FromModel, ItemResponder
    from finesight.evals.core.task import Item, Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """Who is to answer, as the command line says it.

    Attributes:
        kind: "model", "endpoint" or "replay"; fields of the others are not looked at.
        model: tiny, a folder, or a published name.
        device: of the model.
        dtype: of its weights; None takes the checkpoint's.
        endpoint: base address.
        endpoint_model: what the endpoint calls its model.
        api_key: of the endpoint; empty sends none.
        replay: file of stored outputs.
        space: what coordinates in answers mean; None takes what a model here does.
        cache: folder that keeps answers; None keeps none.
    """

    kind: str
    model: str
    device: str
    dtype: str | None
    endpoint: str
    endpoint_model: str | None
    api_key: str
    replay: Path
    space: Space | None
    cache: Path | None


def only_one(named: Mapping[str, object]) -> str:
    """The one answerer that is given; a model if there is none.

    Raises:
        ConfigError: there are two.
    """
    found = [name for name, value in named.items() if value is not None]
    if len(found) > 1:
        raise ConfigError(f"both --{found[0]} and --{found[1]} are to answer", hint="give one")
    return found[0] if found else "model"


def responder_of(who: Answerer, *, workers: int) -> tuple[ItemResponder, Space]:
    """Who answers, and what coordinates in the answers mean.

    Raises:
        ConfigError: something needed is not said.
    """
    if who.kind != "model" and who.space is None:
        raise ConfigError(
            f"--{who.kind} needs --space: what coordinates in its answers mean",
            hint="resized, original, relative_1000 or relative_1; any of them where a task has no coordinates",
        )
    _refuse_idle(who, workers)
    responder: ItemResponder
    if who.kind == "endpoint":
        responder = _from_endpoint(who)
    elif who.kind == "replay":
        responder = _from_file(who)
    else:
        responder = loaded_responder(who.model, who.device, who.dtype)
    if who.cache is not None:
        from finesight.evals.responders.cache import Cached

        responder = Cached(responder, who.cache)
    return responder, who.space or "resized"


def _refuse_idle(who: Answerer, workers: int) -> None:
    """Raise `ConfigError` on an option that has no effect on this kind of answerer."""
    of_endpoints: dict[str, object] = {
        "--endpoint-model": who.endpoint_model,
        "--workers": workers if workers > 1 else None,
    }
    of_models: dict[str, object] = {
        "--device": who.device if who.device != "auto" else None,
        "--dtype": who.dtype,
    }
    idle: dict[str, dict[str, object]] = {
        "model": of_endpoints,
        "endpoint": of_models,
        "replay": {**of_endpoints, **of_models},
    }
    for option, value in idle[who.kind].items():
        if value is not None:
            owner = "endpoints" if option in of_endpoints else "models here"
            raise ConfigError(
                f"{option} {value} is for {owner}, and --{who.kind} answers", hint="leave it out"
            )


def matched(responder: ItemResponder, items: Callable[[], Iterable[Item]]) -> ItemResponder:
    """A responder that answers these items: outputs of another harness first have to meet them.

    Args:
        responder: any.
        items: gives all items of the benchmark; called only where they are needed.

    Raises:
        EvalError: outputs and items do not belong together.
    """
    from finesight.evals.responders.harness_logs import Imported

    if not isinstance(responder, Imported):
        return responder
    match = responder.match(items())
    for line in match.lines():
        sys.stderr.write(f"{responder.file}: {line}\n")
    return match.replay


def _from_file(who: Answerer) -> ItemResponder:
    """Stored outputs, our own or those of another harness."""
    from finesight.evals.core.responders import Replay
    from finesight.evals.responders.harness_logs import load_outputs

    resizes = who.space == "resized"
    if resizes:
        sys.stderr.write(
            "resized sizes that are not stored follow from the pixels of the benchmark, or of --min-pixels and"
            " --max-pixels\n"
        )
    imported = load_outputs(who.replay, resizes=resizes)
    if imported is None:
        return Replay.load(who.replay, resizes=resizes)
    if who.cache is not None:
        raise ConfigError("--cache keeps answers of models; --replay has them", hint="leave it out")
    sys.stderr.write(
        f"{imported.file}: {len(imported.outputs)} outputs logged by {imported.harness}\n"
    )
    return imported


def loaded_responder(model: str, device: str, dtype: str | None = None) -> FromModel:
    """A model of this machine, named by the digest of its files and the type of its weights."""
    from finesight.api import load
    from finesight.api.checkpoints import find_checkpoint
    from finesight.evals.core.digests import folder_digest
    from finesight.evals.core.responders import FromModel

    digest = folder_digest(find_checkpoint(model))
    loaded = load(model, device=device, dtype=dtype)
    kept = str(next(loaded.network.parameters()).dtype).removeprefix("torch.")
    return FromModel(loaded.engine, f"{model} ({digest[:12]}, {kept})")


def _from_endpoint(who: Answerer) -> ItemResponder:
    from finesight.config.processor import ProcessorConfig
    from finesight.evals.core.responders import FromModel
    from finesight.media.fetch import address_name
    from finesight.processor.resize import fit_image
    from finesight.remote.client import Endpoint

    if who.endpoint_model is None:
        raise ConfigError("--endpoint needs --endpoint-model", hint="what the API calls its model")
    config = ProcessorConfig()
    fits = who.space == "resized"
    client = Endpoint(
        url=who.endpoint,
        model=who.endpoint_model,
        api_key=who.api_key,
        config=config,
        fit=(lambda size, part: fit_image(size, part, config).resized) if fits else None,
    )
    if not fits:
        sys.stderr.write("pictures are sent as they are: the endpoint decides on their pixels\n")
    how = "resized here" if fits else "pictures as they are"
    name = f"{who.endpoint_model} at {address_name(who.endpoint)} ({how})"
    return FromModel(client, name, declares_resize=fits)
