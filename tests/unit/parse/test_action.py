# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.errors import ParseError
from finesight.geometry import Point
from finesight.parse.action import (
    Action,
    points_of,
    problems_of,
    read_action,
    read_tool_calls,
)
from finesight.parse.records import AnswerCall, Findings

CLICK = (
    'I open it.\n<tool_call>\n{"name": "mobile_use", "arguments": '
    '{"action": "click", "coordinate": [639, 1095]}}\n</tool_call>'
)


def calls(text):
    return [(call.name, call.arguments) for call in read_tool_calls(text).calls]


def test_the_official_call():
    assert calls(CLICK) == [("mobile_use", {"action": "click", "coordinate": [639, 1095]})]
    assert not read_tool_calls(CLICK).is_cut


def test_several_calls():
    text = '<tool_call>{"name": "a", "arguments": {}}</tool_call>\n' * 3
    assert [name for name, _ in calls(text)] == ["a", "a", "a"]


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "a", "arguments": {"x": 1}}',
        '<tool_call>{"name": "a", "arguments": "{\\"x\\": 1}"}</tool_call>',
        "<tool_call>{'name': 'a', 'arguments': {'x': 1,}}</tool_call>",
        '{"name": "a", "arguments": {"x": 1}}',
        '```json\n{"name": "a", "arguments": {"x": 1}}\n```',
        '<tool_call>\n```json\n{"name": "a", "arguments": {"x": 1}}\n```\n</tool_call>',
    ],
)
def test_what_models_write_instead(text):
    assert calls(text) == [("a", {"x": 1})]


@pytest.mark.parametrize("key", ["arguments", "parameters", "params", "args", "input"])
def test_where_other_formats_write_the_arguments(key):
    assert calls(f'<tool_call>{{"name": "a", "{key}": {{"x": 1}}}}</tool_call>') == [
        ("a", {"x": 1})
    ]


@pytest.mark.parametrize(
    "body",
    [
        '{"id": "call_1", "type": "function", "function": {"name": "a", "arguments": {"x": 1}}}',
        '{"type": "tool_call", "name": "a", "args": {"x": 1}, "id": "call_1"}',
        '{"name": "a", "arguments": "\\"{\\\\\\"x\\\\\\": 1}\\""}',
    ],
)
def test_calls_of_other_clients(body):
    assert calls(f"<tool_call>{body}</tool_call>") == [("a", {"x": 1})]


@pytest.mark.parametrize(
    "said", ["", ', "arguments": {}', ', "arguments": ""', ', "arguments": null', ', "args": []']
)
def test_a_call_without_arguments(said):
    found = read_tool_calls(f'<tool_call>{{"name": "now"{said}}}</tool_call>')
    assert [(call.name, call.arguments) for call in found.calls] == [("now", {})]
    assert found.problems == ()


@pytest.mark.parametrize("number", ["12345678901234567890", "-98765432109876543210987654321"])
@pytest.mark.parametrize("form", ['{"x": %s}', '"{\\"x\\": %s}"'])
def test_long_whole_numbers_are_exact(number, form):
    body = '{"name": "a", "arguments": %s}' % (form % number)
    assert calls(f"<tool_call>{body}</tool_call>") == [("a", {"x": int(number)})]


def test_a_call_within_text_needs_its_tags():
    assert calls('For example {"name": "a", "arguments": {}} is a call.') == []


@pytest.mark.parametrize("before", ["", "\n ", "```json\n"])
def test_where_a_call_without_tags_stands(before):
    body = '{"name": "a", "arguments": {}}'
    found = read_tool_calls(f"{before}{body}")
    assert [call.span for call in found.calls] == [(len(before), len(before) + len(body))]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a", "arguments": {}} and more',
        '{"name": "a", "arguments": {}} {"name": "b", "arguments": {}}',
        '{"name": "a", "arguments": {}, "id": 1}',
        '{"name": "a", "arguments": {"x": }}',
        '["name", "arguments"]',
        'An example: {"name": "a", "arguments": {}}',
    ],
)
def test_an_object_of_an_answer_is_no_call(text):
    assert read_tool_calls(text) == Findings()


def test_markup_within_an_argument():
    text = '<tool_call>{"name": "a", "arguments": {"html": "<p>1 < 2</p>"}}</tool_call>'
    assert calls(text) == [("a", {"html": "<p>1 < 2</p>"})]


@pytest.mark.parametrize(
    "text",
    [
        CLICK[:-20],
        CLICK[:-30],
        "<tool_call>",
        '<tool_call>{"name": "mobile_use", "argu',
    ],
)
def test_a_cut_call_is_reported_and_not_half_filled(text):
    found = read_tool_calls(text)
    assert found.calls == ()
    (problem,) = found.problems
    assert text[slice(*problem.span)] == text[text.index("<tool_call>") :]
    assert found.is_cut


def test_a_call_that_the_next_one_begins_in_is_broken_and_not_cut():
    found = read_tool_calls(f'<tool_call>{{"name": "a", {CLICK}')
    assert [call.name for call in found.calls] == ["mobile_use"]
    assert len(found.problems) == 1
    assert not found.is_cut
    broken = read_tool_calls("<tool_call>{}</tool_call>")
    assert (len(broken.problems), broken.is_cut) == (1, False)
    later = read_tool_calls("<tool_call>{}</tool_call><tool_call>{")
    assert (len(later.problems), later.is_cut) == (2, True)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "click it",
        "[1]",
        '{"arguments": {}}',
        '{"name": 3}',
        '{"name": "a", "arguments": [1]}',
        '{"name": "a", "arguments": "x"}',
        '{"name": "a"} {"name": "b"}',
        '{"name": "a", "path": "x"}',
        '{"name": "a", "arguments": {"x": 1}, "path": "x"}',
        '{"name": "a", "argument": {"x": 1}}',
        '{"name": "a", "Arguments": {"x": 1}}',
        '{"name": "a", "arguments": {}, "args": {"x": 1}}',
        '{"name": "a", "id": 5}',
        '{"type": "function", "function": {"name": "a"}, "x": 1}',
        '{"name": "a", "arguments": }',
        '{"name": "a", "arguments": {"x": }}',
        '{"name": "a", "arguments": {"x": NaN}}',
        '{"name": "a", "arguments": {"x": [1, 1e999]}}',
        '{"name": "a", "arguments": false}',
        '{"name": "a", "arguments": "call it with {}"}',
        '{"name": "a", "arguments": "{\\"x\\": "}',
        '{"name": "a", "arguments": {"x": 1, "x": 2}}',
        '{"name": "a", "name": "b"}',
        '{"name": "a", "arguments": "{\\"x\\": 1, \\"x\\": 2}"}',
        '{"name": "a", "arguments": {"x": 1 /* or 2 */}}',
        '{"name": "a", "arguments": {"x": 1}} // or 2',
        'first {"name": "a", "arguments": {"x": 1}}',
        '{"name": "a", "arguments": {"x": 1}} twice',
    ],
)
def test_a_broken_call_is_reported(body):
    found = read_tool_calls(f"<tool_call>{body}</tool_call>{CLICK}")
    assert len(found.calls) == 1
    assert len(found.problems) == 1
    assert not found.is_cut


def action(tool, **arguments):
    return read_action(AnswerCall(tool, arguments))


@pytest.mark.parametrize(
    ("tool", "arguments", "typed"),
    [
        ("computer_use", {"action": "left_click"}, {}),
        (
            "computer_use",
            {"action": "left_click", "coordinate": [3, 4.5]},
            {"point_resized": Point(3, 4.5)},
        ),
        ("computer_use", {"action": "key", "keys": ["ctrl", "c"]}, {"keys": ("ctrl", "c")}),
        ("computer_use", {"action": "key", "keys": "esc"}, {"keys": ("esc",)}),
        (
            "computer_use",
            {"action": "scroll", "pixels": -5, "coordinate": [1, 2]},
            {"pixels": -5, "point_resized": Point(1, 2)},
        ),
        ("computer_use", {"action": "wait", "time": 2}, {"seconds": 2}),
        ("computer_use", {"action": "terminate", "status": "success"}, {"status": "success"}),
        (
            "mobile_use",
            {"action": "swipe", "coordinate": [1, 2], "coordinate2": [3, 4]},
            {"point_resized": Point(1, 2), "point2_resized": Point(3, 4)},
        ),
        (
            "mobile_use",
            {"action": "long_press", "coordinate": [1, 2], "time": 0.5},
            {"point_resized": Point(1, 2), "seconds": 0.5},
        ),
        ("mobile_use", {"action": "system_button", "button": "Home"}, {"button": "Home"}),
        ("mobile_use", {"action": "type", "text": "né"}, {"text": "né"}),
        ("mobile_use", {"action": "answer", "text": "7:30"}, {"text": "7:30"}),
    ],
)
def test_actions_get_types(tool, arguments, typed):
    expected = Action(tool=tool, kind=arguments["action"], **typed)
    assert action(tool, **arguments) == expected


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("browser", {"action": "click"}, "tool 'browser' is none of computer_use, mobile_use"),
        ("mobile_use", {"action": "fly"}, "mobile_use has no action 'fly'"),
        ("mobile_use", {}, "mobile_use has no action None"),
        ("mobile_use", {"action": "click"}, "mobile_use click lacks coordinate"),
        (
            "mobile_use",
            {"action": "click", "coordinate": [1]},
            "mobile_use click: coordinate is [1], not [x, y]",
        ),
        ("mobile_use", {"action": "click", "coordinate": ["one", 2]}, "not [x, y]"),
        (
            "mobile_use",
            {"action": "swipe", "coordinate": [1, 2], "coordinate2": 3},
            "mobile_use swipe: coordinate2 is 3, not [x, y]",
        ),
        (
            "mobile_use",
            {"action": "wait", "time": "2"},
            "mobile_use wait: time is '2', not a number",
        ),
        ("mobile_use", {"action": "wait", "time": True}, "time is True, not a number"),
        ("mobile_use", {"action": "wait", "time": 2, "text": "x"}, "takes no text"),
        (
            "mobile_use",
            {"action": "system_button", "button": "Off"},
            "mobile_use system_button: button is 'Off'",
        ),
        (
            "computer_use",
            {"action": "scroll", "pixels": [1]},
            "computer_use scroll: pixels is [1], not a number",
        ),
        (
            "computer_use",
            {"action": "terminate", "status": "done"},
            "computer_use terminate: status is 'done'",
        ),
        (
            "computer_use",
            {"action": "key", "keys": [1]},
            "computer_use key: keys is [1], not a list of keys",
        ),
        ("computer_use", {"action": "key", "keys": []}, "keys is [], not a list of keys"),
        ("computer_use", {"action": "key", "keys": 5}, "keys is 5, not a list of keys"),
        (
            "computer_use",
            {"action": "type", "text": 3},
            "computer_use type: text is 3, not a text",
        ),
    ],
)
def test_a_wrong_action_names_the_argument(tool, arguments, message):
    with pytest.raises(ParseError) as caught:
        read_action(AnswerCall(tool, arguments))
    assert message in str(caught.value)


def test_points_of_any_tool():
    call = AnswerCall("x", {"coordinate": [1, 2], "coordinate2": "no", "other": [3, 4]})
    assert points_of(call) == {"coordinate": Point(1, 2)}


@pytest.mark.parametrize(
    "value", ["[3, 4.5]", '"[3, 4.5]"', '["3", "4.5"]', '{"x": 3, "y": "4.5"}', "[[3, 4.5]]"]
)
def test_every_shape_of_a_coordinate(value):
    text = (
        '<tool_call>{"name": "mobile_use", "arguments": {"action": "click", "coordinate": '
        f"{value}}}}}</tool_call>"
    )
    (call,) = read_tool_calls(text).calls
    assert points_of(call) == {"coordinate": Point(3, 4.5)}
    assert read_action(call).point_resized == Point(3, 4.5)
    assert problems_of(call) == ()


@pytest.mark.parametrize(
    "value", [[1], [1, 2, 3, 4], [[1, 2], [3, 4]], "=", "", {}, {"x": 1}, True, 3, [None, 2]]
)
def test_a_coordinate_of_another_shape_is_reported(value):
    call = AnswerCall("computer_use", {"action": "left_click", "coordinate": value}, (7, 9))
    assert points_of(call) == {}
    (problem,) = problems_of(call)
    assert problem.span == (7, 9)
    assert problem.message.startswith("coordinate of tool call 'computer_use' is ")
    assert problem.message.endswith(", not [x, y]")


def test_no_coordinate_is_no_problem():
    assert problems_of(AnswerCall("x", {"coordinate": None, "other": "="})) == ()
