# SPDX-License-Identifier: Apache-2.0
"""`finesight eval run`: ask the questions of benchmarks and store every answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.cli import eval_options, options
from finesight.cli.command import command
from finesight.cli.eval_answerer import (
    Answerer,
    EndpointOptions,
    LocalOptions,
    StoredOutputs,
    answerer_of,
    matched,
)
from finesight.cli.eval_benchmark import (
    LEAST_UNREAD,
    Benchmark,
    Extent,
    changed,
    check_folders,
    copy_of,
    given,
    refuse_unread,
)
from finesight.cli.eval_judge import JudgeOptions, judge_of, judged
from finesight.cli.output import print_json
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Task
    from finesight.evals.judge.ask import Judge
    from finesight.evals.judge.run import Judged


@command
def run(
    task: eval_options.Tasks,
    *,
    data: eval_options.Data,
    out: eval_options.Out = Path("runs/eval"),
    local: LocalOptions,
    remote: EndpointOptions,
    replay: eval_options.Replay = None,
    space: eval_options.SpaceOption = None,
    prompt: eval_options.PromptName = None,
    extractor: eval_options.ExtractorName = None,
    limit: eval_options.Limit = None,
    shard: eval_options.Shard = None,
    workers: eval_options.Workers = 1,
    batch: eval_options.Batch = 1,
    retry_errors: eval_options.RetryErrors = False,
    cache: eval_options.Cache = None,
    judging: JudgeOptions,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    fps: eval_options.VideoFps = None,
    max_frames: eval_options.MaxFrames = None,
    max_new_tokens: options.MaxNewTokens = None,
    temperature: options.Temperature = None,
    as_json: options.AsJson = False,
) -> None:
    """Ask the questions of benchmarks; after a crash, run the same command again.

    Pixels, frames and sampling are the benchmark's own unless given here. Answers are stored in DIR/TASK/samples.jsonl
    and can be rescored without asking again. With a judge, the score by rule is printed as well.
    """
    from finesight.evals.core import registry

    local, remote = replace(local, batch=batch), replace(remote, workers=workers)
    who = answerer_of(local, remote, replay, space=space, cache=cache)
    pixels = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    budget = {**pixels, "fps": fps, "max_frames": max_frames}
    sampling = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    _refuse_unused_sampling(who, sampling)
    extent = Extent(limit, shard or (0, 1), workers, batch, retry_errors)
    tasks = [changed(registry.task(name), budget=budget, sampling=sampling) for name in task]
    judge = judge_of(judging, tasks=tasks, shard=extent.shard)
    benchmarks = [Benchmark.of(*each, out, prompt, extractor) for each in _copies(tasks, data)]
    done = _run_all(benchmarks, who, extent)
    verdicts = _judged(benchmarks, judge, workers)
    show(done, out, as_json=as_json, judged=verdicts)
    _refuse_unread_by_rule(done, verdicts, who)


def _copies(tasks: Sequence[Task], data: Path) -> list[tuple[Task, Path]]:
    """The tasks with their local copies."""
    return [(each, copy_of(each, data, len(tasks))) for each in tasks]


def _refuse_unread_by_rule(
    done: Mapping[str, RunResult], verdicts: Mapping[str, Judged], who: Answerer
) -> None:
    by_rule = {name: run for name, run in done.items() if name not in verdicts}
    refuse_unread(by_rule, least=1 if isinstance(who, StoredOutputs) else LEAST_UNREAD)


def _refuse_unused_sampling(who: Answerer, sampling: Mapping[str, float | None]) -> None:
    if isinstance(who, StoredOutputs) and (unused := [*given(sampling)]):
        raise ConfigError(
            f"--{unused[0].replace('_', '-')} has no effect on stored answers", hint="leave it out"
        )


def _judged(
    benchmarks: Sequence[Benchmark], judge: Judge | None, workers: int
) -> dict[str, Judged]:
    """Judged runs by task; empty without a judge."""
    if judge is None:
        return {}
    return {
        each.task.name: judged(each.folder, each.task, judge, workers=workers)
        for each in benchmarks
    }


def _run_all(
    benchmarks: Sequence[Benchmark], who: Answerer, extent: Extent
) -> dict[str, RunResult]:
    """Run benchmarks one after another; folders and tasks are checked first."""
    cache = None if isinstance(who, StoredOutputs) else who.cache
    check_folders(*(each.folder for each in benchmarks), cache)
    live = [each.task.name for each in benchmarks if each.task.is_live]
    if live and not isinstance(who, StoredOutputs):  # stored episodes need no environment
        raise ConfigError(
            f"task {live[0]} needs an environment", hint=f"finesight eval live {live[0]}"
        )
    responder = who.responder()
    return {
        each.task.name: each.run(matched(responder, each.items), who.space, extent)
        for each in benchmarks
    }


def show(
    done: Mapping[str, RunResult],
    out: Path,
    *,
    as_json: bool,
    judged: Mapping[str, Judged] | None = None,
) -> None:
    """Print scores, by rule and by the judge if there is one."""
    judged = judged or {}
    if as_json:
        print_json({"runs": [_described(*each, judged, out) for each in done.items()]})
        return
    for name, run in done.items():
        if name in judged:
            sys.stdout.write("".join(f"{line}\n" for line in judged[name].lines()))
        elif run.result is not None:
            sys.stdout.write(f"{run.result.line()}\n")
        else:
            sys.stderr.write(
                f"{name}: {len(run.samples)} items of this shard are answered; "
                "`finesight eval rescore FOLDER` brings shards together\n"
            )
    sys.stderr.write(f"answers and results are in {out}\n")


def _described(
    name: str, run: RunResult, judged: Mapping[str, Judged], out: Path
) -> dict[str, Any]:
    facts = {"folder": str(out / name), "items": len(run.samples), "asked": run.num_asked}
    found = {"task": name, **facts, "result": run.result and asdict(run.result)}
    return found | ({"judged": asdict(judged[name])} if name in judged else {})
