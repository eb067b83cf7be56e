# SPDX-License-Identifier: Apache-2.0
"""JSON as models write it: quotes, comments, escapes, numbers and what is left of a text that was cut."""

from __future__ import annotations

import pytest

from finesight.parse.json_block import find_blocks


def value(text: str):
    (block,) = find_blocks(text)
    return block.value


def state(text: str):
    (block,) = find_blocks(text)
    return block.value, block.state, block.open_levels


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": 1, "b": 2, "a": 3}', {"b": 2, "a": 3}),
        ("{'a': 'b'}", {"a": "b"}),
        ("{“a”: “b”}", {"a": "b"}),
        ("{a: 1}", {"a": 1}),
        ("{1: 2}", {"1": 2}),
        (
            "{a: None, b: True, c: false, d: undefined}",
            {"a": None, "b": True, "c": False, "d": None},
        ),
        ('{"a": NaN, "b": -Infinity, "c": 1e999}', {"a": None, "b": None, "c": None}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": [1 2]}', {"a": [1, 2]}),
        ('{"a": [1,,2]}', {"a": [1, 2]}),
        ('{"a": (1, 2)}', {"a": [1, 2]}),
        ('{"a"： 1，"b"：2}', {"a": 1, "b": 2}),
        ('{"a": }', {"a": None}),
        ('{"a": [}', {"a": []}),
        ('{"a": 1 // one\n, "b": 2}', {"a": 1, "b": 2}),
        ('{"a": 1 # one\n, "b": 2}', {"a": 1, "b": 2}),
        ('{"a": /* one */ 1, /* two */ "b": 2}', {"a": 1, "b": 2}),
        ('{"a": /**/ 1}', {"a": 1}),
        ('{"a": "say "hi" to"}', {"a": 'say "hi" to'}),
        ('{"a": "it\'s"}', {"a": "it's"}),
        ('{"a": "b"\n"c": 1}', {"a": "b", "c": 1}),
        ('{"a": "b\nc"}', {"a": "b\nc"}),
        ('{"a": "b  \n   c"}', {"a": "b  \n   c"}),
        (r'{"a": "\n\t\"\\\/\b\f\r"}', {"a": '\n\t"\\/\b\f\r'}),
        (r'{"a": "\x \d"}', {"a": r"\x \d"}),
        (r'{"a": "\u0041\u00e9"}', {"a": "Aé"}),
        (r'{"a": "\ud83d\ude00!"}', {"a": "😀!"}),
        (r'{"a": "\ud800\udc00"}', {"a": "\U00010000"}),
        (r'{"a": "\udbff\udfff"}', {"a": "\U0010ffff"}),
        (r'{"a": "\ud83d!"}', {"a": "\ufffd!"}),
        (r'{"a": "\ude00!"}', {"a": "\ufffd!"}),
        (r'{"a": "\udfff"}', {"a": "\ufffd"}),
        (r'{"a": "\ue000"}', {"a": "\ue000"}),
        (r'{"a": "\u004"}', {"a": r"\u004"}),
        ('{"a": -1.5e2}', {"a": -150.0}),
        ('{"a": +1, "b": .5, "c": 2.}', {"a": 1, "b": 0.5, "c": 2.0}),
        ('{"a": 123456789012345678}', {"a": 123456789012345678}),
        ('{"a": -12}', {"a": -12}),
        ('[[1], {"a": [2]}]', [[1], {"a": [2]}]),
        ('{"url": "http://a/b", "c": 1}', {"url": "http://a/b", "c": 1}),
        ('{"a": "b" /* c */, "d": 1}', {"a": "b", "d": 1}),
        ('{"a": "b" // c\n}', {"a": "b"}),
        ('{\n"a": 1 // one\n, "b": 2\n}', {"a": 1, "b": 2}),
        ('{"a": "say "X" to"}', {"a": 'say "X" to'}),
        (r'{"a": "\beta \frac \bx1"}', {"a": r"\beta \frac \bx1"}),
        (r'{"a": "\udc00\udc00"}', {"a": "\ufffd\ufffd"}),
        (r'{"a": "\ud800!"}', {"a": "\ufffd!"}),
        (r'{"a": "\X"}', {"a": r"\X"}),
        ('{"a": %s}' % ("1" * 308), {"a": int("1" * 308)}),
        ('{"a": %s}' % ("1" * 309), {"a": float("1" * 309)}),
    ],
)
def test_what_is_forgiven(text, read):
    assert state(text) == (read, "closed", 0)
    found = value(text)
    assert repr(found) == repr(read)  # the same types, in the same order


@pytest.mark.parametrize(
    ("text", "read", "levels"),
    [
        ('[{"a": 1}, {"b": 2', [{"a": 1}, {}], 2),  # a number at the end may lack its tail
        ('[{"a": 1}, {"b": 2 ', [{"a": 1}, {"b": 2}], 2),
        ('[{"a": 1}, {"b"', [{"a": 1}, {}], 2),
        ('[{"a": 1}, {"b":', [{"a": 1}, {}], 2),
        ('[{"a": 1}, {"b": "c', [{"a": 1}, {}], 2),
        ('[{"a": 1}, {"b": "c"', [{"a": 1}, {"b": "c"}], 2),
        ('[{"a": 1}, {"b": tru', [{"a": 1}, {}], 2),
        ('[{"a": 1}, ', [{"a": 1}], 1),
        ('{"a": 1, "b": [1, [2, 3', {"a": 1, "b": [1, [2]]}, 3),
        ('{"a": {"b": [1}', {"a": {"b": [1]}}, 1),  # a bracket that closes two levels
        ('{"a": 1 /* never', {"a": 1}, 1),
        ('{"a": 1 // never', {"a": 1}, 1),
    ],
)
def test_what_is_left_of_a_text_that_was_cut(text, read, levels):
    found, _, open_levels = state(text)
    assert (found, open_levels) == (read, levels)


def test_a_cut_text_says_so_and_a_broken_one_too():
    assert state('{"a": 1, "b": 2 ')[1] == "cut"
    assert state('{"a": 1, ! }')[1] == "broken"
    assert state('{"a": 1, "b": word}')[1] == "broken"
    assert state('{"a": 1, "b')[1] == "cut"
    assert state('{"a": 1, b')[1] == "cut"
    assert state('{"a": 1, b X 1}')[1] == "broken"
    assert state('{"a": 1, "b": /*/ 1}')[1] == "broken"


def test_a_closing_quote_that_was_forgotten():
    """It ends the block at the end of its line; what stands behind it is read on its own."""
    first, second = find_blocks('[{"a": "b\n}, {"c": 1}]')
    assert (first.value, first.state) == ([{}], "broken")
    assert (second.value, second.state) == ({"c": 1}, "closed")


def test_as_deep_as_it_goes():
    deep = '{"a": ' + "[" * 63 + "]" * 63 + "}"
    assert state(deep)[1] == "closed"
    deeper = '{"a": ' + "[" * 64 + "]" * 64 + "}"
    assert find_blocks(deeper)[0].state == "broken"
    assert all(block.state != "closed" or not block.num_keys for block in find_blocks(deeper))


def test_keys_are_counted_in_all_objects():
    (block,) = find_blocks('[{"a": 1, "b": {"c": 2}}, {"d": 3}]')
    assert block.num_keys == 4
    assert block.span == (0, 35)
    first, second = find_blocks('{"a": 1} and {"b": 2, "c": 3}')
    assert (first.num_keys, second.num_keys) == (1, 2)


def test_comments_repeated_keys_and_unset_values_are_counted():
    (block,) = find_blocks('{"a": 1, // x\n # y\n /* z */ "b": 2 /* w */}')
    assert (block.value, block.num_comments) == ({"a": 1, "b": 2}, 4)
    (block,) = find_blocks('[NaN, inf, undefined, 1e999, -2e999, 3, None, {"a": }]')
    assert (block.num_unset, block.num_comments, block.repeated) == (6, 0, ())
    (block,) = find_blocks('{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}')
    assert (block.value, block.repeated) == ({"b": {"c": 2}, "a": 3}, ("c", "a"))


@pytest.mark.parametrize("after", ["}", "  }", "]", '{"c": 1}', "\n \t}"])
def test_a_forgotten_quote_ends_at_its_line(after):
    text = f'{{"x": 1, "a": "b\n{after}'
    block = find_blocks(text)[0]
    assert (block.value, block.state) == ({"x": 1}, "broken")
    assert text[slice(*block.span)] == '{"x": 1, "a": '


def test_a_string_does_not_reach_beyond_its_fence():
    (block,) = find_blocks('```json\n{"x": 1, "a": "b\n```\nand "c": 2}')
    assert (block.value, block.state) == ({"x": 1}, "cut")


def test_blocks_of_fences_and_of_text():
    text = '{"a": 1}\n```json\n{"b": 2}\n```\n{"c": 3}'
    found = [(block.value, block.is_fenced) for block in find_blocks(text)]
    assert found == [({"a": 1}, False), ({"b": 2}, True), ({"c": 3}, False)]


def test_a_comment_does_not_reach_beyond_its_fence():
    text = '```json\n{"a": 1 /* x }\n```\n*/ {"b": 2}'
    assert [block.value for block in find_blocks(text)] == [{"a": 1}, {"b": 2}]
