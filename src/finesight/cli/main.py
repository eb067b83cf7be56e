# SPDX-License-Identifier: Apache-2.0
"""The command `finesight`: help at once, everything else on demand.

Importing the library that reads command lines takes four times as long as starting Python, so help
is a text that was rendered before (`cli/help/*.txt`); a test renders it anew and compares, and
`pytest --update-golden` writes it. Every other command line goes to `cli/app.py`.

Nothing is imported here that `--help` does not need.
"""

from __future__ import annotations

import sys

from finesight.cli import streams

TYPE_CHECKING = False  # what `typing` has under this name, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: words after the program's name; None takes those of the process.

    Returns:
        0, 1 if the work failed, 2 for wrong usage or configuration, 130 if interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not streams.prepare():
        sys.stderr.write(
            "error: standard output is closed, results would be lost\n"
            "  hint: send it to a file, or to /dev/null\n"
        )
        return 1
    error = None
    try:
        code = _run(words)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    except OSError as found:  # of the help; commands report their own
        code, error = 1, found
    error = streams.flushed() or error
    if error is None:
        return code
    if message := streams.output_message(error):
        sys.stderr.write(f"error: {message}\n")
    return code or 1


def _run(words: Sequence[str]) -> int:
    text = f"finesight {_version()}\n" if words == ["--version"] else frozen_help(words)
    if text is not None:
        sys.stdout.write(text)
        return 0
    from finesight.threads import prepare

    prepare()  # before anything imports torch
    from finesight.cli.app import run

    return run(words)


def frozen_help(words: Sequence[str]) -> str | None:
    """The rendered help that a command line asks for, or None if it asks for something else."""
    if not words or words in (["--help"], ["help"]):
        name = "finesight"
    elif words[-1] == "--help" and len(words) <= 3 and all(word.isalpha() for word in words[:-1]):
        name = "-".join(words[:-1])  # `finesight eval run --help` is kept as `eval-run`
    else:
        return None
    try:
        with open(help_path(name), encoding="utf-8") as file:  # noqa: PTH123  # pathlib costs 4 ms
            return file.read()
    except FileNotFoundError:
        return None  # a command without frozen help, or none at all: the real parser answers


def help_path(name: str) -> str:
    """Where the rendered help of a command is kept; "finesight" is the program itself."""
    return f"{__file__.rpartition('main.py')[0]}help/{name}.txt"


def _version() -> str:
    from importlib.metadata import version

    return version("finesight")
