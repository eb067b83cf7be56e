# SPDX-License-Identifier: Apache-2.0
"""`finesight serve`: OpenAI's and Ollama's HTTP endpoints, and a page to try a model on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.imports import import_torch
from finesight.cli.progress import StageProgress
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from finesight.engine.options import EngineOptions
    from finesight.server.models import Offer, Served
    from finesight.server.settings import ServerSettings


Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Model: tiny or small (embedded), a folder, a GGUF file, Ollama's qwen2.5vl:7b, or a published name;"
        " NAME=MODEL gives it another name. Repeatable: the first is loaded at once, others at their first use.",
        metavar="MODEL",
        show_default=options.DEFAULT_MODEL,
    ),
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        help="Folder of a LoRA adapter of the first model, in the format of peft; NAME=FOLDER gives it a name."
        " Requests name it as their model. Repeatable.",
        metavar="FOLDER",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all.")]
Port = Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)]
Concurrency = Annotated[
    int, typer.Option(min=1, help="Requests that are computed together.", metavar="N")
]
ApiKeys = Annotated[
    Path | None,
    typer.Option(
        help="File of API keys, read again when it changes; without it everyone is let in.",
        metavar="FILE",
    ),
]
NewKey = Annotated[
    str | None,
    typer.Option(
        help="Print a new API key and its line for the file of --api-keys, then end.",
        metavar="NAME",
    ),
]
RequestsPerMinute = Annotated[
    int | None, typer.Option(min=1, help="Limit of each API key or client.", metavar="N")
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="Host from which media are fetched; .example.com has all names below it, * is every public host."
        " Repeatable.",
        metavar="HOST",
    ),
]
ServerName = Annotated[
    list[str] | None,
    typer.Option(
        help="Host name of this server, besides addresses and localhost; .example.com has all names below it."
        " Needed where a server without keys on a loopback address is reached by another name. Repeatable.",
        metavar="HOST",
        show_default="any name with --api-keys or another --host",
    ),
]
AllowFolder = Annotated[
    list[Path] | None,
    typer.Option(help="Folder from which media are read. Repeatable.", metavar="DIR"),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        help="Origin of web pages that may call this server (CORS). Repeatable.", metavar="URL"
    ),
]
MaxRequests = Annotated[
    int, typer.Option(min=1, help="Requests that are answered or wait.", metavar="N")
]
MaxLive = Annotated[int, typer.Option(min=1, help="Connections of live video.", metavar="N")]
MaxBody = Annotated[float, typer.Option(help="Largest request, in MB.")]
AnswerSeconds = Annotated[float, typer.Option(help="Longest time of an answer.")]
DrainSeconds = Annotated[float, typer.Option(help="Time of running answers after SIGTERM.")]
Replicas = Annotated[
    int | None,
    typer.Option(
        "--ray",
        min=1,
        help="Run N copies of the server with Ray Serve.",
        metavar="N",
        show_default="without Ray",
    ),
]


@dataclass(frozen=True, slots=True)
class _Loading:
    """How all models are loaded: options of `finesight.api.model.open_model`, and hosts of media."""

    device: str
    dtype: str | None
    weights: str | None
    hosts: tuple[str, ...]
    engine: EngineOptions


@command
def serve(
    *,
    model: Models = None,
    adapters: Adapters = None,
    mmproj: options.Mmproj = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    server_name: ServerName = None,
    concurrency: Concurrency = 16,
    api_keys: ApiKeys = None,
    new_key: NewKey = None,
    requests_per_minute: RequestsPerMinute = None,
    allow_host: AllowHost = None,
    allow_folder: AllowFolder = None,
    allow_origin: AllowOrigin = None,
    max_requests: MaxRequests = 1000,
    max_live: MaxLive = 16,
    max_body_mb: MaxBody = 64.0,
    answer_seconds: AnswerSeconds = 600.0,
    drain_seconds: DrainSeconds = 30.0,
    replicas: Replicas = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    draft_tokens: options.DraftTokens = 0,
) -> None:
    """Answer HTTP requests in the OpenAI format, and show a page on which a model can be tried.

    Media come as data: addresses; hosts and folders are closed until they are allowed. Stop it with Ctrl-C or SIGTERM.
    """
    if new_key is not None:
        _print_key(new_key)
        return
    from finesight.cli.server_memory import bound_memory
    from finesight.server.settings import ServerSettings

    bound_memory()
    settings = ServerSettings(
        max_body_mb=max_body_mb,
        answer_seconds=answer_seconds,
        max_requests=max_requests,
        max_live=max_live,
        requests_per_minute=requests_per_minute,
        hosts=tuple(allow_host or ()),
        folders=tuple(allow_folder or ()),
        origins=tuple(allow_origin or ()),
        server_names=_server_names(server_name, api_keys, host),
        keys_file=api_keys,
        drain_seconds=drain_seconds,
    )
    settings.check()
    engine = _engine_options(concurrency, max_requests, draft_tokens)
    how = _Loading(device, dtype, weights, settings.hosts, engine)
    offers = partial(_offers, model, adapters, mmproj, how)
    run = partial(_run_on_ray, replicas) if replicas else _run
    run(offers, settings, host, port)


def _server_names(names: list[str] | None, keys: Path | None, host: str) -> tuple[str, ...] | None:
    """Names that are checked if a browser on this machine could reach the server without a key, or if any is given."""
    is_open = keys is None and _is_loopback(host)
    return tuple(names or ()) if names or is_open else None


def _print_key(name: str) -> None:
    from finesight.server.keys import new_key

    secret, line = new_key(name)
    sys.stderr.write(f"the key, which is not stored anywhere: {secret}\n")
    sys.stderr.write("its line for the file of --api-keys:\n")
    sys.stdout.write(f"{line}\n")


def _engine_options(concurrency: int, max_requests: int, draft_tokens: int) -> EngineOptions:
    from finesight.engine.options import EngineOptions

    return EngineOptions(
        max_sequences=concurrency,
        max_step_tokens=max(2048, concurrency),
        max_waiting=max_requests,
        draft_tokens=draft_tokens,
    )


def _offers(
    names: list[str] | None, adapters: list[str] | None, mmproj: Path | None, how: _Loading
) -> list[Offer]:
    """The models, and the adapters of the first one."""
    from finesight.api.adapters import adapter_folders
    from finesight.server.models import adapter_offers

    folders = adapter_folders(adapters)
    first, *others = names or [options.DEFAULT_MODEL]
    base = _offer(first, how, folders, mmproj)
    found = [base, *adapter_offers(base, folders)]
    return found + [_offer(name, how, {}) for name in others]


def _offer(
    name: str, how: _Loading, adapters: Mapping[str, Path], mmproj: Path | None = None
) -> Offer:
    """A model that is loaded when it is needed; its name and folder are checked now."""
    import_torch()
    from finesight.api.checkpoints import find_checkpoint
    from finesight.api.model import open_model
    from finesight.server.media import fetch_policy
    from finesight.server.models import Offer, Served

    shown, equals, source = name.partition("=")
    source = source if equals else name
    if equals and not shown.strip():
        raise ConfigError(f"--model {name} has no name before =", hint="give NAME=MODEL")
    folder = find_checkpoint(source, mmproj=mmproj)

    def load() -> Served:
        with StageProgress() as progress:
            opened = open_model(
                source,
                folder,
                device=how.device,
                dtype=how.dtype,
                weights=how.weights,
                adapters=adapters,
                engine=how.engine,
                fetch_policy=fetch_policy(how.hosts),
                on_stage=lambda stage, done, total: (
                    progress(stage, done, total) if stage == "load" else None
                ),
            )
            return Served(shown, opened.engine, opened.defaults)

    num_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Offer(shown, load, num_bytes)


def _run(find: Callable[[], list[Offer]], settings: ServerSettings, host: str, port: int) -> None:
    from finesight.server.models import Models
    from finesight.server.run import serve as run

    offers = find()
    models = Models(offers)
    _say_who_is_let_in(settings, host)
    _log_to_stderr()
    offers[0].loaded = offers[0].load()
    ready = partial(_print_ready, [offer.name for offer in offers])
    run(models, settings, host=host, port=port, on_ready=ready)


def _run_on_ray(
    replicas: int, offers: Callable[[], list[Offer]], settings: ServerSettings, host: str, port: int
) -> None:
    from finesight.server.on_ray import serve_on_ray

    names = [offer.name for offer in offers()]  # a wrong name is reported before Ray starts
    _say_who_is_let_in(settings, host)
    serve_on_ray(
        partial(_application, offers, settings),
        settings,
        replicas=replicas,
        host=host,
        port=port,
        on_ready=partial(_print_ready, names),
    )


def _application(offers: Callable[[], list[Offer]], settings: ServerSettings) -> FastAPI:
    """The application of a replica, with its first model loaded."""
    from finesight.server.app import create_app
    from finesight.server.models import Models

    found = offers()
    found[0].loaded = found[0].load()
    return create_app(Models(found), settings)


def _say_who_is_let_in(settings: ServerSettings, host: str) -> None:
    if settings.keys_file is None and not _is_loopback(host):
        sys.stderr.write(f"note: everyone who reaches {host} is let in; --api-keys sets keys\n")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _print_ready(names: list[str], url: str) -> None:
    sys.stderr.write(f"ready: {url}/v1 (OpenAI API), models {', '.join(names)}\n")
    sys.stderr.flush()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
