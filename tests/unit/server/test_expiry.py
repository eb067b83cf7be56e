# SPDX-License-Identifier: Apache-2.0
"""`keep_alive` unloads a model that is not used, and only such a one."""

from __future__ import annotations

import asyncio
import math
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from finesight.conversation import Sampling
from finesight.server.expiry import seconds_left, unload_after
from finesight.server.models import Models, Offer, Served


class Closed:
    """Stands for an engine."""

    def __init__(self):
        self.num_closed = 0

    def close(self, *_: object) -> None:
        self.num_closed += 1


def offered():
    engine = Closed()
    offer = Offer("m", lambda: Served("m", cast("Any", engine), Sampling()), 0)
    return offer, engine


def run(work, *args):
    return asyncio.run(asyncio.wait_for(work(*args), 30))


async def ended(offer):
    assert offer.expiry is not None
    await offer.expiry


def test_an_idle_model_is_unloaded_at_once():
    async def work():
        offer, engine = offered()
        async with Models([offer]).use("m"):
            assert offer.loaded is not None
        unload_after(offer, 0)
        await ended(offer)
        assert (offer.loaded, engine.num_closed) == (None, 1)

    run(work)


def test_a_model_that_is_used_stays(monkeypatch):
    monkeypatch.setattr("finesight.server.expiry._BUSY_SECONDS", 0.001)

    async def work():
        offer, engine = offered()
        async with Models([offer]).use("m"):
            unload_after(offer, 0)
            await asyncio.sleep(0.02)
            assert (offer.loaded is not None, engine.num_closed) == (True, 0)
        await ended(offer)
        assert engine.num_closed == 1

    run(work)


def test_a_later_time_replaces_an_earlier_one():
    async def work():
        offer, engine = offered()
        async with Models([offer]).use("m"):
            pass
        unload_after(offer, 0)
        earlier = offer.expiry
        unload_after(offer, math.inf)
        with pytest.raises(asyncio.CancelledError):
            await earlier
        assert (offer.loaded is not None, offer.expiry, engine.num_closed) == (True, None, 0)

    run(work)


def test_the_time_counts_from_the_last_use():
    now = time.monotonic()
    offer = cast("Offer", SimpleNamespace(num_users=0, used_at=now - 10, keep_seconds=30))
    assert seconds_left(offer) == pytest.approx(20, abs=5)
    offer.num_users = 1
    assert seconds_left(offer) == 30
    offer.keep_seconds = math.inf
    assert seconds_left(offer) == math.inf


def test_a_model_that_is_loaded_again_stays():
    async def work():
        offer, _ = offered()
        models = Models([offer])
        async with models.use("m"):
            pass
        unload_after(offer, 0)
        await ended(offer)
        async with models.use("m"):
            pass
        assert (seconds_left(offer), offer.expiry) == (math.inf, None)

    run(work)
