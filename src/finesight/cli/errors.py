# SPDX-License-Identifier: Apache-2.0
"""How a command ends: what a user sees of an error, and the exit code.

Errors that a user or the machine can cause end as one line, "error: ...". Everything else is a mistake of ours and
keeps its traceback, with a line that says so.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import typer

from finesight.cli import streams
from finesight.errors import ConfigError, FinesightError

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

BUG = "This is a bug in finesight. Please report it with the lines above and `finesight --version`."

_CAUSED_OUTSIDE = (OSError, UnicodeError, OverflowError, MemoryError)
"""Besides our own errors, what files, encodings, numbers and machines of users raise."""

_LONGEST_NAME = 160
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The words of the command line as they were typed.

    Attributes:
        words: after the program's name; the order of repeated options is only to be seen here.
    """

    words: tuple[str, ...]


@contextmanager
def reported(*, debug: bool) -> Iterator[None]:
    """Turn errors a user can cause into a message and an exit code, and our warnings into notes.

    Args:
        debug: show the traceback too.

    Raises:
        typer.Exit: with the exit code of the error.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", module=r"finesight\b")
            warnings.showwarning = _say_warning
            yield
    except (FinesightError, *_CAUSED_OUTSIDE) as error:
        if debug:
            traceback.print_exc()
        said = _as_ours(error)
        if said.message:
            say_error(said)
        raise typer.Exit(exit_code_of(said)) from error
    except KeyboardInterrupt as interrupt:
        sys.stderr.write("\ninterrupted\n")
        raise typer.Exit(INTERRUPTED) from interrupt


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning on standard error: those of finesight as a note, those of libraries as Python writes them."""
    is_ours = Path(filename).is_relative_to(_PACKAGE)
    said = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(f"note: {message}\n" if is_ours else said)


def exit_code_of(error: FinesightError) -> int:
    """2 where the user asked wrongly, 1 where the work failed."""
    return WRONG_USAGE if isinstance(error, ConfigError) else FAILED


def say_error(error: FinesightError) -> None:
    """Write what happened, and what to do about it, to standard error."""
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {error.hint}\n")


def _as_ours(error: BaseException) -> FinesightError:
    """An error with a message for users; without one where whoever read the output has gone."""
    if isinstance(error, FinesightError):
        return error
    if isinstance(error, MemoryError):
        return FinesightError("out of memory", hint="`finesight plan` says what a question takes")
    if not isinstance(error, OSError):
        return FinesightError(f"{error}", hint="--debug shows where")
    if (of_output := streams.flushed()) is not None:
        return FinesightError(streams.output_message(of_output))
    if isinstance(error, BrokenPipeError):
        return FinesightError("")
    reason = error.strerror or str(error)
    name = "" if error.filename is None else str(error.filename)
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."
    return FinesightError(f"{shown}: {reason}" if shown else reason)
