# SPDX-License-Identifier: Apache-2.0
"""`finesight agent`: work on a screen until a task is done."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import agent_gate as gating
from finesight.cli import agent_traces as traces
from finesight.cli import options, screens
from finesight.cli.command import command
from finesight.cli.errors import INTERRUPTED
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_report, check_writable, print_json
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a run with a model."""

    manner: Annotated[
        MannerName, typer.Option(help="How earlier steps are written in the prompt.")
    ] = MannerName.COOKBOOK
    instruction: Annotated[
        list[str] | None, typer.Option(help="A step in words, for --manner low. Repeatable.")
    ] = None
    function: Annotated[
        list[str] | None,
        typer.Option(
            help="Function offered beside the official tool: answer, ask_user, note or open_url. Repeatable.",
            metavar="NAME",
        ),
    ] = None
    expect: Annotated[
        list[str] | None,
        typer.Option(
            help="What has to be true at the end: url:REGEX, text:TEXT, state:ROLE/NAME/STATE, file:PATH or"
            " js:EXPRESSION. Repeatable.",
            metavar="KIND:VALUE",
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Propose the first step, do nothing.")
    ] = False
    hints: Annotated[
        bool,
        typer.Option(
            "--hints/--no-hints",
            help="Tell the model what had no effect, was refused, or looks like an order.",
        ),
    ] = True
    judge: Annotated[
        bool, typer.Option("--judge/--no-judge", help="Without --expect, ask if the task is done.")
    ] = True
    steps: Annotated[int, typer.Option(min=1, help="Most steps.")] = 20
    seconds: Annotated[float, typer.Option(min=1, help="Most seconds.")] = 900.0
    min_pixels: options.MinPixels = None
    max_pixels: options.MaxPixels = None
    max_new_tokens: options.MaxNewTokens = 1024


@dataclass(frozen=True, slots=True)
class _Where:
    """The screen, and the files of a run."""

    screen: screens.ScreenChoice
    trace: Path | None
    report: Path | None

    def check(self) -> None:
        """Raise `ConfigError` if a file cannot be written, or the options do not choose one screen."""
        if self.trace is not None:
            check_writable(self.trace, is_folder=True)
        if self.report is not None:
            check_report(self.report)
        self.screen.check()


@command
def agent(
    context: typer.Context,
    goal: Goal = "",
    *,
    screen: screens.ScreenChoice,
    trace: TraceFolder = None,
    report: Report = None,
    asked: RunOptions,
    approve: gating.Approve = "never",
    approval_seconds: gating.ApprovalSeconds = None,
    secret: gating.SecretNames = None,
    gate: gating.GateOption = gating.GateMode.ENFORCE,
    replay: Replay = None,
    macro: Macro = None,
    offline: traces.TraceOptions,
    model: DraftingModel,
    as_json: options.AsJson = False,
) -> None:
    """Work on a screen until a task is done.

    The model sees screenshots and answers with calls of the official tool. Steps that buy, send, delete, publish,
    install, submit a form or sign in need approval. The page reaches no other origin than its own. What the model
    claims at the end and what was verified are reported apart. Exit code 0: done; 1: not done, or the screen or the
    model failed; 130: interrupted. A file STOP in the trace folder ends the run. --compare and --export work on
    traces, without a task and a screen.
    """
    if traces.is_offline(context, offline):
        _work_on_traces(offline, model, asked, as_json=as_json)
        return
    where = _Where(screen, trace, report)
    where.check()
    settings = _settings(goal, asked, replay, macro)
    blocks = gating.gate_of(approve, approval_seconds, secret or [], trace, mode=gate)
    if macro is not None:
        run = _macro(macro, where, blocks)
    else:
        run = _run(goal, model, where, settings, blocks, replay)
    _show(run, model.name if as_json else None, where, replay)


def _work_on_traces(
    offline: traces.TraceOptions, model: DraftingModel, asked: RunOptions, *, as_json: bool
) -> None:
    if offline.compare is None:
        traces.export(offline, as_json=as_json)
        return
    traces.compare(
        offline.compare,
        model,
        min_pixels=asked.min_pixels,
        max_pixels=asked.max_pixels,
        max_new_tokens=asked.max_new_tokens,
        as_json=as_json,
    )


def _settings(
    goal: str, asked: RunOptions, replay: Path | None, macro: Path | None
) -> AgentOptions:
    """Settings of the run; raises `ConfigError` for an option that is wrong or has no effect."""
    from finesight.apps.agent.records import AgentOptions, Expectation

    if not goal and macro is None:
        raise ConfigError("there is no task", hint="give it in words as the first argument")
    if macro is not None:
        _check_macro(goal, asked, replay)
    settings = AgentOptions(
        manner=asked.manner.value,
        extras=tuple(asked.function or ()),
        instructions=tuple(asked.instruction or ()),
        hints=asked.hints,
        dry_run=asked.dry_run,
        most_steps=asked.steps,
        most_seconds=asked.seconds,
        expectations=tuple(Expectation.read(each) for each in asked.expect or ()),
        judges=asked.judge and replay is None,
        min_pixels=asked.min_pixels,
        max_pixels=asked.max_pixels,
        max_new_tokens=asked.max_new_tokens or 1024,
    )
    settings.check()
    return settings


def _check_macro(goal: str, asked: RunOptions, replay: Path | None) -> None:
    """Raise if an option is given that a macro, which performs recorded acts without a model, does not use."""
    given = {
        "the task": goal,
        "--instruction": asked.instruction,
        "--function": asked.function,
        "--expect": asked.expect,
        "--dry-run": asked.dry_run,
        "--replay": replay,
    }
    if unused := [name for name, value in given.items() if value]:
        raise ConfigError(
            f"{' and '.join(unused)} would have no effect with --macro",
            hint="leave them out; --replay TRACE uses the recorded answers and takes a task",
        )


def _run(
    goal: str,
    model: DraftingModel,
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
        responder = recorded or model.opened()
        name = model.name if replay is None else f"replay of {replay.name}"
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
