# SPDX-License-Identifier: Apache-2.0
"""Options of `agent` and `mcp` that decide what may be done: approval, secrets and the mode of the gate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.names import did_you_mean
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.agent.gate import Approver, Gate
    from finesight.apps.agent.secrets import Secret, Secrets

NAMED = ("never", "always", "terminal")
"""Approvers with a name; the others are URLs."""
_SECONDS = 60.0


class GateMode(StrEnum):
    """Whether the gate blocks."""

    ENFORCE = "enforce"
    RECORD = "record"


Approve = Annotated[
    str,
    typer.Option(
        help="Who allows steps that buy, send, delete, publish, install or sign in: never, always, terminal, or a URL"
        " to which each such step is posted as JSON.",
        metavar="never|always|terminal|URL",
    ),
]
ApprovalSeconds = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="Time to answer of whoever --approve asks, 60 by default; afterwards the step is refused.",
    ),
]
SecretNames = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        help="Secret that is typed by its name, only at this origin; its value is the environment variable"
        " FINESIGHT_SECRET_NAME. Repeatable.",
        metavar="NAME@ORIGIN",
    ),
]
GateOption = Annotated[
    GateMode, typer.Option("--gate", help="record decides and blocks nothing: for benchmarks.")
]


def gate_of(
    approve: str,
    seconds: float | None,
    secrets: Sequence[str],
    trace: Path | None,
    *,
    mode: GateMode = GateMode.ENFORCE,
) -> Gate:
    """The gate of a command's options.

    Raises:
        ConfigError: an option is wrong, or would have no effect.
    """
    from finesight.apps.agent.gate import Gate

    return Gate(
        approver=_approver(approve, seconds, trace),
        secrets=_secrets_of(secrets),
        blocks=mode is GateMode.ENFORCE,
    )


def _approver(approve: str, seconds: float | None, trace: Path | None) -> Approver:
    from finesight.apps.agent.gate import always, never

    is_url = "://" in approve
    if not is_url and approve not in NAMED:
        hint = f"{did_you_mean(approve, NAMED)}, or a URL"
        raise ConfigError(f"--approve is {approve!r}", hint=hint)
    if seconds is not None and approve in ("never", "always"):
        raise ConfigError(
            f"--approval-seconds has no effect with --approve {approve}: nobody is asked",
            hint="give --approve terminal or a URL, or leave it out",
        )
    if is_url:
        from finesight.apps.agent.approval import over_http

        return over_http(approve, seconds or _SECONDS)
    if approve == "terminal":
        from finesight.cli.agent_terminal import terminal

        return terminal(seconds or _SECONDS, trace)
    return always if approve == "always" else never


def _secrets_of(given: Sequence[str]) -> Secrets:
    from finesight.apps.agent.secrets import Secrets

    return Secrets([_secret(each) for each in given])


def _secret(text: str) -> Secret:
    from finesight.apps.agent.secrets import Secret, variable_of

    name, _, origin = text.partition("@")
    if not name or not origin:
        raise ConfigError(f"{text!r} is no secret", hint="write NAME@ORIGIN, not its value")
    variable = variable_of(name)
    if variable not in os.environ:
        raise ConfigError(f"secret {name!r} has no value", hint=f"set {variable}")
    return Secret(name, os.environ[variable], origin)
