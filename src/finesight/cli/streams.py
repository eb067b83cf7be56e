# SPDX-License-Identifier: Apache-2.0
"""Make standard output and standard error safe to write to when they are closed, full, or not UTF-8.

Characters that the encoding of standard output lacks are written as escapes, with one note about it. `--help` imports
this module, so it imports nothing large.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

TYPE_CHECKING = False  # as `typing.TYPE_CHECKING`, without importing `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

_ESCAPE = "finesight.escape"


def prepare() -> bool:
    """Make both streams safe to write to; False if standard output is closed."""
    if sys.stderr is None:  # closed: messages are discarded
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # it stays open
    if sys.stdout is None:
        return False
    codecs.register_error(_ESCAPE, _escaping())
    for stream, errors in ((sys.stdout, _ESCAPE), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=errors)
    return True


def flushed() -> OSError | None:
    """Flush standard output; if that fails, return the error and discard the rest of the output.

    The output is discarded because the interpreter flushes again at exit and would fail again.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def output_message(error: OSError) -> str:
    """The message for an unwritable standard output; empty if its reader closed the pipe (`| head`)."""
    if isinstance(error, BrokenPipeError):
        return ""
    return f"standard output cannot be written: {error.strerror or error}"


def _escaping() -> Callable[[UnicodeError], tuple[str | bytes, int]]:
    """An encoding error handler that writes escapes, with a note the first time."""
    is_noted = False

    def escape(error: UnicodeError) -> tuple[str | bytes, int]:
        nonlocal is_noted
        if isinstance(error, UnicodeEncodeError) and not is_noted:
            is_noted = True
            sys.stderr.write(
                f"note: standard output is {sys.stdout.encoding}; characters it lacks are written as "
                "escapes such as \\u56fe (PYTHONIOENCODING=utf-8 keeps them)\n"
            )
        return codecs.backslashreplace_errors(error)

    return escape
