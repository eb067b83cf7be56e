# SPDX-License-Identifier: Apache-2.0
"""How a command ends: what a user sees of an error, and the exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from finesight.errors import ConfigError, FinesightError

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The words of the command line as they were typed.

    Attributes:
        words: after the program's name; the order of repeated options is only to be seen here.
    """

    words: tuple[str, ...]


@contextmanager
def reported(*, debug: bool) -> Iterator[None]:
    """Turn errors a user can cause into a message and an exit code.

    Args:
        debug: show the traceback too.

    Raises:
        typer.Exit: with the exit code of the error.
    """
    try:
        yield
    except FinesightError as error:
        if debug:
            traceback.print_exc()
        say_error(error)
        raise typer.Exit(exit_code_of(error)) from error
    except KeyboardInterrupt as interrupt:
        sys.stderr.write("\ninterrupted\n")
        raise typer.Exit(INTERRUPTED) from interrupt
    except BrokenPipeError as error:  # `finesight ask ... | head`: whoever read has gone
        _forget_output()
        raise typer.Exit(FAILED) from error


def exit_code_of(error: FinesightError) -> int:
    """2 where the user asked wrongly, 1 where the work failed."""
    return WRONG_USAGE if isinstance(error, ConfigError) else FAILED


def say_error(error: FinesightError) -> None:
    """Write what happened, and what to do about it, to standard error."""
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {error.hint}\n")


def _forget_output() -> None:
    """Keep the interpreter from failing once more when it flushes standard output at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
