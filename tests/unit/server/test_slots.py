# SPDX-License-Identifier: Apache-2.0
"""Work on threads keeps its place until it ends, also if nobody waits for it any more."""

from __future__ import annotations

import asyncio

import pytest

from finesight.server.slots import Slots


def test_no_more_work_runs_at_a_time_than_there_are_places():
    running, most = 0, 0

    async def work():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return most

    async def run():
        slots = Slots(3)
        return await asyncio.gather(*(slots.run(work) for _ in range(20)))

    assert asyncio.run(run())[-1] == 3


def test_an_error_is_that_of_the_work_and_frees_the_place():
    async def work():
        raise KeyError("a")

    async def run():
        slots = Slots(1)
        for _ in range(3):
            with pytest.raises(KeyError):
                await slots.run(work)

    asyncio.run(run())


def test_work_of_a_cancelled_caller_keeps_its_place_until_it_ends():
    async def run():
        slots, may_end, ended = Slots(1), asyncio.Event(), []

        async def work():
            await may_end.wait()
            ended.append("first")
            raise KeyError("nobody asks for it")

        async def next_work():
            ended.append("second")

        first = asyncio.create_task(slots.run(work))
        await asyncio.sleep(0)
        second = asyncio.create_task(slots.run(next_work))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert ended == []
        may_end.set()
        await second
        return ended

    assert asyncio.run(run()) == ["first", "second"]


def test_a_caller_that_is_cancelled_while_it_waits_takes_no_place():
    async def run():
        slots, may_end, began = Slots(1), asyncio.Event(), []

        async def waiting():
            began.append(True)

        first = asyncio.create_task(slots.run(may_end.wait))
        await asyncio.sleep(0)
        second = asyncio.create_task(slots.run(waiting))
        await asyncio.sleep(0)
        second.cancel()
        may_end.set()
        await first
        await slots.run(lambda: asyncio.sleep(0))
        return began

    assert asyncio.run(run()) == []
