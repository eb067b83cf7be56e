# SPDX-License-Identifier: Apache-2.0
"""Error messages and exit codes of commands.

Errors that a user or the machine can cause are printed as one line, "error: ...". Any other exception is a bug: it
keeps its traceback, followed by a request to report it.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer

from finesight.cli import streams
from finesight.errors import ConfigError, FinesightError

FAILED, WRONG_USAGE, CHECK_FAILED, INTERRUPTED = 1, 2, 3, 130
"""Exit codes: `CHECK_FAILED` says that the work is done and that what was checked does not hold."""

BUG = "This is a bug in finesight. Please report it with the lines above and `finesight --version`."

_CAUSED_OUTSIDE = (OSError, UnicodeError, OverflowError, MemoryError)
"""Built-in exceptions that a user's files, encodings, numbers or machine can cause."""

_LONGEST_NAME = 160
_PACKAGE = Path(__file__).parents[1]


@contextmanager
def reported(*, debug: bool) -> Iterator[None]:
    """Turn errors a user can cause into a message and an exit code, and warnings of finesight into notes.

    Args:
        debug: also print the traceback.

    Raises:
        typer.Exit: with the exit code of the error.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", module=r"finesight\b")
            warnings.showwarning = _print_warning
            yield
    except (FinesightError, *_CAUSED_OUTSIDE) as error:
        if debug:
            traceback.print_exc()
        converted = _as_finesight_error(error)
        if converted.message:
            _print_error(converted)
        code = WRONG_USAGE if isinstance(converted, ConfigError) else FAILED
        raise typer.Exit(code) from error
    except KeyboardInterrupt as interrupt:
        sys.stderr.write("\ninterrupted\n")
        raise typer.Exit(INTERRUPTED) from interrupt


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning to standard error: those of finesight as a note, those of libraries in Python's format."""
    if Path(filename).is_relative_to(_PACKAGE):
        text = f"note: {message}\n"
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(text)


def _print_error(error: FinesightError) -> None:
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {error.hint}\n")


def _as_finesight_error(error: BaseException) -> FinesightError:
    """An exception as an error with a message for users; the message is empty for a broken pipe."""
    if isinstance(error, FinesightError):
        return error
    if isinstance(error, MemoryError):
        return FinesightError(
            "out of memory", hint="`finesight plan` estimates what a question needs"
        )
    if not isinstance(error, OSError):
        return FinesightError(f"{error}", hint="--debug shows where")
    if (output_error := streams.flushed()) is not None:
        return FinesightError(streams.output_message(output_error))
    if isinstance(error, BrokenPipeError):
        return FinesightError("")
    reason = error.strerror or str(error)
    name = "" if error.filename is None else str(error.filename)
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."
    return FinesightError(f"{shown}: {reason}" if shown else reason)
