# SPDX-License-Identifier: Apache-2.0
"""Entry point of the command `finesight`: prints help from stored files and passes other commands to `cli/app.py`.

Importing Typer takes four times as long as starting Python. So the help texts are stored in
`cli/help/*.txt`; a test compares them with newly rendered ones, and `pytest --update-golden` writes them.

This module imports only what `--help` needs.
"""

from __future__ import annotations

import sys

from finesight.cli import streams

TYPE_CHECKING = False  # as `typing.TYPE_CHECKING`, without importing `typing`
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: arguments after the program's name; None takes `sys.argv`.

    Returns:
        0 for success, 1 if the work failed, 2 for wrong usage or configuration, 130 if interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not streams.prepare():
        sys.stderr.write(
            "error: standard output is closed, results would be lost\n"
            "  hint: redirect it to a file, or to /dev/null\n"
        )
        return 1
    error = None
    try:
        code = _run(words)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    except OSError as found:  # while printing help; commands report their own errors
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
    """The stored help text that a command line asks for, or None if it asks for something else."""
    if not words or words in (["--help"], ["help"]):
        name = "finesight"
    elif (
        words[-1] == "--help"
        and len(words) <= 3
        and all(word.replace("-", "").isalpha() for word in words[:-1])
    ):
        name = "-".join(words[:-1])  # the help of `finesight eval run` is stored as `eval-run`
    else:
        return None
    try:
        with open(help_path(name), encoding="utf-8") as file:  # noqa: PTH123  # pathlib costs 4 ms
            return file.read()
    except FileNotFoundError:
        return None  # no stored help, or no such command: Typer answers


def help_path(name: str) -> str:
    """Path of the stored help of a command; "finesight" is the program itself."""
    return f"{__file__.rpartition('main.py')[0]}help/{name}.txt"


def _version() -> str:
    from importlib.metadata import version

    return version("finesight")
