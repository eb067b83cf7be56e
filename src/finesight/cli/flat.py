# SPDX-License-Identifier: Apache-2.0
"""Records of options as parameters of commands.

Typer makes one option of each parameter of a function. Options that several commands share are the fields of a
dataclass instead: a command has the dataclass as one parameter, and `flat` gives Typer its fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_origin, get_type_hints


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of each dataclass among its parameters as parameters of their own.

    The options of a dataclass are its fields of a type `Annotated[...]`, at the place of the parameter.
    """
    hints = get_type_hints(command, include_extras=True)
    records: dict[str, type] = {}
    parameters: list[Parameter] = []
    for each in signature(command).parameters.values():
        hint = hints[each.name]
        if is_dataclass(hint) and isinstance(hint, type):
            records[each.name] = hint
            parameters += _options(hint)
        else:
            parameters.append(each.replace(annotation=hint))

    @wraps(command)
    def called(**values: Any) -> None:
        for name, record in records.items():
            names = [each.name for each in _options(record)]
            values[name] = record(**{each: values.pop(each) for each in names})
        command(**values)

    called.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(called)["__signature__"] = Signature(parameters)
    return called


def _options(record: type) -> list[Parameter]:
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
