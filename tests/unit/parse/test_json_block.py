# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from finesight.parse.json_block import find_blocks, regions, walk
from finesight.parse.json_scan import MAX_DEPTH


def only(text):
    blocks = find_blocks(text)
    assert len(blocks) == 1, blocks
    return blocks[0]


def objects(text):
    return [visit.members for block in find_blocks(text) for visit in walk(block)]


def complete(text):
    return [
        visit.members for block in find_blocks(text) for visit in walk(block) if visit.is_complete
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n[\n\t{"a": 1},\n\t{"a": 2}\n]\n```', [{"a": 1}, {"a": 2}]),
        ('[{"a": 1,}, ]', [{"a": 1}]),
        ('[{"a": 1} {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ("{'a': 'it''s'}", {"a": "it''s"}),
        ("{'label': 'it's a cake', 'n': None}", {"label": "it's a cake", "n": None}),
        ('{"a": (1, 2), "b": True}', {"a": [1, 2], "b": True}),
        ("{a: 1, b_2: 'x'}", {"a": 1, "b_2": "x"}),
        ('{"a": NaN, "b": -Infinity, "c": 1}', {"a": None, "b": None, "c": 1}),
        ('{"a": 1 // one\n, /* two */ "b": 2 # three\n}', {"a": 1, "b": 2}),
        ('{"a": "see // here # now"}', {"a": "see // here # now"}),
        ('{"label": "the "big" cake", "n": 1}', {"label": 'the "big" cake', "n": 1}),
        ('{"a": "x",\n "b": "y"\n "c": "z"}', {"a": "x", "b": "y", "c": "z"}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{"a": "\\u00e9\\ud83d\\ude00\\n"}', {"a": "é😀\n"}),
        ('{"a": "\\ud83d alone"}', {"a": "\ufffd alone"}),
        ('{"a": "\\lambda"}', {"a": "\\lambda"}),
        (r'{"a": "\frac \beta \b \f \t"}', {"a": "\\frac \\beta \b \f \t"}),
        ('{"a": 12345678901234567890}', {"a": 12345678901234567890}),
        ('{"a": -1234567890123456789}', {"a": -1234567890123456789}),
        ('{"a": -1.5e3, "b": +2, "c": .5}', {"a": -1500.0, "b": 2, "c": 0.5}),
        ('{"a": 1e999}', {"a": None}),
        ("{“a”: “x”}", {"a": "x"}),
        ('{"a":1，"b"：2}', {"a": 1, "b": 2}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": , "b": 1}', None),
        ('{"a": }', {"a": None}),
        ('[{"a": 1]', [{"a": 1}]),
        ("[]", []),
    ],
)
def test_what_models_write_is_read(text, value):
    if value is None:  # a value left out and a key in its place: no sense can be made of it
        assert only(text).state == "broken"
        return
    assert only(text).value == value
    assert only(text).state == "closed"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('[{"a": 1}, {"a": 2', [{"a": 1}]),
        ('[{"a": 1}, {"a": "tw', [{"a": 1}]),
        ('[{"a": 1}, {"a"', [{"a": 1}]),
        ('[{"a": 1}, {', [{"a": 1}]),
        ('[{"a": 1}', [{"a": 1}]),
        ('{"items": [{"a": 1}, {"a": 2}, {"a": 3', [{"a": 1}, {"a": 2}]),
        ('```json\n[{"a": 1}, {"b": 2\n```\nand {"c": 3}', [{"a": 1}, {"c": 3}]),
    ],
)
def test_a_cut_text_keeps_what_was_whole(text, whole):
    assert complete(text) == whole
    assert find_blocks(text)[0].state == "cut"


def test_a_number_at_the_very_end_may_lack_digits():
    assert objects('{"a": [1, 23') == [{"a": [1]}]


def test_a_forgotten_quote_costs_one_object():
    text = '[{"a": 1, "b": "cat},\n{"a": 2},\n{"a": 3}]'
    assert complete(text) == [{"a": 2}, {"a": 3}]
    assert find_blocks(text)[0].state == "broken"


def test_a_stray_quote_in_a_sentence_does_not_swallow_the_fence():
    assert complete('Write {" first.\n```json\n{"a": 1}\n```') == [{"a": 1}]


def test_brackets_of_sentences_are_no_json():
    assert objects("as shown in [fig. 1] and {so on}, \\frac{a}{b}") == []


def test_an_empty_cut_fence_still_shows_as_cut():
    assert only("```json\n[").state == "cut"


def test_nesting_has_an_end():
    value = find_blocks("[" * 1000 + "1" + "]" * 1000)[0].value
    depth = 0
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    assert depth <= MAX_DEPTH


def test_a_walk_knows_what_is_around():
    visits = list(walk(only('{"Picture 2": [{"a": 1}]}')))
    assert visits[1].members == {"a": 1}
    assert visits[1].enclosing[-1] == "Picture 2"


def test_regions_cut_at_fences():
    text = 'one\n```json\ntwo\n```\nthree ```json {"a": 1}``` four'
    found = [(text[r.start : r.end].strip(), r.info, r.is_fenced) for r in regions(text)]
    assert found == [
        ("one", "", False),
        ("two", "json", True),
        ("three", "", False),
        ('{"a": 1}', "json", True),
        ("four", "", False),
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"a": null, "b": None}', 0),
        ('{"a": }', 1),
        ('{"a": [NaN, -Infinity, undefined, 1e999]}', 4),
        ('{"a": ' + "9" * 308 + "}", 0),
        ('{"a": ' + "9" * 309 + "}", 1),
    ],
)
def test_values_that_became_null_are_counted(text, count):
    assert only(text).num_unset == count
    json.dumps(only(text).value, allow_nan=False)


def test_every_whole_number_is_a_finite_float():
    assert float(only('{"a": ' + "9" * 308 + "}").value["a"]) < float("inf")


def test_a_fence_within_a_string_does_not_end_the_block():
    (block,) = find_blocks('```json\n["```json", 1]\n```')
    assert block.value == ["```json", 1]
    assert block.state == "closed"
