# SPDX-License-Identifier: Apache-2.0
"""Functions as commands: shared options, records of options, and errors as messages.

Typer makes one option of each parameter of a function. Options that several commands share are the fields of a
dataclass: a command has the dataclass as one parameter, and Typer gets its fields. Options that say how a model is
loaded, such as --device, come last. --threads and --debug are added to every command, and what it raises is reported as
`cli/errors.py` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_origin, get_type_hints

from finesight.cli import options
from finesight.cli.errors import reported

Work = Callable[..., None]

_THREADS = Parameter(
    "threads", Parameter.KEYWORD_ONLY, default=None, annotation=options.Threads
)  # takes effect through its callback
_LAST = ("device", "dtype", "weights", "vision_weights", "draft_tokens")
"""How a model is loaded and run: few need it, so it is at the end of every help."""
_DEBUG = Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=options.Debug)


def command(work: Work) -> Work:
    """A command with --threads and --debug; a record's options are at the place of its parameter, except `_LAST`."""
    return _command(work, _THREADS, _DEBUG)


def light_command(work: Work) -> Work:
    """As `command`, without --threads: for work that computes nothing on several threads."""
    return _command(work, _DEBUG)


def _command(work: Work, *added: Parameter) -> Work:
    hints = get_type_hints(work, include_extras=True)
    records: dict[str, type] = {}
    parameters: list[Parameter] = []
    for each in signature(work).parameters.values():
        hint = hints[each.name]
        if is_dataclass(hint) and isinstance(hint, type):
            records[each.name] = hint
            parameters += _options(hint)
        else:
            parameters.append(each.replace(annotation=hint))
    parameters.sort(key=lambda each: each.name in _LAST)  # stable
    parameters += added

    @wraps(work)
    def called(**values: Any) -> None:
        with reported(debug=values["debug"]):
            for each in added:
                del values[each.name]
            for name, record in records.items():
                names = [each.name for each in _options(record)]
                values[name] = record(**{each: values.pop(each) for each in names})
            work(**values)

    called.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(called)["__signature__"] = Signature(parameters)
    return called


def _options(record: type) -> list[Parameter]:
    """The fields of a dataclass that are options: those of a type `Annotated[...]`."""
    hints = get_type_hints(record, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in fields(record)
        if get_origin(hints[each.name]) is Annotated
    ]
