# SPDX-License-Identifier: Apache-2.0
"""The Typer application with all commands, and the handling of their errors.

The modules of commands import little; each handler imports what its command needs. So a new
command does not slow down the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from finesight.cli import (
    agent,
    ask,
    batch,
    cache,
    chat,
    classify,
    data,
    describe_screen,
    doctor,
    export,
    import_decoder,
    inspect,
    locate,
    mcp,
    plan,
    quantize,
    read,
    review,
    serve,
    train,
)
from finesight.cli import eval as evaluation
from finesight.cli.errors import BUG, reported
from finesight.cli.options import CommandLine

HELP = """All of Qwen2.5-VL in one code base: ask about pictures, videos and documents.

Results go to standard output, messages and progress to standard error. Exit codes: 0, 1 if the
work failed or an input does not exist, 2 for wrong usage or configuration, 3 if what was checked
does not hold (read --schema, review, inspect), 4 if an inspection is unsure, 130 if interrupted.
"""

WIDTH = 96
"""Columns of help; fixed, because the help texts are stored."""


def build() -> typer.Typer:
    """The command line parser with every command."""
    app = typer.Typer(
        name="finesight",
        help=HELP,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"terminal_width": WIDTH, "max_content_width": WIDTH},
    )
    app.callback()(_program)
    for name, handler in (
        ("ask", ask.ask),
        ("chat", chat.chat),
        ("locate", locate.locate),
        ("inspect", inspect.inspect),
        ("read", read.read),
        ("classify", classify.classify),
        ("review", review.review),
        ("agent", agent.agent),
        ("describe-screen", describe_screen.describe_screen),
        ("mcp", mcp.mcp),
        ("serve", serve.serve),
        ("batch", batch.batch),
        ("plan", plan.plan),
        ("import", import_decoder.import_decoder),
        ("quantize", quantize.quantize),
        ("export", export.export),
        ("doctor", doctor.doctor),
    ):
        app.command(name)(handler)
    app.add_typer(evaluation.app, name="eval")
    app.add_typer(train.app, name="train")
    app.add_typer(data.app, name="data")
    app.add_typer(cache.app, name="cache")
    return app


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        # errors of options, and of commands without their own `reported`
        with reported(debug=False):
            build()(args=list(words), prog_name="finesight", obj=CommandLine(tuple(words)))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        error.add_note(BUG)
        raise
    return 0


def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:  # `cli.main` answers a lone --version; here a command follows
        typer.echo(f"finesight {version_of('finesight')}")
        context.exit()
