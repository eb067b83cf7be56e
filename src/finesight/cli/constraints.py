# SPDX-License-Identifier: Apache-2.0
"""Options that constrain the text of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from finesight.cli.options import field_help
from finesight.conversation import Sampling

_LONGEST_NAME = 160


def read_schema(text: str) -> str:
    """A JSON Schema from a command line: itself if it begins as JSON, else the content of a file."""
    is_json = text.lstrip().startswith(("{", "[")) or text.strip() in ("true", "false")
    return text if is_json else _content(text, 'a file, or JSON such as {"type": "object"}')


def read_grammar(text: str) -> str:
    """A grammar from a command line: the name of a ready one, else the content of a file."""
    from finesight.engine.grammars import READY

    return text if text in READY else _content(text, f"a file, or one of {', '.join(READY)}")


def _content(name: str, expected: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror
    except ValueError as error:  # not UTF-8, or a zero byte in the name
        reason = str(error)
    raise typer.BadParameter(f"{name[:_LONGEST_NAME]!r} cannot be read ({reason}); give {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Options that constrain the text of an answer."""

    loop_retries: Annotated[int | None, typer.Option(help=field_help(Sampling, "loop_retries"))] = (
        None
    )
    json_schema: Annotated[
        Any,
        typer.Option(
            "--json-schema",
            parser=read_schema,
            metavar="FILE|JSON",
            help="JSON Schema, in a file or as text; the answer is JSON that it accepts.",
        ),
    ] = None
    regex: Annotated[str | None, typer.Option(help=field_help(Sampling, "regex"))] = None
    choice: Annotated[
        list[str] | None,
        typer.Option(help=field_help(Sampling, "choice", "Repeatable."), metavar="TEXT"),
    ] = None
    grammar: Annotated[
        Any,
        typer.Option(
            "--grammar",
            parser=read_grammar,
            metavar="FILE|NAME",
            help="The answer follows the Lark grammar of a file (dialect of llguidance), or one of the ready grammars:"
            " boxes, points, qwenvl_html, tool_calls, tool_call, text_or_tool_call.",
        ),
    ] = None
