# SPDX-License-Identifier: Apache-2.0
"""The frozen help is what the parser renders today, and it comes without importing anything large.

`pytest --update-golden` writes it anew; the difference then shows in review what a user will see.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finesight.cli import app, main

PROGRAM = app.build()
GROUPS = {group.name: group.typer_instance for group in PROGRAM.registered_groups}
COMMANDS = {
    "-".join(words): words
    for words in sorted(
        [
            *([command.name] for command in PROGRAM.registered_commands),
            *([name] for name in GROUPS),
            *(
                [name, c.name or c.callback.__name__]
                for name, g in GROUPS.items()
                for c in g.registered_commands
            ),
        ]
    )
}
"""Words of commands, groups of commands, and commands of groups: `eval-run` is `finesight eval run`."""


def rendered(words: list[str]) -> str:
    result = CliRunner().invoke(PROGRAM, [*words, "--help"], prog_name="finesight")
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("name", ["finesight", *COMMANDS])
def test_frozen_help_is_what_the_parser_renders(name, update_golden):
    path = Path(main.help_path(name))
    wanted = rendered([] if name == "finesight" else COMMANDS[name])
    if update_golden:
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted


def test_no_help_is_left_of_a_command_that_is_gone():
    folder = Path(main.help_path("finesight")).parent
    assert {path.stem for path in folder.glob("*.txt")} == {"finesight", *COMMANDS}


@pytest.mark.parametrize(
    "words",
    [
        *(["--help"], [], ["ask", "--help"], ["describe-screen", "--help"]),
        *(["eval", "run", "--help"], ["--version"]),
    ],
)
def test_help_imports_nothing_large(words):
    probe = (
        "import sys; from finesight.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'PIL', 'pydantic', 'tokenizers', 'av', 'rich'}; "
        "sys.exit(code or sorted(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *words], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_report_card_keeps_its_options():
    """Scripts of others call `finesight eval --suite card`."""
    help_of_eval = rendered(["eval"])
    for option in ("--data", "--suite", "--model", "--limit", "--json", "--device"):
        assert f"{option} " in help_of_eval


def test_every_option_of_the_first_release_is_there():
    """Scripts of others call these."""
    help_of_ask = rendered(["ask"])
    for option in (
        *("--model", "--image", "--video", "--pdf", "--pages", "--json", "--save-overlay"),
        *("--report", "--fps", "--nframes", "--start", "--end", "--max-pixels", "--min-pixels"),
        *("--max-new-tokens", "--temperature", "--top-p", "--top-k", "--seed", "--device"),
        *("--dtype", "--system"),
    ):
        assert f"{option} " in help_of_ask
