# SPDX-License-Identifier: Apache-2.0
"""Every extractor, on answers that nobody wants: none raises, each is quick, and each gives plain JSON."""

import json
import time
from dataclasses import replace

import pytest

from finesight.evals.core.task import Answered, CoordinateFrame, Extractor
from finesight.evals.extract import (
    boxed,
    intervals,
    mathvista,
    mcq,
    mmmu_open,
    numbers,
    places,
    text,
)
from finesight.geometry import Size

pytestmark = pytest.mark.no_cover
MODULES = (boxed, intervals, mathvista, mcq, mmmu_open, numbers, places, text)
EXTRACTORS = {
    value.name: value
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, Extractor)
}
LENGTH = 100_000
SECONDS = 0.05
SIGHTS = (CoordinateFrame("resized", Size(200, 100), Size(100, 50)),)
TRUTHS = (
    {},
    {"choices": ["apple", "banana", "a", "1"]},
    {"choices": ["a", "aa"], "question_type": "multi_choice", "answer_type": "text"},
    {"choices": None, "question_type": "free_form", "answer_type": "float", "precision": 2},
)
PIECES = (
    *("", " ", "\n", "\ud800", "nan ", "1", "1,", "1.1", "1e5", "12:", "1 - ", "(", "[", "{", "}"),
    *('"', "[1, ", '{"a":[', "(A)", "A ", "a. ", "is ", "answer is ", "Answer: ", "answer**__**"),
    *(r"\boxed{", r"\frac", "so x = 1\n", "starts at 4 and ", '<points x1="1" ', "<tool_call>{"),
    *("答案", '{"bbox_2d": [1, 2, 3, 4], "label": "x"}, ', "x", "=", "\0", "<box>1,", "to "),
    *(
        "<think>",
        "</think>",
        "</think> ",
        "<answer>",
        "</answer>",
        "<answer>B</answer>",
        "</think>\n",
    ),
    *(
        "1/",
        "1 2/",
        "1e",
        "−1",
        "5 x 10^",
        r"\frac{1}{",
        "1,000,",
        "not ",
        "(A) apple (B) ",
        "is not ",
    ),
    *('The answer is "', 'The answer is "".', 'The answer is "".\n', "The answer is '", '".'),
    *("<think></think>", "<think>A</think>\n", "a </think> b "),
)


def test_all_extractors_are_here():
    assert len(EXTRACTORS) == 26
    assert all(extractor.version for extractor in EXTRACTORS.values())


@pytest.mark.parametrize("name", EXTRACTORS)
def test_hostile_answers(name):
    slow = []
    for piece in PIECES:
        answer = piece * (LENGTH // max(len(piece), 1))
        for truth in map(Watched, TRUTHS):
            answered = Answered(answer, truth, SIGHTS)
            seconds = _seconds(EXTRACTORS[name], answered)
            if seconds > SECONDS and not _is_linear(EXTRACTORS[name], answered):
                slow.append((piece, round(seconds, 3)))
            if not truth.was_read:
                break  # every other truth gives the same
    assert slow == []


class Watched(dict):
    """A truth that knows whether anybody looked into it."""

    was_read = False

    def __getitem__(self, key):
        self.was_read = True
        return super().__getitem__(key)

    def __contains__(self, key):
        self.was_read = True
        return super().__contains__(key)

    def __iter__(self):
        self.was_read = True
        return super().__iter__()

    def get(self, key, default=None):
        self.was_read = True
        return super().get(key, default)


def _is_linear(extractor, answered):
    """A quarter of a text takes about a quarter of the time, where quadratic time takes a sixteenth."""
    part = replace(answered, text=answered.text[: len(answered.text) // 4])
    times = [(_seconds(extractor, answered), _seconds(extractor, part)) for _ in range(3)]
    whole, quarter = (min(column) for column in zip(*times, strict=True))
    return whole < 10 * SECONDS and whole < 8 * quarter


def _seconds(extractor, answered):
    start = time.process_time()
    found = extractor.read(answered)
    seconds = time.process_time() - start
    json.dumps(found, allow_nan=False)
    return seconds
