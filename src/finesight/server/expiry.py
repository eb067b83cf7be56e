# SPDX-License-Identifier: Apache-2.0
"""Unloads a model that was not used for some time: `keep_alive` of Ollama's requests.

Without it a model stays loaded until another one needs its memory.
"""

from __future__ import annotations

import asyncio
import math
import time

from finesight.server.models import Offer, close, taken

_BUSY_SECONDS = 1.0
"""How often it is looked whether a model that is used has become free."""


def unload_after(offer: Offer, seconds: float) -> None:
    """Unload a model as soon as it was unused for some time; a later call replaces an earlier one.

    Args:
        offer: the model.
        seconds: the time; infinite keeps the model.
    """
    if offer.expiry is not None:
        offer.expiry.cancel()
    offer.keep_seconds, offer.expiry = seconds, None
    if math.isfinite(seconds):
        offer.expiry = asyncio.get_running_loop().create_task(_expire(offer, seconds))


def seconds_left(offer: Offer) -> float:
    """Time until a loaded model is unloaded if nobody uses it from now on; infinite without `keep_alive`."""
    idle = 0.0 if offer.num_users else time.monotonic() - offer.used_at
    return max(offer.keep_seconds - idle, 0.0)


async def _expire(offer: Offer, seconds: float) -> None:
    while offer.num_users or seconds_left(offer) > 0:
        await asyncio.sleep(_BUSY_SECONDS if offer.num_users else seconds_left(offer))
    async with offer.lock:
        if not offer.num_users:  # a request waits for the lock once it is counted
            held = taken(offer)
            offer.keep_seconds, offer.expiry = math.inf, None  # of a later load
            await asyncio.to_thread(close, held)
