# SPDX-License-Identifier: Apache-2.0
"""`finesight eval run`: ask the questions of benchmarks and keep every answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.cli import eval_options, options
from finesight.cli.errors import reported
from finesight.cli.eval_answerer import Answerer, matched, only_one, responder_of
from finesight.cli.output import print_json

if TYPE_CHECKING:
    from finesight.evals.core.journal import Sample
    from finesight.evals.core.judgement import Judge
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Task
    from finesight.evals.judge.run import Judged


@dataclass(frozen=True, slots=True)
class Changes:
    """What is changed of a task's own pixels, frames and sampling; None leaves it."""

    budget: Mapping[str, float | None]
    sampling: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Part:
    """Which items are asked, and how many at once."""

    limit: int | None
    shard: tuple[int, int]
    workers: int
    retry_errors: bool


def run(
    task: eval_options.Tasks,
    *,
    data: eval_options.Data,
    out: eval_options.Out = Path("runs/eval"),
    model: eval_options.Model = None,
    endpoint: eval_options.EndpointUrl = None,
    endpoint_model: eval_options.EndpointModel = None,
    api_key: eval_options.ApiKey = "",
    replay: eval_options.Replay = None,
    space: eval_options.SpaceOption = None,
    prompt: eval_options.PromptName = None,
    extractor: eval_options.ExtractorName = None,
    limit: eval_options.Limit = None,
    shard: eval_options.Shard = None,
    workers: eval_options.Workers = 1,
    retry_errors: eval_options.RetryErrors = False,
    cache: eval_options.Cache = None,
    judge: eval_options.JudgeUrl = None,
    judge_model: eval_options.JudgeModel = None,
    judge_key: eval_options.JudgeKey = "",
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    fps: eval_options.VideoFps = None,
    max_frames: eval_options.MaxFrames = None,
    max_new_tokens: options.MaxNewTokens = None,
    temperature: options.Temperature = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Ask the questions of benchmarks; after a crash, run the same command again.

    Pixels, frames and sampling are the benchmark's own unless they are changed here. Every answer is
    kept in DIR/TASK/samples.jsonl and can be scored anew without asking again. With a judge, the score
    by rule is given as well.
    """
    with reported(debug=debug):
        from finesight.evals.core import registry

        tasks = [registry.task(name) for name in task]
        named = {"model": model, "endpoint": endpoint, "replay": replay}
        who = Answerer(
            kind=only_one(named),
            model=model or options.DEFAULT_MODEL,
            device=device,
            dtype=dtype,
            endpoint=endpoint or "",
            endpoint_model=endpoint_model,
            api_key=api_key,
            replay=replay or Path(),
            space=space,
            cache=cache,
        )
        changes = Changes(
            budget={
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "fps": fps,
                "max_frames": max_frames,
            },
            sampling={"max_new_tokens": max_new_tokens, "temperature": temperature},
        )
        rules = (prompt, extractor)
        part = Part(limit, shard or (0, 1), workers, retry_errors)
        judging = _judge((judge, judge_model, judge_key), tasks, part)
        done = _run_all(tasks, rules, (data, out), who, changes, part)
        verdicts = {} if judging is None else _judged(done, out, judging, workers)
        show(done, out, as_json=as_json, judged=verdicts)
        by_rule = [each for each in done if each[0].name not in verdicts]
        refuse_unread(by_rule, least=1 if who.kind == "replay" else LEAST_UNREAD)


def _judge(
    named: tuple[str | None, str | None, str], tasks: list[Task], part: Part
) -> Judge | None:
    """Who judges, looked at before anything is asked."""
    from finesight.cli.eval_judge import judge_of
    from finesight.errors import ConfigError

    judge = judge_of(*named, tasks=tasks)
    if judge is not None and part.shard[1] > 1:
        raise ConfigError(
            f"--judge is for whole runs, not for shard {part.shard[0]} of {part.shard[1]}",
            hint="bring shards together and judge: finesight eval rescore FOLDER --judge URL",
        )
    return judge


def _judged(
    done: Sequence[tuple[Task, RunResult]], out: Path, judge: Judge, workers: int
) -> dict[str, Judged]:
    from finesight.cli.eval_judge import judged

    return {task.name: judged(out / task.name, task, judge, workers=workers) for task, _ in done}


def _run_all(
    tasks: list[Task],
    rules: tuple[str | None, str | None],
    places: tuple[Path, Path],
    who: Answerer,
    changes: Changes,
    part: Part,
) -> list[tuple[Task, RunResult]]:
    """Run task after task with one model; everything that can be wrong is looked at first."""
    from finesight.cli.output import check_writable
    from finesight.errors import ConfigError
    from finesight.evals.core import registry
    from finesight.evals.core.run import run as run_task

    data, out = places
    for place in (*(out / each.name for each in tasks), who.cache):
        if place is not None:
            check_writable(place, is_folder=True)
    chosen = [
        (each, registry.find_prompt(each, rules[0]), registry.find_extractor(each, rules[1]))
        for each in tasks
    ]
    _refuse_live(tasks, who)
    if who.kind == "replay" and (idle := [*given(changes.sampling)]):
        raise ConfigError(
            f"--{idle[0].replace('_', '-')} has no effect on stored answers", hint="leave it out"
        )
    responder, space = responder_of(who, workers=part.workers)
    done = []
    for task, prompt, extractor in chosen:
        budget = replace(task.budget, **given(changes.budget))
        items = partial(prompt.items, copy_of(task, data, len(tasks)), budget)
        answerer = matched(responder, items)
        with ProgressBar(task.name, part.limit) as bar:
            result = run_task(
                task,
                prompt,
                items(),
                answerer,
                folder=out / task.name,
                space=space,
                extractor=extractor,
                budget=budget,
                sampling=replace(task.sampling, **given(changes.sampling)),
                limit=part.limit,
                shard=part.shard,
                workers=part.workers,
                retry_errors=part.retry_errors,
                on_progress=bar,
            )
        refuse_silence(task, result)
        done.append((task, result))
    return done


def _refuse_live(tasks: Sequence[Task], who: Answerer) -> None:
    """Episodes are played, not asked; stored ones can be scored like any answer."""
    from finesight.errors import ConfigError

    live = [task.name for task in tasks if task.is_live]
    if live and who.kind != "replay":
        raise ConfigError(
            f"task {live[0]} is played on a screen", hint=f"finesight eval live {live[0]}"
        )


def given(values: Mapping[str, float | None]) -> dict[str, Any]:
    """What is changed, without what is left."""
    return {name: value for name, value in values.items() if value is not None}


def copy_of(task: Task, data: Path, num_tasks: int) -> Path:
    """Where the local copy of a task is: in a folder of its name, or right here if it is the only one."""
    own = data / task.name
    return own if num_tasks > 1 or own.exists() else data


class ProgressBar:
    """Progress on standard error."""

    def __init__(self, name: str, limit: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bars = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
        self._task = self._bars.add_task(name, total=limit)

    def __enter__(self) -> ProgressBar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, done: int, sample: Sample) -> None:
        """Show how many are done."""
        del sample
        self._bars.update(self._task, completed=done)


def refuse_silence(task: Task, done: RunResult) -> None:
    """Raise where nothing at all was answered, because that is no score."""
    from finesight.errors import EvalError

    samples = done.samples
    if samples and all(sample.text is None for sample in samples):
        first = next((each for each in samples if each.message), samples[0])
        raise EvalError(
            f"none of {len(samples)} items of {task.name} was answered; the first: {first.message}",
            hint="mend that, then run the same command with --retry-errors",
        )


LEAST_UNREAD = 2
"""Answers of a model in which nothing was read that make a failure: one alone is a look at what it says."""


def refuse_unread(done: Sequence[tuple[Task, RunResult]], *, least: int) -> None:
    """Raise where answers came and nothing could be read in any of them: their score says nothing of the model.

    Args:
        done: runs.
        least: answers of a run from which on this is a failure.

    Raises:
        EvalError: nothing was read in a run.
    """
    from finesight.errors import EvalError

    unread = {}
    for task, result in done:
        answered = [sample for sample in result.samples if sample.text is not None]
        if len(answered) >= least and all(
            each.parsed is None or each.error is not None for each in answered
        ):
            unread[task.name] = answered
    if unread:
        counts = ", ".join(f"{name} ({len(answered)})" for name, answered in unread.items())
        first = next(iter(unread.values()))[0]
        said = f"; {first.message}" if first.message else ""
        raise EvalError(
            f"nothing could be read in any answer of {counts}; the first: {first.text!r:.200}{said}",
            hint="if answers are there, read them by another rule: finesight eval rescore FOLDER --extractor NAME",
        )


def show(
    done: Sequence[tuple[Task, RunResult]],
    out: Path,
    *,
    as_json: bool,
    judged: Mapping[str, Judged] | None = None,
) -> None:
    """Scores on standard output, by rule and by a judge where there was one."""
    judged = judged or {}
    if as_json:
        print_json({"runs": [_described(*each, judged, out) for each in done]})
        return
    for task, result in done:
        if task.name in judged:
            sys.stdout.write("".join(f"{line}\n" for line in judged[task.name].lines()))
        elif result.result is not None:
            sys.stdout.write(f"{result.result.line()}\n")
        else:
            sys.stderr.write(
                f"{task.name}: {len(result.samples)} items of this shard are answered; "
                "`finesight eval rescore FOLDER` brings shards together\n"
            )
    sys.stderr.write(f"answers and results are in {out}\n")


def _described(
    task: Task, done: RunResult, judged: Mapping[str, Judged], out: Path
) -> dict[str, Any]:
    facts = {"folder": str(out / task.name), "items": len(done.samples), "asked": done.num_asked}
    found = {"task": task.name, **facts, "result": done.result and asdict(done.result)}
    return found | ({"judged": asdict(judged[task.name])} if task.name in judged else {})
