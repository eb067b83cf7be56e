# SPDX-License-Identifier: Apache-2.0
"""The ready grammars write the official forms, within the picture, and the parsers read them without a complaint."""

from __future__ import annotations

import json
import re

import pytest

from finesight.conversation import Reply, Sampling, Usage
from finesight.engine.constraint import constraint_of
from finesight.engine.grammars import READY
from finesight.errors import ConfigError
from finesight.geometry import Box, Size
from finesight.parse.action import read_tool_calls
from finesight.parse.answer import read_answer
from finesight.parse.document import Block, DocumentPage, Run
from finesight.parse.document_render import render_html
from tests.support.constrained import answer
from tests.support.replies import picture_record

CALL = '<tool_call>\n{"name": "click", "arguments": {"at": [9, 12]}}\n</tool_call>'
PICTURE = picture_record("a.png")  # shown at 504 x 252
WIDTH, HEIGHT = PICTURE.resize.resized.width, PICTURE.resize.resized.height
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "click",
            "description": "Click.",
            "parameters": {
                "type": "object",
                "properties": {
                    "at": {"$ref": "#/$defs/place"},
                    "button": {"enum": ["left", "right", "größer\x7f"]},
                },
                "required": ["at"],
                "additionalProperties": False,
                "$defs": {
                    "place": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0, "maximum": 99},
                        "minItems": 2,
                        "maxItems": 2,
                    }
                },
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": 'say "x"',
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "wait", "description": "No parameters are stated."}},
)


def accepts(tokenizer, name, text, **given) -> bool:
    """Whether a text, in control tokens where the vocabulary has them, is a whole answer."""
    constraint = constraint_of(Sampling(grammar=name), tokenizer, **given)
    tokens: list[int] = []
    for piece in re.split(r"(</?tool_call>)", text):
        known = tokenizer.special_ids.get(piece)
        tokens += [known] if known is not None else tokenizer.encode(piece)
    for token in tokens:
        if constraint._matcher.try_consume_tokens([token]) != 1:
            return False
    return constraint.is_complete


def reply(text: str) -> Reply:
    return Reply(
        text=text, token_ids=(), finish_reason="stop", usage=Usage(1, 1, 1), media=(PICTURE,)
    )


OFFICIAL = [
    ("boxes", '```json\n[\n\t{"bbox_2d": [43, 57, 209, 153], "label": "red square"}\n]\n```', True),
    (
        "boxes",
        '```json\n[\n\t{"bbox_2d": [0, 0, 504, 252], "label": "a"},\n\t{"bbox_2d": [1, 2, 3, 4], "label": "b", '
        '"sub_label": "c"}\n]\n```',
        True,
    ),
    ("boxes", '```json\n[\n\t{"bbox_2d": [1, 2, 3, 4], "text_content": "Straße"}\n]\n```', True),
    ("boxes", "```json\n[]\n```", True),
    ("boxes", '```json\n[\n\t{"bbox_2d": [0, 0, 505, 252], "label": "a"}\n]\n```', False),
    ("boxes", '```json\n[\n\t{"bbox_2d": [0, 0, 504, 253], "label": "a"}\n]\n```', False),
    ("boxes", '```json\n[\n\t{"bbox_2d": [-1, 0, 504, 252], "label": "a"}\n]\n```', False),
    ("boxes", '```json\n[\n\t{"bbox_2d": [1, 2, 3], "label": "a"}\n]\n```', False),
    ("boxes", "no boxes", False),
    ("points", '```json\n[\n\t{"point_2d": [504, 252], "label": "a"}\n]\n```', True),
    ("points", '```json\n[\n\t{"point_2d": [504, 253], "label": "a"}\n]\n```', False),
    (
        "qwenvl_html",
        '```html\n<html><body>\n<h2 data-bbox="31 94 158 132">Qwen &amp; more</h2>\n <p data-bbox="1 2 3 4">one <b>two'
        "</b></p>\n"
        ' <div class="image" data-bbox="26 19 70 27"><img data-bbox="26 19 70 27"/></div>\n</body></html>\n```',
        True,
    ),
    (
        "qwenvl_html",
        '```html\n<html><body>\n<p data-bbox="1 2 3 253">x</p>\n</body></html>\n```',
        False,
    ),
    ("qwenvl_html", "```html\n<html><body>\n<p>x</p>\n</body></html>\n```", False),
    ("qwenvl_html", '```html\n<html><body>\n<p data-bbox="1 2 3 4">x\n</body></html>\n```', False),
    (
        "tool_calls",
        '<tool_call>\n{"name": "click", "arguments": {"at": [9, 12]}}\n</tool_call>',
        True,
    ),
    (
        "tool_calls",
        '<tool_call>\n{"name": "click", "arguments": {"at": [9, 12], "button": "left"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "wait", "arguments": {"any": [1]}}\n</tool_call>\n'
        '<tool_call>\n{"name": "say \\"x\\"", "arguments": {"text": "1"}}\n</tool_call>',
        True,
    ),
    (
        "tool_calls",
        '<tool_call>\n{"name": "tap", "arguments": {"at": [9, 12]}}\n</tool_call>',
        False,
    ),
    (
        "tool_calls",
        '<tool_call>\n{"name": "click", "arguments": {"at": [9, 100]}}\n</tool_call>',
        False,
    ),
    ("tool_calls", '<tool_call>\n{"name": "click", "arguments": {}}\n</tool_call>', False),
    ("tool_calls", "I click.", False),
    ("tool_call", CALL, True),
    ("tool_call", f"{CALL}\n{CALL}", False),
    ("tool_call", "I click.", False),
    ("text_or_tool_call", CALL, True),
    ("text_or_tool_call", "I click.\nThen I wait.", True),
    ("text_or_tool_call", "", True),
    ("text_or_tool_call", f"I click.\n{CALL}", True),
    ("text_or_tool_call", f"{CALL}\n{CALL}", False),
    ("text_or_tool_call", f"{CALL}\nI clicked.", False),
    ("text_or_tool_call", f"I click.\n{CALL}\nI click.\n{CALL}", False),
]


@pytest.mark.parametrize(("name", "text", "fits"), OFFICIAL, ids=lambda each: str(each)[:30])
def test_official_answers_fit_and_others_do_not(tiny_tokenizer, name, text, fits):
    given = {"media": (PICTURE,), "tools": TOOLS}
    assert accepts(tiny_tokenizer, name, text, **given) is fits


def test_pages_as_they_are_rendered_for_training_fit(tiny_tokenizer):
    box = Box(1, 2, 30, 40)
    inner = Block(tag="li", runs=(Run("x < y & z"),))
    page = DocumentPage(
        blocks=(
            Block(tag="h1", runs=(Run("Title"),), box_resized=box),
            Block(tag="ul", children=(inner, inner), box_resized=box),
        )
    )
    text = render_html(page, fenced=True)
    assert accepts(tiny_tokenizer, "qwenvl_html", text, media=(PICTURE,)), text


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", READY)
def test_drawn_answers_are_read_without_a_complaint(tiny_tokenizer, name, seed):
    sampling = Sampling(
        grammar=name, temperature=1.0, seed=seed, max_new_tokens=1500, loop_guard=False
    )
    given = {"media": (PICTURE,), "tools": TOOLS[:2]}
    drawn = answer(tiny_tokenizer, sampling, seed=seed, end_bias=9.0, **given)
    if drawn.finish_reason == "length":
        return
    found = read_answer(reply(drawn.text))
    if name == "boxes":
        assert len(found.boxes) == len(json.loads(drawn.text.strip("`json \n")))
        for entry in json.loads(drawn.text.strip("`json \n")):
            x1, y1, x2, y2 = entry["bbox_2d"]
            assert max(x1, x2) <= WIDTH
            assert max(y1, y2) <= HEIGHT
    elif name == "points":
        assert len(found.points) == len(json.loads(drawn.text.strip("`json \n")))
    elif name == "qwenvl_html":
        assert found.document is not None
        assert not found.document.is_cut
    else:
        calls = read_tool_calls(drawn.text)
        assert drawn.finish_reason == ("tool_calls" if calls.calls else "stop")
        assert calls.calls or name == "text_or_tool_call"
        assert len(calls.calls) == 1 or name != "tool_call"
        assert not calls.problems
        assert {call.name for call in calls.calls} <= {"click", 'say "x"'}


def test_each_box_fits_one_of_several_pictures(tiny_tokenizer):
    from dataclasses import replace

    tall = replace(PICTURE, resize=replace(PICTURE.resize, resized=Size(28, 980)))
    both = (PICTURE, tall)

    def fits(box):
        text = f'```json\n[\n\t{{"bbox_2d": {box}, "label": "a"}}\n]\n```'
        return accepts(tiny_tokenizer, "boxes", text, media=both)

    assert fits([400, 10, 500, 250])
    assert fits([1, 10, 28, 980])
    assert not fits([400, 10, 500, 980])


@pytest.mark.parametrize("name", ["boxes", "points", "qwenvl_html"])
def test_coordinates_need_a_picture(tiny_tokenizer, name):
    with pytest.raises(ConfigError, match=f"the grammar {name} bounds coordinates by a picture"):
        constraint_of(Sampling(grammar=name), tiny_tokenizer)


def test_tool_calls_use_the_control_tokens(tiny_tokenizer):
    drawn = answer(
        tiny_tokenizer,
        Sampling(grammar="tool_calls", temperature=1.0, seed=3),
        seed=3,
        end_bias=9,
        tools=TOOLS,
    )
    assert drawn.token_ids[0] == tiny_tokenizer.special_id("<tool_call>")
    assert drawn.text.startswith("<tool_call>\n{")
