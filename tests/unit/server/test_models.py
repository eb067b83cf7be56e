# SPDX-License-Identifier: Apache-2.0
"""Models are loaded at their first use, once, and unloaded when another one needs their memory."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from finesight.conversation import Sampling
from finesight.errors import MissingWeights
from finesight.server.errors import HttpError
from finesight.server.models import Models, Offer, Served

GB = 10**9


class Memory:
    """Free memory of a machine on which models of 4 GB are loaded and closed."""

    def __init__(self, free=100 * GB):
        self.free = free
        self.loads = []
        self.closed = []

    def offer(self, name, size=4 * GB, load=None):
        def usual():
            self.loads.append(name)
            self.free -= size

            def close():
                self.closed.append(name)
                self.free += size

            return Served(name, SimpleNamespace(close=close), Sampling())

        return Offer(name, load or usual, size)

    def models(self, *offers):
        return Models(offers, free_bytes=lambda: self.free)


async def use(models, name):
    async with models.use(name) as served:
        return served.name


def test_the_first_model_answers_requests_that_name_none():
    memory = Memory()
    models = memory.models(memory.offer("a"), memory.offer("b"))
    assert asyncio.run(use(models, None)) == "a"
    assert memory.loads == ["a"]


@pytest.mark.parametrize("name", ["c", "", "A", 5, ["a"], {"a": 1}, True, "a" * 10_000])
def test_an_unknown_model_is_not_found(name):
    memory = Memory()
    models = memory.models(memory.offer("a"), memory.offer("b"))
    with pytest.raises(HttpError, match="there is no model") as caught:
        asyncio.run(use(models, name))
    assert (caught.value.status, caught.value.hint) == (404, "this server has a, b")
    assert len(str(caught.value)) < 300
    assert memory.loads == []


def test_a_model_is_loaded_at_its_first_use_only():
    memory = Memory()
    models = memory.models(memory.offer("a"))

    async def run():
        for _ in range(3):
            assert await use(models, "a") == "a"

    asyncio.run(run())
    assert memory.loads == ["a"]


def test_two_requests_for_one_model_load_it_once():
    memory = Memory()
    is_loading, may_end = threading.Event(), threading.Event()
    usual = memory.offer("a").load

    def load():
        is_loading.set()
        assert may_end.wait(10)
        return usual()

    models = memory.models(memory.offer("a", load=load))

    async def run():
        uses = [asyncio.create_task(use(models, "a")) for _ in range(5)]
        await asyncio.to_thread(is_loading.wait, 10)
        may_end.set()
        return await asyncio.gather(*uses)

    assert asyncio.run(run()) == ["a"] * 5
    assert memory.loads == ["a"]


def test_the_model_that_was_unused_the_longest_makes_room():
    memory = Memory(9 * GB)
    models = memory.models(*(memory.offer(name) for name in "abc"))

    async def run():
        for name in "abac":
            await use(models, name)

    asyncio.run(run())
    assert memory.loads == ["a", "b", "c"]
    assert memory.closed == ["b"]
    assert [served.name for served in models.loaded()] == ["a", "c"]


def test_an_unloaded_model_is_loaded_again():
    memory = Memory(5 * GB)
    models = memory.models(memory.offer("a"), memory.offer("b"))

    async def run():
        for name in "aba":
            assert await use(models, name) == name

    asyncio.run(run())
    assert memory.loads == ["a", "b", "a"]
    assert memory.closed == ["a", "b"]


def test_a_model_in_use_is_not_unloaded():
    memory = Memory(5 * GB)
    models = memory.models(memory.offer("a"), memory.offer("b"))

    async def run():
        async with models.use("a"):
            with pytest.raises(HttpError) as caught:
                await use(models, "b")
        assert await use(models, "b") == "b"
        return caught.value

    error = asyncio.run(run())
    assert (error.status, error.code, error.retry_after) == (503, "no_memory", 5)
    assert error.message == "b needs 4.4 GB of memory, 1.0 GB are free"
    assert error.hint == "a answer requests now; try again later"
    assert memory.closed == ["a"]


def test_a_model_that_never_fits_says_so():
    memory = Memory(3 * GB)
    with pytest.raises(HttpError, match=r"a needs 4\.4 GB of memory, 3\.0 GB are free"):
        asyncio.run(use(memory.models(memory.offer("a")), "a"))
    assert memory.loads == []


def test_where_the_free_memory_is_unknown_models_are_loaded():
    memory = Memory()
    models = Models([memory.offer("a")], free_bytes=lambda: 0)
    assert asyncio.run(use(models, "a")) == "a"


def test_a_failed_load_is_reported_and_tried_again_the_next_time():
    memory = Memory()
    usual = memory.offer("a").load
    results = [MissingWeights("model.safetensors is not there"), usual]

    def load():
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result()

    models = memory.models(memory.offer("a", load=load))

    async def run():
        with pytest.raises(MissingWeights):
            await use(models, "a")
        assert models.offers["a"].num_users == 0
        return await use(models, "a")

    assert asyncio.run(run()) == "a"


def test_a_slow_load_does_not_delay_a_loaded_model():
    memory = Memory()
    may_end = threading.Event()
    usual = memory.offer("slow").load

    def load():
        assert may_end.wait(10)
        return usual()

    models = memory.models(memory.offer("a"), memory.offer("slow", load=load))

    async def run():
        await use(models, "a")
        slow = asyncio.create_task(use(models, "slow"))
        await asyncio.sleep(0)
        assert await use(models, "a") == "a"
        assert not slow.done()
        may_end.set()
        return await slow

    assert asyncio.run(run()) == "slow"


def test_models_are_closed_with_the_server():
    memory = Memory()
    models = memory.models(memory.offer("a"), memory.offer("b"))
    asyncio.run(use(models, "a"))
    models.close()
    assert memory.closed == ["a"]
    assert models.loaded() == []


def test_a_model_that_is_unloaded_is_not_given_to_a_request_that_comes_meanwhile():
    """Its engine is closed on a thread, which may begin late."""
    memory = Memory(5 * GB)
    models = memory.models(memory.offer("a"), memory.offer("b"))
    gate = threading.Event()

    async def run():
        await use(models, "a")
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1)
        loop.set_default_executor(executor)
        blocked = loop.run_in_executor(None, gate.wait)
        second = asyncio.create_task(use(models, "b"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert models.offers["a"].loaded is None
        gate.set()
        await blocked
        assert await second == "b"

    asyncio.run(run())
    assert memory.closed == ["a"]
