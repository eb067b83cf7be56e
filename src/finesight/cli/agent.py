# SPDX-License-Identifier: Apache-2.0
"""`finesight agent`: work on a screen until a task is done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli import agent_gate as gating
from finesight.cli import agent_traces as traces
from finesight.cli import options, screens
from finesight.cli.errors import INTERRUPTED, reported
from finesight.cli.output import check_report, check_writable, print_json
from finesight.cli.session import ModelChoice
from finesight.errors import AppError, ConfigError

if TYPE_CHECKING:
    from finesight.apps.agent.gate import Gate
    from finesight.apps.agent.records import AgentOptions, Run, Step
    from finesight.responder import Responder


class MannerName(StrEnum):
    """How earlier steps are written in the prompt."""

    COOKBOOK = "cookbook"
    THINKING = "thinking"
    LOW = "low"
    WINDOW = "window"


Goal = Annotated[
    str, typer.Argument(help="The task in words. Not with --macro, --compare or --export.")
]
TraceFolder = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        help="Folder for steps, screens and report; a stopped run goes on in it.",
        metavar="DIR",
    ),
]
Report = Annotated[Path | None, typer.Option(help="HTML page of all steps.", metavar="FILE")]
MannerOption = Annotated[
    MannerName, typer.Option("--manner", help="How earlier steps are written in the prompt.")
]
Instructions = Annotated[
    list[str] | None,
    typer.Option("--instruction", help="A step in words, for --manner low. Repeatable."),
]
Functions = Annotated[
    list[str] | None,
    typer.Option(
        "--function",
        help="Function offered beside the official tool: answer, ask_user, note or open_url. Repeatable.",
        metavar="NAME",
    ),
]
Expect = Annotated[
    list[str] | None,
    typer.Option(
        help="What has to be true at the end: url:REGEX, text:TEXT, state:ROLE/NAME/STATE, file:PATH or"
        " js:EXPRESSION. Repeatable.",
        metavar="KIND:VALUE",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Propose the first step, do nothing.")]
Hints = Annotated[
    bool,
    typer.Option(
        "--hints/--no-hints",
        help="Tell the model what had no effect, was refused, or looks like an order.",
    ),
]
Judge = Annotated[
    bool, typer.Option("--judge/--no-judge", help="Without --expect, ask if the task is done.")
]
Steps = Annotated[int, typer.Option(min=1, help="Most steps.")]
Seconds = Annotated[float, typer.Option(min=1, help="Most seconds.")]
Replay = Annotated[
    Path | None,
    typer.Option(
        help="Take the answers of this trace instead of a model's; say what differs.",
        metavar="TRACE",
    ),
]
Macro = Annotated[
    Path | None,
    typer.Option(help="Perform the acts of this trace without a model.", metavar="TRACE"),
]


@dataclass(frozen=True, slots=True)
class _Where:
    """The screen, and the files of a run."""

    screen: screens.ScreenChoice
    trace: Path | None
    report: Path | None


def agent(
    goal: Goal = "",
    *,
    browser: screens.BrowserPage = None,
    allow_origin: screens.Origins = None,
    desktop: screens.Desktop = None,
    display: screens.DisplayName = None,
    network: screens.Network = False,
    phone: screens.PhoneName = None,
    app: screens.Apps = None,
    window: screens.Window = "1280x800",
    scale: screens.Scale = 1.0,
    trace: TraceFolder = None,
    report: Report = None,
    manner: MannerOption = MannerName.COOKBOOK,
    instruction: Instructions = None,
    function: Functions = None,
    expect: Expect = None,
    approve: gating.Approve = "never",
    approval_seconds: gating.ApprovalSeconds = None,
    secret: gating.SecretNames = None,
    gate: gating.GateOption = gating.GateMode.ENFORCE,
    dry_run: DryRun = False,
    hints: Hints = True,
    judge: Judge = True,
    steps: Steps = 20,
    seconds: Seconds = 900.0,
    replay: Replay = None,
    macro: Macro = None,
    compare: traces.Compare = None,
    export: traces.Export = None,
    form: traces.Form = traces.ExportForm.ROWS,
    out: traces.Out = None,
    all_steps: traces.AllSteps = False,
    model: options.ModelName = options.DEFAULT_MODEL,
    mmproj: options.Mmproj = None,
    adapters: options.Adapters = None,
    as_json: options.AsJson = False,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = 1024,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    vision_weights: options.VisionWeights = None,
    draft_tokens: options.DraftTokens = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Work on a screen until a task is done.

    The model sees screenshots and answers with calls of the official tool. Steps that buy, send, delete, publish,
    install, submit a form or sign in need approval. The page reaches no other origin than its own. What the model
    claims at the end and what was verified are reported apart. Exit code 0: done; 1: not done, or the screen or the
    model failed; 130: interrupted. A file STOP in the trace folder ends the run. --compare and --export work on
    traces, without a task and a screen.
    """
    with reported(debug=debug):
        _work(locals())


_DEFAULTS = {each.name: each.default for each in signature(agent).parameters.values()}


def _work(given: Mapping[str, Any]) -> None:
    """Do what the command's variables say."""
    choice = ModelChoice.of(given)
    if traces.is_offline(given, _DEFAULTS):
        traces.work(given, lambda: _responder(choice))
        return
    where, settings = _where(given), _settings(given)
    gate = gating.gate_of(
        given["approve"],
        given["approval_seconds"],
        given["secret"] or [],
        where.trace,
        mode=given["gate"],
    )
    replay: Path | None = given["replay"]
    if given["macro"] is not None:
        run = _macro(given["macro"], where, gate)
    else:
        run = _run(given["goal"], choice, where, settings, gate, replay)
    _show(run, given["model"] if given["as_json"] else None, where, replay)


def _settings(given: Mapping[str, Any]) -> AgentOptions:
    """Settings of the run, from the command's variables."""
    from finesight.apps.agent.records import AgentOptions, Expectation

    if not given["goal"] and given["macro"] is None:
        raise ConfigError("there is no task", hint="give it in words as the first argument")
    if given["macro"] is not None:
        _check_macro(given)
    settings = AgentOptions(
        manner=given["manner"].value,
        extras=tuple(given["function"] or ()),
        instructions=tuple(given["instruction"] or ()),
        hints=given["hints"],
        dry_run=given["dry_run"],
        most_steps=given["steps"],
        most_seconds=given["seconds"],
        expectations=tuple(Expectation.read(each) for each in given["expect"] or ()),
        judges=given["judge"] and given["replay"] is None,
        min_pixels=given["min_pixels"],
        max_pixels=given["max_pixels"],
        max_new_tokens=given["max_new_tokens"] or 1024,
    )
    settings.check()
    return settings


def _check_macro(given: Mapping[str, Any]) -> None:
    """Raise if an option is given that a macro, which performs recorded acts without a model, does not use."""
    asked = ("goal", "instruction", "function", "expect", "dry_run", "replay")
    names = {"goal": "the task", "dry_run": "--dry-run"}
    unused = [names.get(each, f"--{each}") for each in asked if given[each]]
    if unused:
        raise ConfigError(
            f"{' and '.join(unused)} would have no effect with --macro",
            hint="leave them out; --replay TRACE uses the recorded answers and takes a task",
        )


def _where(given: Mapping[str, Any]) -> _Where:
    """Screen and files of the run, from the command's variables."""
    trace, report = given["trace"], given["report"]
    if trace is not None:
        check_writable(trace, is_folder=True)
    if report is not None:
        check_report(report)
    return _Where(screens.ScreenChoice.of(given), trace, report)


def _run(
    goal: str,
    choice: ModelChoice,
    where: _Where,
    settings: AgentOptions,
    gate: Gate,
    replay: Path | None,
) -> Run:
    from finesight.apps.agent.ends import check_scripts
    from finesight.apps.agent.job import run_on
    from finesight.cli.agent_terminal import ask_user

    recorded = None if replay is None else _recorded(replay)
    with closing(
        where.screen.opened()
    ) as screen:  # first: a page that does not open costs no loading
        check_scripts(settings.expectations, screen)
        responder = recorded or _responder(choice)
        name = choice.name if replay is None else f"replay of {replay.name}"
        return run_on(
            screen,
            goal,
            responder,
            name,
            settings,
            gate,
            folder=where.trace,
            report=where.report,
            ask_user=ask_user if sys.stdin.isatty() else None,
            on_step=_note,
        )


def _macro(source: Path, where: _Where, gate: Gate) -> Run:
    from finesight.apps.agent.job import macro_on
    from finesight.apps.agent.replay import read_trace

    read_trace(source)  # first: without a trace no screen is opened
    with closing(where.screen.opened()) as screen:
        return macro_on(
            source, screen, gate, folder=where.trace, report=where.report, on_step=_note
        )


def _recorded(replay: Path) -> Responder:
    from finesight.apps.agent.replay import Recorded, read_trace

    return Recorded(read_trace(replay)[1])


def _responder(choice: ModelChoice) -> Responder:
    from finesight.cli.batch import opened

    return opened(choice, 1, deterministic=False)


def _note(step: Step) -> None:
    """Print one line for a finished step."""
    verdict = step.effect["verdict"] if step.effect else ""
    words = step.words or "(no step)"
    problem = f": {step.problem}" if step.problem else ""
    sys.stderr.write(f"step {step.n}: {words}{verdict and f' [{verdict}]'}{problem}\n")
    for text in step.warnings:
        sys.stderr.write(f"warning: text on the screen tries to give orders: {text}\n")


def _show(run: Run, model: str | None, where: _Where, replay: Path | None) -> None:
    """Print the result; raise if the task is not done."""
    differing = _differing(run, replay)
    files = [str(path) for path in (where.trace, where.report) if path is not None]
    if model is not None:
        more = {} if replay is None else {"differences": differing}
        print_json({**run.to_dict(), "model": model, "files": files, **more})
    else:
        sys.stdout.write(_result(run))
    for each in differing:
        sys.stderr.write(f"differs: {each}\n")
    if run.end == "stopped" and run.problem:
        raise typer.Exit(INTERRUPTED)
    if run.end != "dry_run" and (differing or not run.is_done):
        raise AppError(
            f"the task is not done: end {run.end}" + (f", {run.problem}" if run.problem else ""),
            hint="--trace DIR keeps the steps; DIR/report.html shows them",
        )


def _differing(run: Run, replay: Path | None) -> list[str]:
    if replay is None:
        return []
    from finesight.apps.agent.replay import differences, read_trace

    return differences(read_trace(replay)[1], run.steps)


def _result(run: Run) -> str:
    if run.end == "dry_run":
        step = run.steps[-1]
        gate = step.gate or {}
        would = "would be performed" if gate.get("allowed") else "would be refused"
        return f"proposed: {step.words} {step.act} ({would})\n"
    verified = {True: "done", False: "not done", None: "not checked"}[run.verified.value]
    answer = f"{run.answer}\n" if run.answer else ""
    return f"{answer}claimed: {run.claimed or 'nothing'}; verified: {verified}\n"
