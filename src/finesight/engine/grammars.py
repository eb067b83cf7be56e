# SPDX-License-Identifier: Apache-2.0
r"""Ready grammars: boxes, points, QwenVL HTML and tool calls, in the forms in which Qwen2.5-VL answers.

| name | answer |
|---|---|
| `boxes` | fenced JSON list, an object a line: `{"bbox_2d": [x1, y1, x2, y2], "label": "..."}` |
| `points` | likewise with `{"point_2d": [x, y], "label": "..."}` |
| `qwenvl_html` | fenced `<html><body>`, an element a line, each with `data-bbox="x1 y1 x2 y2"` |
| `tool_calls` | one or more `<tool_call>`, each with the name of an offered tool and arguments of its schema |
| `tool_call` | exactly one |
| `text_or_tool_call` | any text, and at most one after it |

Boxes and points may have `text_content` instead of `label`, and `sub_label` after it; the list may be empty.
Coordinates are whole pixels of a picture as the model saw it, from 0 to its width or height. With pictures of several
sizes, all numbers of one box fit one of them. Which corner comes first is not constrained.

The grammars are in llguidance's dialect of Lark. Source: Qwen2.5-VL cookbooks (spatial understanding, OCR, document
parsing, function calls).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finesight.conversation import MediaRecord
from finesight.errors import ConfigError
from finesight.geometry import Size
from finesight.text.special_tokens import TOOL_CALL, TOOL_CALL_END
from finesight.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

JSON_STYLE: JsonCompileOptions = {
    "whitespace_flexible": False,  # else a small model can write blanks up to the token limit
    "item_separator": ", ?",
    "key_separator": ": ?",
}
"""Layout of constrained JSON: one line, with or without a blank after commas and colons."""

_TEXT = '%json {"type": "string"}'
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = (*_HEADINGS, "p", "div", "ul", "ol", "table")
_INNER = ("b", "i", "u", "s", "code", "sup", "sub", "span", "p", "ul", "ol", "li", "caption")
_TABLE = ("table", "thead", "tbody", "tr", "th", "td")


def ready_grammar(
    name: str,
    media: Sequence[MediaRecord],
    tools: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer,
) -> str:
    """The text of a ready grammar.

    Args:
        name: a name of `READY`.
        media: pictures and videos of the conversation; their resized sizes bound coordinates.
        tools: tools that the conversation offers.
        tokenizer: has the tokens around a tool call.

    Raises:
        ConfigError: there is no picture for coordinates, or no tool to call.
    """
    if name in _CALLS:
        return _tool_calls(name, tools, tokenizer)
    sizes = sorted({(each.resize.resized.width, each.resize.resized.height) for each in media})
    if not sizes:
        raise ConfigError(
            f"the grammar {name} bounds coordinates by a picture, but the conversation shows none",
            hint="add a picture, or give the form of the answer as json_schema",
        )
    return _WITH_PICTURE[name]([Size(*size) for size in sizes])


def _boxes(sizes: Sequence[Size]) -> str:
    return _json_list("bbox_2d", sizes, "{x}, {y}, {x}, {y}")


def _points(sizes: Sequence[Size]) -> str:
    return _json_list("point_2d", sizes, "{x}, {y}")


def _json_list(key: str, sizes: Sequence[Size], form: str) -> str:
    places, numbers = _places(sizes, form)
    return "\n".join(
        [
            r'start: "```json\n[" (items "\n")? "]\n```"',
            r'items: "\n\t" item (",\n\t" item)*',
            rf'item: "{{\"{key}\": [" place "], \"" name "\": " text sub? "}}"',
            'name: "label" | "text_content"',
            r'sub: ", \"sub_label\": " text',
            f"text: {_TEXT}",
            f"place: {places}",
            *numbers,
        ]
    )


def _places(sizes: Sequence[Size], form: str) -> tuple[str, list[str]]:
    """Alternatives of the coordinates, one for each size, and the rules of their numbers."""
    alternatives, rules = [], []
    for index, size in enumerate(sizes):
        names = {"x": f'" x{index} "', "y": f'" y{index} "'}
        written = f'"{form.format(**names)}"'.removeprefix('"" ').removesuffix(' ""')
        alternatives.append(written)
        rules += [f"x{index}: {_up_to(size.width)}", f"y{index}: {_up_to(size.height)}"]
    return " | ".join(alternatives), rules


def _up_to(most: int) -> str:
    return f'%json {{"type": "integer", "minimum": 0, "maximum": {most}}}'


def _html(sizes: Sequence[Size]) -> str:
    places, numbers = _places(sizes, "{x} {y} {x} {y}")
    blocks = [rf'"<{tag}" place_and_class ">" inner "</{tag}>"' for tag in _BLOCKS]
    inner = [rf'"<{tag}" attribute* ">" inner "</{tag}>"' for tag in (*_INNER, *_TABLE)]
    return "\n".join(
        [
            r'start: "```html\n<html><body>\n" (block "\n" " "?)* "</body></html>\n```"',
            f"block: {' | '.join(blocks)} | image",
            'image: "<img" box "/>"',
            "place_and_class: class? box | box class",
            r'box: " data-bbox=\"" place "\""',
            f"place: {places}",
            r'class: " class=\"" VALUE "\""',
            r'attribute: box | " " ("class" | "colspan" | "rowspan" | "style") "=\"" VALUE "\""',
            f'inner: (TEXT | "<br/>" | image | {" | ".join(inner)})*',
            r"VALUE: /[A-Za-z0-9 #:;,.%_()-]+/",
            r"TEXT: /([^<>&]|&(amp|lt|gt|quot|#39|nbsp);)+/",
            *numbers,
        ]
    )


_WITH_PICTURE: Mapping[str, Callable[[Sequence[Size]], str]] = {
    "boxes": _boxes,
    "points": _points,
    "qwenvl_html": _html,
}

_CALLS = {
    "tool_calls": r'start: call ("\n" call)*',
    "tool_call": "start: call",
    "text_or_tool_call": "start: ANY? call?\nANY: /(.|\\n)+/",
}
"""Grammar with tool calls -> its first rules. Their control tokens are no text, so that `ANY` cannot contain a call."""

READY = (*_WITH_PICTURE, *_CALLS)
"""Names of the ready grammars."""


def _tool_calls(name: str, tools: Sequence[Mapping[str, Any]], tokenizer: Tokenizer) -> str:
    if not tools:
        raise ConfigError(
            f"the grammar {name} needs tools, but the conversation offers none",
            hint="give them as tools=[...], in OpenAI's form",
        )
    begin, end = (_token(name, tokenizer) for name in (TOOL_CALL, TOOL_CALL_END))
    calls, rules = [], []
    for index, tool in enumerate(tools):
        function = tool.get("function", tool)
        head = json.dumps(
            f'{{"name": {json.dumps(function["name"], ensure_ascii=False)}, "arguments": '
        )
        calls.append(f'{head} arguments{index} "}}"')
        schema = {**(function.get("parameters") or {"type": "object"}), "x-guidance": JSON_STYLE}
        rules.append(f"arguments{index}: %json {json.dumps(schema)}")
    return "\n".join(
        [
            _CALLS[name],
            rf'call: {begin} "\n" body "\n" {end}',
            f"body: {' | '.join(calls)}",
            *rules,
        ]
    )


def _token(name: str, tokenizer: Tokenizer) -> str:
    """A control token by its id; spelled out if the vocabulary lacks it."""
    index = tokenizer.special_ids.get(name)
    return f"<[{index}]>" if index is not None else json.dumps(name)
