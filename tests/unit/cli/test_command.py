# SPDX-License-Identifier: Apache-2.0
"""A command gets its records from the options of their fields, and reports what it raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from finesight.cli.command import command, light_command
from finesight.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    ink: Annotated[str, typer.Option(help="Of the letters.")] = "black"
    words: Annotated[list[str] | None, typer.Option("--word")] = None
    dtype: Annotated[str, typer.Option()] = "float32"
    paper: str = "white"


def draw(
    size: int = 3, *, colours: Colours, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    typer.echo(f"{size} {colours} {as_json}")


def fail() -> None:
    raise ConfigError("ink is 'mud'", hint="name a colour")


def run(work, *words):
    app = typer.Typer()
    app.command()(work)
    return CliRunner().invoke(app, words)


def test_fields_are_options_at_the_place_of_their_record():
    assert run(command(draw)).output == f"3 {Colours()} False\n"
    given = run(command(draw), "--ink", "red", "--word", "a", "--word", "b", "--json")
    assert given.output == f"3 {Colours(ink='red', words=['a', 'b'])} True\n"
    shown = run(command(draw), "--help").output
    names = ("--ink", "--word", "--json", "--dtype", "--threads", "--debug")
    places = [shown.index(each) for each in names]
    assert places == sorted(places)


def test_a_field_of_a_plain_type_is_no_option():
    assert "--paper" not in run(command(draw), "--help").output
    assert run(command(draw), "--paper", "blue").exit_code == 2


def test_errors_are_reported_and_shown_whole_with_debug():
    plain = run(command(fail))
    assert (plain.exit_code, plain.stderr) == (2, "error: ink is 'mud'\n  hint: name a colour\n")
    assert "Traceback" in run(command(fail), "--debug").stderr


def test_a_light_command_has_no_threads():
    assert "--threads" not in run(light_command(fail), "--help").output
    assert run(light_command(fail), "--debug").exit_code == 2
