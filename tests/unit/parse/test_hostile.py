# SPDX-License-Identifier: Apache-2.0
"""Texts that were written to be slow to read. A reader of quadratic time takes minutes on them."""

from __future__ import annotations

import json
import time

import pytest

from finesight.parse.answer import read_answer
from finesight.parse.numbers import read_count
from finesight.parse.thinking import answer_part
from finesight.parse.times import read_spans
from tests.support.replies import picture_record, reply, video_record

SHORT = 10_000
SIZE = 100_000
MOST_SECONDS = 10.0

SEEDS = {
    "brackets": "[",
    "braces": "{",
    "bracket pairs": "[{",
    "closers": "}]",
    "keys": '{"a":',
    "keys without values": '{""',
    "open strings": '["',
    "quotes": '" ',
    "escapes": "\\u",
    "backslashes": "\\",
    "line breaks in strings": '"\n ',
    "comments": "[/*",
    "line comments": "[#\n",
    "numbers": "1",
    "points": "1.",
    "number lists": "1,",
    "words": "a",
    "fences": "```",
    "json fences": "\n```json\n[{",
    "spaces": " ",
    "lines": "\n",
    "boxes": '{"bbox_2d": [1, 2, 3, 4], "label": "x"},',
    "half boxes": '{"bbox_2d": [1, 2',
    "plain boxes": "1,2,3,4 x\n",
    "lists of four": "[1, 2, 3, 4], ",
    "open lists of four": "[1, 2, 3, 4",
    "lists of pairs": "[[1, 2], ",
    "corners": "(1, 2), (3, 4), ",
    "places in objects": '{"x": 1, "y": 2}, ',
    "lists under a key": '{"a": [1, 2, 3, 4]}, ',
    "tags of numbers": "<bbox>1 2 3 4</bbox>",
    "references of tags": "<ref>a</ref>",
    "named places": "x=1, y=2 ",
    "digits": "9",
    "stretches under a key": '{"windows": [[1, 2], [3, 4]]}, ',
    "legacy": "<|box_start|>",
    "legacy references": "<|object_ref_start|>a<|object_ref_end|>",
    "legacy boxes": "<|box_start|>(1,2),(3,4)<|box_end|>",
    "pairs": "(1,",
    "points tags": '<points x1="1" y1="2" alt="',
    "open points": "<points x1=1 y1=2>",
    "tags": "<a ",
    "tags with quotes": '<a "',
    "less than": "<",
    "html": "<html>",
    "divs": "<div>",
    "paragraphs": '<p data-bbox="1 2 3 4">',
    "box attributes": "<p data-bbox",
    "tables": "<html><table><tr><td>",
    "lists": "<html><ul><li>",
    "marks": "<html><b>x",
    "html comments": "<html><!--",
    "styles": "<html><style>",
    "pictures": '<html><p data-bbox="1 2 3 4">a<img>',
    "references": "<html>&#",
    "ampersands": "<html>&",
    "calls": "<tool_call>",
    "closed calls": "<tool_call>{</tool_call>",
    "ranges": "1 - ",
    "seconds": "1s - ",
    "clocks": "00:00 - ",
    "hours": "1h 1m ",
    "starts": "starts at 4 ",
    "at": "at ",
    "events": "from 1s to 2s x ",
    "event objects": '{"start": 1, "end": 2},',
    "headings": "Picture 1 ",
    "named boxes": 'Picture 1: {"bbox_2d": [1, 2, 3, 4]}',
    "ordinals": "second picture ",
    "number words": "twenty ",
    "lines of prose": "1, 2, 3, 4 and 5 are\n",
    "open brackets of lines": "1,2,3,4 cat (((((11111",
    "repeated keys": '{"a": 1, "a": 2, ',
    "loose places": '[{"bbox_2d": [1, 2, 3, 4]}, [5, 6, 7, 8], ',
    "thoughts": "so <think>(1, 2)</think>\n",
    "opened thoughts": "a <think> b",
    "quoted thoughts": '"<think>',
    "empty answers": "<answer></answer>",
    "programs": "```python\nx = [1, 2, 3, 4]\n```\n",
    "calls with digits": "click(x=1, y=2",
}


LONG = ("braces", "keys", "half boxes", "json fences", "divs")


def cpu_seconds(name, size):
    """Time of this process alone: other work on the machine does not count."""
    seed = SEEDS[name]
    text = (seed * (size // len(seed) + 1))[:size]
    started = time.process_time()
    answer = read_answer(reply(text, video_record(), picture_record(), picture_record()))
    json.dumps(answer.to_dict(), allow_nan=False)
    read_count(text)
    read_spans(text, bare_numbers=True)
    return time.process_time() - started


@pytest.mark.no_cover
@pytest.mark.parametrize("name", SEEDS)
def test_no_text_is_slow_to_read(name):
    assert cpu_seconds(name, SHORT) < MOST_SECONDS


@pytest.mark.no_cover
@pytest.mark.parametrize("name", LONG)
def test_long_texts_take_linear_time(name):
    assert cpu_seconds(name, SIZE) < MOST_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.no_cover
def test_every_long_text_takes_linear_time(name):
    assert cpu_seconds(name, 2 * SIZE) < 4 * cpu_seconds(name, SIZE) + 1


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' + "9" * SIZE + "}",
        "<html>&#" + "9" * SIZE + ";</html>",
        '<p data-bbox="' + "9" * SIZE + ' 1 2 3">x</p>',
        "<p data-bbox='1 2 3 4' " + "a" * SIZE + ">x</p>",
        '<points x1="1" y1="2" ' + 'a="' * SIZE + ">x</points>",
        '{"' + "a" * SIZE + '": 1}',
        "<html><p class='" + " _" * SIZE + "'>x</p></html>",
        '{"start": "' + "1" * SIZE + '", "end": "' + ":1" * SIZE + '"}',
        "a" * SIZE + " Picture 1: " + "\n" * SIZE + '{"bbox_2d": [1, 2, 3, 4]}',
        "\x00\ufeff\u202e" * 1000 + '{"bbox_2d": [1, 2, 3, 4], "label": "\x00"}',
    ],
    ids=lambda text: text[:24],
)
def test_long_things_are_read_or_reported(text):
    answer = read_answer(reply(text, picture_record(), video_record()))
    json.dumps(answer.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<think>",
            "</think>",
            "a </think> b ",
            "<answer>",
            "<answer>B</answer>",
            "<think></think>",
        ),
        *("<think>A</think>\n", "```</think>", "<html></think>\n", "a <think> b ", "a <think>"),
        *("`<think>`", "<answer></answer>", "**<think>**", "</think>\n", "<tool_call>{ </think>"),
    ],
)
@pytest.mark.no_cover
def test_thoughts_and_answers_take_linear_time(piece):
    def seconds(length):
        text = piece * (length // len(piece))
        started = time.process_time()
        answer_part(text)
        return time.process_time() - started

    # Linear time takes some tenths of a second for a million characters; quadratic time takes minutes.
    assert min(seconds(1_000_000) for _ in range(2)) < 10
