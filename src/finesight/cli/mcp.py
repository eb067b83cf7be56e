# SPDX-License-Identifier: Apache-2.0
"""`finesight mcp`: a screen as tools for another assistant, over MCP on standard input and output."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.agent import TraceFolder
from finesight.cli.agent_gate import ApprovalSeconds, SecretNames, gate_of
from finesight.cli.command import command
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_writable
from finesight.cli.screens import ScreenChoice
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.agent.gate import Gate
    from finesight.apps.agent.records import AgentOptions
    from finesight.conversation import Conversation, Reply, Sampling
    from finesight.responder import Responder

Approve = Annotated[
    str,
    typer.Option(
        help="Who allows steps that buy, send, delete, publish, install or sign in: never, always, or a URL to which"
        " each such step is posted as JSON; standard input is taken by the protocol.",
        metavar="never|always|URL",
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Most steps.")]
Seconds = Annotated[float, typer.Option(min=1, help="Most seconds.")]


@dataclass(slots=True)
class _Lazily:
    """A model that is loaded with its first question, so that the assistant does not wait for it at the start."""

    choice: DraftingModel
    _model: list[Responder] = field(default_factory=list)

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        if not self._model:
            self._model.append(self.choice.opened())
        return self._model[0].respond(conversations, sampling)


@command
def mcp(
    *,
    screen: ScreenChoice,
    trace: TraceFolder = None,
    approve: Approve = "never",
    approval_seconds: ApprovalSeconds = None,
    secret: SecretNames = None,
    steps: Steps = 1000,
    seconds: Seconds = 86400.0,
    model: DraftingModel,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
) -> None:
    """Serve a screen to another assistant: look, locate, read and act, over MCP (stdio).

    Steps pass the gate of `finesight agent`: consequential ones are refused unless --approve allows them. The model
    answers locate and read, and is loaded with the first of them. Needs the extra `agents`.
    """
    screen.check()
    if approve == "terminal":
        raise ConfigError("--approve terminal needs standard input, which the protocol uses")
    if trace is not None:
        check_writable(trace, is_folder=True)
    from finesight.apps.agent.records import AgentOptions

    gate = gate_of(approve, approval_seconds, secret or [], trace)
    settings = AgentOptions(
        hints=False,
        regrounds=False,
        judges=False,
        most_steps=steps,
        most_seconds=seconds,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    _serve(screen, model, settings, gate, trace)


def _serve(
    chosen: ScreenChoice,
    model: DraftingModel,
    settings: AgentOptions,
    gate: Gate,
    folder: Path | None,
) -> None:
    from importlib.metadata import version

    from finesight.apps.agent.loop import Agent
    from finesight.apps.agent.tools import ScreenTools, server
    from finesight.apps.agent.trace import Trace

    with (
        closing(chosen.opened()) as screen,
        tempfile.TemporaryDirectory(prefix="finesight-mcp-") as scratch,
    ):
        meta = {
            "goal": "steps of another assistant over MCP",
            "model": model.name,
            "options": settings.to_dict(),
            "gate": "enforce",
            "tool": screen.tool,
            "facts": dict(screen.facts),
            "version": version("finesight"),
        }
        with closing(Trace(folder or Path(scratch), meta)) as written:
            agent = Agent("", screen, _Lazily(model), written, settings, gate)
            found = server(ScreenTools(agent))
            sys.stderr.write("serving look, locate, read and act on standard input and output\n")
            found.run("stdio")
