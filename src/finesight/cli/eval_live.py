# SPDX-License-Identifier: Apache-2.0
"""`finesight eval live`: play episodes in an environment, or score stored episodes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from finesight.cli import eval_options, options
from finesight.cli.command import command
from finesight.cli.eval_answerer import (
    Answerer,
    EndpointOptions,
    LocalOptions,
    StoredOutputs,
    answerer_of,
    only_one,
)
from finesight.cli.eval_benchmark import (
    LEAST_UNREAD,
    Benchmark,
    Extent,
    changed,
    check_folders,
    refuse_unread,
)
from finesight.cli.eval_run import show
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.responders import Baseline, ItemResponder
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Space, Task
    from finesight.screen.environment import Environment

TaskName = Annotated[str, typer.Argument(help="miniwob, osworld, android_world or mobile_miniwob.")]
BaselineName = Literal["oracle", "random", "constant"]
BaselineKind = Annotated[
    BaselineName | None,
    typer.Option(help="Play without a model: scripted solutions, random or constant clicks."),
]
Stored = Annotated[
    Path | None,
    typer.Option(
        help="Score episodes played elsewhere: a folder of OSWorld results, or a table of episodes.",
        metavar="PATH",
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Answers per episode at most.")]
Scale = Annotated[
    float, typer.Option(min=1, max=8, help="miniwob: pixels of a screenshot per pixel of the page.")
]
Provider = Annotated[str, typer.Option(help="osworld: provider of the virtual computer.")]
MachineImage = Annotated[
    str | None, typer.Option(help="osworld: image of the virtual computer.", metavar="FILE")
]
ConsolePort = Annotated[int, typer.Option(help="android_world, mobile_miniwob: of the emulator.")]


@command
def live(
    task: TaskName,
    *,
    data: eval_options.Data,
    out: eval_options.Out = Path("runs/eval"),
    local: LocalOptions,
    remote: EndpointOptions,
    baseline: BaselineKind = None,
    replay: Stored = None,
    space: eval_options.SpaceOption = None,
    prompt: eval_options.PromptName = None,
    steps: Steps = 10,
    scale: Scale = 2.0,
    provider: Provider = "docker",
    vm: MachineImage = None,
    console_port: ConsolePort = 5554,
    limit: eval_options.Limit = None,
    shard: eval_options.Shard = None,
    retry_errors: eval_options.RetryErrors = False,
    cache: eval_options.Cache = None,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = None,
    temperature: options.Temperature = None,
    as_json: options.AsJson = False,
) -> None:
    """Play episodes in an environment; after a crash, run the same command again.

    Each episode is one line of DIR/TASK/samples.jsonl: answers, steps, digests of the screens, and the
    score of the environment. The screens are in DIR/TASK/screens.
    """
    asked = {"model": local.model, "endpoint": remote.endpoint}
    only_one({**asked, "baseline": baseline, "replay": replay})
    found = changed(
        _live_task(task),
        budget={"min_pixels": min_pixels, "max_pixels": max_pixels},
        sampling={"max_new_tokens": max_new_tokens, "temperature": temperature},
    )
    benchmark = Benchmark.of(found, data, out, prompt=prompt)
    extent = Extent(limit=limit, shard=shard or (0, 1), retry_errors=retry_errors)
    if replay is not None:
        done = benchmark.run(_stored(task, replay), "original", extent)
    else:
        who = baseline or answerer_of(local, remote, space=space, cache=cache)
        check_folders(benchmark.folder, cache)
        environment = _environment(task, data, scale, provider, vm, console_port)
        done = _play(benchmark, extent, who, environment, steps)
    show({task: done}, out, as_json=as_json)
    refuse_unread({task: done}, least=LEAST_UNREAD if replay is None else 1)


def _play(
    benchmark: Benchmark,
    extent: Extent,
    who: Answerer | BaselineName,
    environment: Environment,
    steps: int,
) -> RunResult:
    """Play in an environment with a model, an endpoint or a baseline; the environment is closed afterwards."""
    from finesight.evals.live.play import Player

    task, prompt = benchmark.task, benchmark.prompt
    with closing(environment):
        facts = {**environment.facts, "steps": steps}  # first: a missing package is an error here
        inner, space = _player(who, environment)
        player = Player(
            inner=inner,
            environment=environment,
            space=space,
            most_steps=steps,
            budget=task.budget,
            screens=benchmark.folder / "screens",
            manner="progress" if isinstance(who, str) else prompt.name,
        )
        return benchmark.run(player, space, extent, {**facts, "wording": player.wording})


def _player(who: Answerer | BaselineName, environment: Environment) -> tuple[ItemResponder, Space]:
    """The source of answers, one screen at a time, and the unit of coordinates in its answers."""
    if isinstance(who, str):
        return _baseline(who, environment), "original"
    assert not isinstance(who, StoredOutputs)  # `live` passes no stored outputs
    return who.responder(), who.space


def _environment(
    task: str, data: Path, scale: float, provider: str, vm: str | None, console_port: int
) -> Environment:
    """The environment of a benchmark; each kind uses its own options."""
    if task == "miniwob":
        from finesight.evals.live.miniwob import MiniWob

        return MiniWob(data, scale=scale)
    if task == "osworld":
        from finesight.evals.live.osworld import OsWorld

        return OsWorld(provider=provider, path_to_vm=vm)
    from finesight.evals.live.android_world import AndroidWorld, Family

    family: Family = "android_world" if task == "android_world" else "miniwob"
    return AndroidWorld(family, console_port=console_port)


def _baseline(kind: BaselineName, environment: Environment) -> Baseline:
    from finesight.evals.live.baselines import baseline
    from finesight.evals.live.miniwob import MiniWob

    if not isinstance(environment, MiniWob):
        raise ConfigError("only miniwob has baselines", hint="give --model or --endpoint")
    return baseline(kind, environment, environment.screen)


def _stored(task: str, path: Path) -> ItemResponder:
    """Stored episodes of this program or of the benchmark's own scripts."""
    from finesight.evals.live.stored import OsWorldRecords, stored_successes
    from finesight.evals.responders.replay import Replay

    if task == "osworld" and path.is_dir():
        return OsWorldRecords(path)
    if path.name.startswith("samples") or task in ("miniwob", "osworld"):
        return Replay.load(path)
    return stored_successes(path)


def _live_task(name: str) -> Task:
    from finesight.evals.core import registry

    found = registry.task(name)
    if not found.is_live:
        raise ConfigError(
            f"task {name} has no episodes to play", hint=f"use `finesight eval run {name}`"
        )
    return found
