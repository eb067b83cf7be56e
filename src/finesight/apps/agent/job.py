# SPDX-License-Identifier: Apache-2.0
"""A run of the agent, or of a macro, with its trace and report in one folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from finesight.apps.agent.ends import check_scripts
from finesight.apps.agent.gate import Gate
from finesight.apps.agent.loop import Agent
from finesight.apps.agent.records import AgentOptions, Run, Step
from finesight.apps.agent.replay import macro, read_trace
from finesight.apps.agent.report import write_run
from finesight.apps.agent.trace import Trace
from finesight.responder import Responder
from finesight.screen.environment import Screen

__all__ = ["macro_on", "run_on"]


def run_on(
    screen: Screen,
    goal: str,
    responder: Responder,
    model: str,
    options: AgentOptions,
    gate: Gate,
    *,
    folder: Path | None = None,
    report: Path | None = None,
    ask_user: Callable[[str], str] | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Run:
    """Work on a screen.

    Args:
        screen: stays open.
        goal: the task; empty takes the one that the screen states.
        responder: answers questions about screens.
        model: its name, for the trace.
        options: settings of the run.
        gate: allows or refuses each step.
        folder: of the trace; an interrupted run goes on in it. None keeps none.
        report: HTML file, besides the one in the folder.
        ask_user: answers a question of the model; None if nobody is there.
        on_step: called with each finished step.

    Raises:
        ConfigError: the folder holds a finished run, or one with other settings; an expectation cannot be checked.
    """
    check_scripts(options.expectations, screen)
    with _opened(screen, goal, model, options, gate, folder) as trace:
        worker = Agent(goal, screen, responder, trace, options, gate, ask_user, on_step)
        run = worker.run()
        _report(run, trace, folder, report)
    return run


def macro_on(
    source: Path,
    screen: Screen,
    gate: Gate,
    *,
    folder: Path | None = None,
    report: Path | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Run:
    """Perform the acts of a trace without a model; arguments as in `run_on` and `macro`."""
    goal = str(read_trace(source)[0]["goal"])
    with _opened(screen, goal, f"macro of {source.name}", AgentOptions(), gate, folder) as trace:
        run = macro(source, screen, trace, gate, on_step=on_step)
        _report(run, trace, folder, report)
    return run


@contextmanager
def _opened(
    screen: Screen, goal: str, model: str, options: AgentOptions, gate: Gate, folder: Path | None
) -> Iterator[Trace]:
    meta = {
        "goal": gate.secrets.hidden(goal),
        "model": model,
        "options": options.to_dict(),
        "gate": "enforce" if gate.blocks else "record",
        "tool": screen.tool,
        "facts": dict(screen.facts),
        "version": version("finesight"),
    }
    with tempfile.TemporaryDirectory(prefix="finesight-agent-") as scratch:
        trace = Trace(folder or Path(scratch), meta)
        try:
            yield trace
        finally:
            trace.close()


def _report(run: Run, trace: Trace, folder: Path | None, report: Path | None) -> None:
    screens = trace.folder / "screens"
    if folder is not None:
        write_run(folder / "report.html", run, screens)
    if report is not None:
        write_run(report, run, screens)
