# SPDX-License-Identifier: Apache-2.0
"""At which token a loop is stopped: the table at the head of `finesight.engine.loop_guard`, row by row."""

from __future__ import annotations

import pytest

from finesight.engine.loop_guard import LoopGuard


def stops_at(tokens, ends_line=None) -> int | None:
    guard = LoopGuard(ends_line)
    return next((index for index, token in enumerate(tokens, 1) if guard.push(token)), None)


def cycle(period: int, distinct: int, count: int) -> list[int]:
    """A cycle of `period` tokens, `distinct` of them different, without a shorter cycle inside."""
    once = [index if index < distinct else distinct - 1 for index in range(period)]
    return [once[index % period] for index in range(count)]


@pytest.mark.parametrize(
    ("period", "stop"),
    [
        (7, 7 * 32),  # 32 copies
        (10, 10 * 32),
        (20, 640),  # 32 copies and 640 tokens are the same
        (30, 640),  # 640 tokens
        (160, 640),  # and that is 4 copies
        (161, 4 * 161),  # never before 4 copies
        (200, 4 * 200),
        (500, 4 * 500),
    ],
)
def test_a_rich_cycle(period, stop):
    assert stops_at(cycle(period, period, stop - 1)) is None
    assert stops_at(cycle(period, period, stop + 1000)) == stop


@pytest.mark.parametrize(
    ("period", "distinct", "stop"),
    [
        (1, 1, 128),  # 128 copies
        (4, 4, 512),
        (6, 6, 768),
        (8, 5, 1024),  # 1,024 tokens
        (12, 6, 1024),
    ],
)
def test_a_plain_cycle(period, distinct, stop):
    tokens = cycle(period, distinct, stop + 2000)
    assert stops_at(tokens[: stop - 1]) is None
    assert stops_at(tokens) == stop


def test_six_different_tokens_are_plain_and_seven_are_rich():
    assert stops_at(cycle(6, 6, 2000)) == 6 * 128
    assert stops_at(cycle(7, 7, 2000)) == 7 * 32


def lines(count: int, every: int) -> list[int]:
    """Each `every`-th line is the same rich one; the others differ. Token 0 ends a line."""
    out: list[int] = []
    for number in range(count):
        same = number % every == 0
        out += [*range(1, 8), 0] if same else [1000 + number, 2000 + number, 0]
    return out


def test_a_line_that_is_half_of_the_last_64_is_a_loop():
    tokens = lines(64, 2)
    # Its 32nd copy is line 63; the first 62 lines hold 31.
    stop = sum(len(lines(1, 1)) if n % 2 == 0 else 3 for n in range(63))
    assert stops_at(tokens, lambda token: token == 0) == stop


def test_a_line_that_is_less_than_half_is_none():
    assert stops_at(lines(600, 3), lambda token: token == 0) is None


def test_lines_that_left_the_window_count_no_more():
    """31 copies, then 40 other lines, then 31 copies: never 32 among 64."""
    same = [*range(1, 8), 0]
    other = [token for n in range(40) for token in (1000 + n, 2000 + n, 0)]
    broken = [token for n in range(31) for token in (*same, 3000 + n, 0)]
    later = [token for n in range(31) for token in (*same, 4000 + n, 0)]
    assert stops_at(broken + other + later, lambda token: token == 0) is None
