# SPDX-License-Identifier: Apache-2.0
"""`finesight.agent`: work on a screen until a task is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from finesight.api.shared import responder_and_name
from finesight.apps.agent.approval import over_http
from finesight.apps.agent.gate import Approver, Gate, always, in_time, never
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions, Run, Step
from finesight.apps.agent.secrets import Secret, Secrets
from finesight.errors import ConfigError
from finesight.responder import Responder
from finesight.screen.environment import Screen
from finesight.screen.web import WebScreen

__all__ = ["agent"]

_APPROVERS: dict[str, Approver] = {"never": never, "always": always}


def agent(
    goal: str,
    screen: str | Path | Screen,
    *,
    model: str | Path | Responder = "tiny",
    options: AgentOptions | None = None,
    approve: str | Approver = "never",
    approval_seconds: float = 60.0,
    secrets: Sequence[Secret] = (),
    origins: Sequence[str] = (),
    trace: str | Path | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Run:
    """Let a model work on a screen.

    Args:
        goal: the task in words.
        screen: a file or URL, which is opened in a browser of its own, or any screen, which stays open.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        options: settings of the run.
        approve: who decides about consequential steps: "never" refuses them; "always" allows them; a URL, to which
            each proposal is posted; or a function that is called with it.
        approval_seconds: time limit of that URL or function; afterwards the step is refused.
        secrets: values that the model can have typed without seeing them.
        origins: further origins that the browser may load.
        trace: folder of the trace; an interrupted run goes on in it. None keeps none.
        on_step: called with each finished step.

    Returns:
        The run: why it ended, what the model claims, what was verified, and all steps. An error of the screen or of
        the model is the end of the run, not an exception.

    Raises:
        ConfigError: a setting is wrong, or `trace` holds another run.
        ScreenUnavailable: the page cannot be opened.
    """
    settings = options or AgentOptions()
    settings.check()
    gate = Gate(approver=_approver(approve, approval_seconds), secrets=Secrets(secrets))
    responder, name = responder_and_name(model)
    folder = None if trace is None else Path(trace)
    if not isinstance(screen, (str, Path)):
        return run_on(screen, goal, responder, name, settings, gate, folder=folder, on_step=on_step)
    with closing(WebScreen(screen, origins=origins)) as page:
        return run_on(page, goal, responder, name, settings, gate, folder=folder, on_step=on_step)


def _approver(approve: str | Approver, seconds: float) -> Approver:
    if not isinstance(approve, str):
        return in_time(approve, seconds)
    if "://" in approve:
        return over_http(approve, seconds)
    if approve not in _APPROVERS:
        raise ConfigError(f"approve is {approve!r}", hint='"never", "always", a URL or a function')
    return _APPROVERS[approve]
