# SPDX-License-Identifier: Apache-2.0
"""Tool calls in a reply, and the actions of the `computer_use` and `mobile_use` tools.

A call is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`. A call that is cut off or broken, or that has
unknown or repeated keys, comments, or text around its JSON becomes a problem, never a call with missing
arguments: an agent must not act on part of an instruction.
Source: the Nous function-call form of qwen-agent, and the Qwen2.5-VL cookbooks for computer and
mobile use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finesight.errors import ParseError
from finesight.geometry import Point
from finesight.parse.coordinates import groups, number_of
from finesight.parse.json_block import JsonBlock, find_blocks
from finesight.parse.records import AnswerCall, Findings, JsonValue, Problem, Span

_CALL = re.compile(r"<tool_call>(?P<body>(?:[^<]++|<(?!/?tool_call>))*+)(?P<end></tool_call>)?")
_POINT_ARGUMENTS = ("coordinate", "coordinate2")
_ARGUMENT_KEYS = ("arguments", "parameters", "params", "args", "input")
"""Keys of the arguments in Qwen's format and in others (Llama, LangChain, Anthropic)."""
_LABELS = ("id", "type", "index", "call_id")
"""Keys that are allowed beside the arguments and ignored."""

# tool -> action -> (required arguments, optional arguments)
_MOUSE: tuple[tuple[str, ...], tuple[str, ...]] = ((), ("coordinate",))
_ACTIONS: Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "computer_use": {
        "key": (("keys",), ()),
        "type": (("text",), ()),
        "mouse_move": (("coordinate",), ()),
        "left_click": _MOUSE,
        "left_click_drag": (("coordinate",), ()),
        "right_click": _MOUSE,
        "middle_click": _MOUSE,
        "double_click": _MOUSE,
        "scroll": (("pixels",), ("coordinate",)),
        "wait": (("time",), ()),
        "terminate": (("status",), ()),
    },
    "mobile_use": {
        "key": (("text",), ()),
        "click": (("coordinate",), ()),
        "long_press": (("coordinate", "time"), ()),
        "swipe": (("coordinate", "coordinate2"), ()),
        "type": (("text",), ()),
        "answer": (("text",), ()),
        "system_button": (("button",), ()),
        "open": (("text",), ()),
        "wait": (("time",), ()),
        "terminate": (("status",), ()),
    },
}
_CHOICES = {
    "button": ("Back", "Home", "Menu", "Enter"),
    "status": ("success", "failure"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action on a screen, checked against the definition of its tool.

    Attributes:
        tool: "computer_use" or "mobile_use".
        kind: name of the action in the tool's definition.
        point_resized: position, in pixels the model saw.
        point2_resized: end of a swipe.
        text: the text to type, app to open, key event, or answer to a question.
        keys: keys to press together.
        pixels: distance to scroll; up is positive.
        seconds: time to wait or to press.
        button: system button.
        status: "success" or "failure" of the whole task.
    """

    tool: str
    kind: str
    point_resized: Point | None = None
    point2_resized: Point | None = None
    text: str | None = None
    keys: tuple[str, ...] = ()
    pixels: float | None = None
    seconds: float | None = None
    button: str | None = None
    status: str | None = None


def read_tool_calls(text: str) -> Findings:
    """Read the tool calls of a reply.

    A reply that consists only of `{"name": ..., "arguments": {...}}` counts as a call without tags.
    """
    calls: list[AnswerCall] = []
    problems: list[Problem] = []
    is_cut = False
    for match in _CALL.finditer(text):
        blocks = find_blocks(match["body"])
        try:
            call = _call(blocks, match.span())
            if not _is_alone(blocks[0], match["body"]):
                raise ParseError(f"tool call {call.name[:60]!r} contains text around its JSON")
            calls.append(call)
        except ParseError as error:
            problems.append(Problem(match.span(), error.message))
            is_cut |= match["end"] is None and match.end() == len(text)
    if not calls and not problems and (bare := _bare_call(text)) is not None:
        calls.append(bare)
    return Findings(calls=tuple(calls), problems=tuple(problems), is_cut=is_cut)


def read_action(call: AnswerCall) -> Action:
    """Check a call of `computer_use` or `mobile_use` and convert its arguments.

    Raises:
        ParseError: unknown tool or action; or an argument is missing, unknown, or of the wrong type.
    """
    if call.name not in _ACTIONS:
        raise ParseError(f"tool {call.name!r} is none of {', '.join(_ACTIONS)}")
    kind = call.arguments.get("action")
    known = _ACTIONS[call.name]
    if not isinstance(kind, str) or kind not in known:
        raise ParseError(f"{call.name} has no action {kind!r}", hint=f"known: {', '.join(known)}")
    required, optional = known[kind]
    given = {name: value for name, value in call.arguments.items() if name != "action"}
    missing = [name for name in required if given.get(name) is None]
    if missing:
        raise ParseError(f"{call.name} {kind} lacks {', '.join(missing)}")
    unknown = [name for name in given if name not in (*required, *optional)]
    if unknown:
        raise ParseError(f"{call.name} {kind} takes no {', '.join(unknown)}")
    where = f"{call.name} {kind}"
    return Action(
        tool=call.name,
        kind=kind,
        point_resized=_point(given, "coordinate", where),
        point2_resized=_point(given, "coordinate2", where),
        text=_string(given, "text", where),
        keys=_keys(given, where),
        pixels=_number(given, "pixels", where),
        seconds=_number(given, "time", where),
        button=_choice(given, "button", where),
        status=_choice(given, "status", where),
    )


def points_of(call: AnswerCall) -> dict[str, Point]:
    """The arguments of a call that are coordinates, in pixels the model saw."""
    given = {name: _as_point(call.arguments.get(name)) for name in _POINT_ARGUMENTS}
    return {name: point for name, point in given.items() if point is not None}


def problems_of(call: AnswerCall) -> tuple[Problem, ...]:
    """Problems for coordinate arguments of a call that `points_of` cannot read."""
    return tuple(
        Problem(call.span, f"{name} of tool call {call.name[:60]!r} is {value!s:.60}, not [x, y]")
        for name in _POINT_ARGUMENTS
        if (value := call.arguments.get(name)) is not None and _as_point(value) is None
    )


def _call(blocks: Sequence[JsonBlock], span: Span) -> AnswerCall:
    """The call in one pair of tags."""
    if len(blocks) != 1:
        raise ParseError(f"a tool call contains {len(blocks)} JSON values, not one")
    block = blocks[0]
    if block.state != "closed":
        raise ParseError(f"a tool call is {block.state} before its end")
    if block.repeated:
        raise ParseError(f"a tool call has key {block.repeated[0][:60]!r} twice")
    if block.num_comments:
        raise ParseError("a tool call contains a comment")
    if block.num_unset:
        raise ParseError("a value of a tool call is missing or is not a finite number")
    value = block.value
    inner = value.get("function") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(inner, dict):  # OpenAI's form
        _refuse_unknown(value, ("function", *_LABELS))
        value = inner
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ParseError("a tool call does not name its tool")
    keys = [key for key in _ARGUMENT_KEYS if key in value]
    if len(keys) > 1:
        raise ParseError(f"tool call {value['name']!r} has both {keys[0]} and {keys[1]}")
    _refuse_unknown(value, ("name", *keys, *(_LABELS if keys else ("type",))))
    arguments = _decoded(value[keys[0]]) if keys else {}
    if not isinstance(arguments, dict):
        raise ParseError(f"the arguments of tool call {value['name']!r} are not an object")
    return AnswerCall(str(value["name"]), arguments, span)


def _refuse_unknown(value: Mapping[str, JsonValue], known: Sequence[str]) -> None:
    """Raise for unknown keys: one of them may be an argument."""
    if unknown := [key for key in value if key not in known]:
        name = f" {value['name']!r}" if isinstance(value.get("name"), str) else ""
        raise ParseError(f"tool call{name} has unknown keys: {', '.join(unknown)[:80]}")


def _decoded(arguments: JsonValue) -> JsonValue:
    """Decode arguments that are JSON within a string (OpenAI's format), possibly more than once.

    Null, an empty string and an empty list mean that there are none.
    """
    while isinstance(arguments, str) and arguments.lstrip().startswith('"'):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return arguments
    if not isinstance(arguments, str):
        return {} if arguments is None or arguments == [] else arguments
    if arguments.strip() in ("", "null"):
        return {}
    inner = find_blocks(arguments)
    if len(inner) != 1 or not _is_alone(inner[0], arguments):
        return arguments
    first = inner[0]
    is_whole = first.state == "closed" and not (
        first.num_unset or first.repeated or first.num_comments
    )
    return inner[0].value if is_whole else arguments


def _is_alone(block: JsonBlock, text: str) -> bool:
    """Whether only a fence is around the block."""
    start, end = block.span
    return not re.sub(r"```\w*", "", text[:start] + text[end:]).strip()


def _bare_call(text: str) -> AnswerCall | None:
    blocks = find_blocks(text)
    if len(blocks) != 1 or not _is_alone(blocks[0], text):
        return None
    value = blocks[0].value
    if not isinstance(value, dict) or set(value) != {"name", "arguments"}:
        return None
    try:
        return _call(blocks, blocks[0].span)
    except ParseError:  # an ordinary object that happens to have these keys
        return None


def _point(given: Mapping[str, JsonValue], name: str, where: str) -> Point | None:
    if given.get(name) is None:
        return None
    point = _as_point(given[name])
    if point is None:
        raise ParseError(f"{where}: {name} is {given[name]!r}, not [x, y]")
    return point


def _as_point(value: JsonValue) -> Point | None:
    """The point that a value contains, if exactly one."""
    found = list(groups(value, 2))
    return Point(*found[0]) if len(found) == 1 and found[0] is not None else None


def _number(given: Mapping[str, JsonValue], name: str, where: str) -> float | None:
    if given.get(name) is None:
        return None
    number = None if isinstance(given[name], str) else number_of(given[name])
    if number is None:
        raise ParseError(f"{where}: {name} is {given[name]!r}, not a number")
    return number


def _string(given: Mapping[str, JsonValue], name: str, where: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise ParseError(f"{where}: {name} is {value!r}, not a text")
    return value


def _choice(given: Mapping[str, JsonValue], name: str, where: str) -> str | None:
    value = _string(given, name, where)
    if value is not None and value not in _CHOICES[name]:
        raise ParseError(
            f"{where}: {name} is {value!r}", hint=f"known: {', '.join(_CHOICES[name])}"
        )
    return value


def _keys(given: Mapping[str, JsonValue], where: str) -> tuple[str, ...]:
    value = given.get("keys")
    if value is None:
        return ()
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not keys:
        raise ParseError(f"{where}: keys is {value!r}, not a list of keys")
    names = [key for key in keys if isinstance(key, str)]
    if len(names) != len(keys):
        raise ParseError(f"{where}: keys is {value!r}, not a list of keys")
    return tuple(names)
