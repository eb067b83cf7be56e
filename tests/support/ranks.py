# SPDX-License-Identifier: Apache-2.0
"""Ranks as threads of one process, and loads drawn from lengths of chats, pages and videos."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from finesight.data.exchange import Exchange
from finesight.data.packing import Load

SECONDS = 120


def run_ranks(num_ranks: int, work: Callable[[int, Exchange], Any]) -> list[Any]:
    """Results of `work(rank, exchange)` of each rank; an error of one ends the others."""
    barrier, values = Barrier(num_ranks), [None] * num_ranks

    def of(rank: int) -> Any:
        def exchange(value: Any) -> list[Any]:
            values[rank] = value
            barrier.wait(SECONDS)
            found = list(values)
            barrier.wait(SECONDS)
            return found

        return work(rank, exchange)

    with ThreadPoolExecutor(num_ranks) as pool:
        running = [pool.submit(of, rank) for rank in range(num_ranks)]
        return [one.result() for one in running]


def drawn_loads(seed: int, shares: dict[str, float]) -> Iterator[Load]:
    """An endless stream of samples of these kinds."""
    choose = random.Random(seed)
    number = 0
    while True:
        (kind,) = choose.choices(list(shares), list(shares.values()))
        text, visual = _KINDS[kind](choose)
        yield Load(number, text + visual, 4 * visual)
        number += 1


_KINDS: dict[str, Callable[[random.Random], tuple[int, int]]] = {
    "chat": lambda draw: (min(4000, int(draw.lognormvariate(5.3, 0.8)) + 10), 0),
    "picture": lambda draw: (int(draw.lognormvariate(4, 0.7)), draw.randint(16, 400)),
    "page": lambda draw: (int(draw.lognormvariate(5.5, 0.7)), draw.randint(500, 1600)),
    "video": lambda draw: (
        int(draw.lognormvariate(4, 0.7)),
        int(min(6500, draw.lognormvariate(7.8, 0.6))),
    ),
}
"""Text and visual tokens of a sample of each kind."""
