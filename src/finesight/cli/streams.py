# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error, whatever they are: closed, full, or not UTF-8.

Characters that standard output cannot hold are written as escapes, and that is said once: an answer is never lost
to its encoding. Imported by `--help`, so it imports nothing large.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

TYPE_CHECKING = False  # what `typing` has under this name, without importing it
if TYPE_CHECKING:
    from collections.abc import Callable

_ESCAPE = "finesight.escape"


def prepare() -> bool:
    """Make both streams safe to write to; False where there is no standard output."""
    if sys.stderr is None:  # closed: what would be said there is said to nobody
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # it stays open
    if sys.stdout is None:
        return False
    codecs.register_error(_ESCAPE, _escaping())
    for stream, errors in ((sys.stdout, _ESCAPE), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=errors)
    return True


def flushed() -> OSError | None:
    """Write out what standard output still holds; the error if that fails, and then the rest is given up.

    Otherwise the interpreter would fail once more when it flushes at its end.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def output_message(error: OSError) -> str:
    """What to say where standard output cannot be written; nothing where its reader has gone (`| head`)."""
    if isinstance(error, BrokenPipeError):
        return ""
    return f"standard output cannot be written: {error.strerror or error}"


def _escaping() -> Callable[[UnicodeError], tuple[str | bytes, int]]:
    """An error handler for encoding that escapes, and says so the first time."""
    is_said: list[bool] = []

    def escape(error: UnicodeError) -> tuple[str | bytes, int]:
        if isinstance(error, UnicodeEncodeError) and not is_said:
            is_said.append(True)
            sys.stderr.write(
                f"note: standard output is {sys.stdout.encoding}; characters it lacks are written as "
                "escapes such as \\u56fe (PYTHONIOENCODING=utf-8 keeps them)\n"
            )
        return codecs.backslashreplace_errors(error)

    return escape
