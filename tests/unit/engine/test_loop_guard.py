# SPDX-License-Identifier: Apache-2.0
"""The loop guard stops what goes round in circles and lets real repeats pass."""

from __future__ import annotations

import random
import time

import pytest

from finesight.engine.loop_guard import LoopGuard


def ids(text: str) -> list[int]:
    """Bytes as tokens: the hardest case for the guard, for every repeat is longest in bytes."""
    return list(text.encode())


def words(text: str) -> list[int]:
    """Words as tokens, each line break a token (0)."""
    vocabulary: dict[str, int] = {"\n": 0}
    pieces = text.replace("\n", " \n ").split(" ")
    return [vocabulary.setdefault(piece, len(vocabulary)) for piece in pieces if piece]


def stops_at(tokens: list[int], *, newline: int | None = None) -> int | None:
    ends_line = None if newline is None else (lambda token: token == newline)
    guard = LoopGuard(ends_line)
    return next((index for index, token in enumerate(tokens, 1) if guard.push(token)), None)


SENTENCE = "The man opens the door and walks slowly over to the window on the left side. "

LOOPS = {
    "one token": [7] * 400,
    "list of zeros without end": ids("0, " * 500),
    "empty cells without end": ids("<td></td>" * 300),
    "sentence": words(SENTENCE * 60),
    "sentence in bytes": ids(SENTENCE * 20),
    "paragraph of three sentences": words((SENTENCE + "It is late now. Nobody is there. ") * 40),
    "the same box": ids('{"bbox_2d": [10, 20, 30, 40], "label": "person"},\n' * 40),
    "table row": ids("| apples | 3 | 4.50 |\n" * 60),
    "intro, then a line": ids("Sure, here is the text:\n" + "total amount due\n" * 80),
    "short inner repeat in a long cycle": words(("a a a a a a b c d e f g h i j k \n ") * 60),
}

LEGITIMATE = {
    "thirty equal cells": ids("<td>0.00</td>" * 30),
    "thirty equal cells of markdown": ids("| 0 " * 30 + "|\n"),
    "hundred equal short cells": ids("| - " * 100 + "|\n"),
    "thirty equal rows": ids("| 0 | 0 | 0 | 0 |\n" * 30),
    "list of a hundred zeros": ids("[" + "0, " * 100 + "0]"),
    "thirty equal labels": words("John Smith 12 Long Street 90210 Springfield \n " * 30),
    "dotted line": ids("Chapter one " + "." * 100 + " 5\n"),
    "boxes that share a prefix": ids(
        "\n".join(
            f'{{"bbox_2d": [10, {20 * n}, 300, {20 * n + 15}], "label": "row"}},' for n in range(60)
        )
    ),
    "song": words(("la " * 20 + "oh what a day it was when we all came home \n ") * 8),
    "counting": ids(", ".join(str(n) for n in range(400))),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loop_is_stopped(name):
    stop = stops_at(LOOPS[name])
    assert stop is not None
    assert stop <= 1100


@pytest.mark.parametrize("name", LEGITIMATE)
def test_real_repeat_passes(name):
    assert stops_at(LEGITIMATE[name]) is None


def test_sentence_stops_well_before_the_usual_token_limit():
    assert stops_at(LOOPS["sentence"]) < 700


def test_line_between_changing_lines_is_a_loop():
    text = "".join(f"{n} \n see the note on the last page of part two \n " for n in range(80))
    assert stops_at(words(text)) is None, "no cycle: the numbers change"
    assert stops_at(words(text), newline=0) is not None


def test_plain_lines_between_others_are_no_loop():
    text = "".join(f"item {n} of the list \n - \n " for n in range(200))
    assert stops_at(words(text), newline=0) is None


def test_text_after_a_repeat_resets_the_count():
    tokens: list[int] = []
    for round_number in range(10):
        tokens += ids("<td>0</td>" * 30) + ids(f"</tr>\n<tr id={round_number}>")
    assert stops_at(tokens) is None


def test_random_text_is_never_stopped():
    rng = random.Random(0)
    assert stops_at([rng.randrange(40) for _ in range(20_000)]) is None


def test_cost_per_token_does_not_grow():
    rng = random.Random(1)
    guard = LoopGuard(lambda token: token == 3)

    def seconds_for(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            guard.push(rng.randrange(50))
        return time.process_time() - start

    first = seconds_for(20_000)
    seconds_for(60_000)
    assert seconds_for(20_000) < 5 * first + 0.05
