# SPDX-License-Identifier: Apache-2.0
"""The models of a server: loaded at their first use, unloaded when another one needs the memory."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from finesight.conversation import Sampling
from finesight.engine.engine import Engine
from finesight.inputs import shown
from finesight.server.errors import HttpError
from finesight.threads import memory_bytes

_SPARE = 1.1
"""Memory that a model needs, in sizes of its files: activations and caches come on top of its weights."""
_BYTES_PER_GB = 10**9
_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model.

    Attributes:
        name: its name in requests.
        engine: answers them.
        defaults: sampling, for values that a request leaves out.
    """

    name: str
    engine: Engine
    defaults: Sampling

    @property
    def context(self) -> int:
        """Largest number of tokens of a prompt with its answer."""
        return self.engine.model.config.text.max_position_embeddings


@dataclass(slots=True)
class Offer:
    """A model that a server can load.

    Attributes:
        name: its name in requests.
        load: loads it; called on a thread.
        num_bytes: size of its files.
        details: what `/v1/models` and `/api/show` say about it, such as its licence.
    """

    name: str
    load: Callable[[], Served]
    num_bytes: int
    details: dict[str, object] = field(default_factory=dict)
    created: int = field(default_factory=lambda: int(time.time()))
    loaded: Served | None = None
    num_users: int = 0
    used_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Models:
    """The models of a server.

    Args:
        offers: the first one answers requests that name no model.
        free_bytes: gives the free memory.
    """

    def __init__(
        self, offers: Sequence[Offer], free_bytes: Callable[[], int] = lambda: memory_bytes()[1]
    ) -> None:
        self.offers = {offer.name: offer for offer in offers}
        self._first = offers[0].name
        self._free_bytes = free_bytes
        self._making_room = asyncio.Lock()

    def offer(self, name: object) -> Offer:
        """A model by its name; None is the first one.

        Raises:
            HttpError: there is no such model (404).
        """
        found = self.offers.get(name if isinstance(name, str) else self._first)
        if found is None or not isinstance(name, (str, type(None))):
            raise HttpError(
                404,
                f"there is no model {shown(name)}",
                hint=f"this server has {', '.join(self.offers)}",
                code="model_not_found",
            )
        return found

    @asynccontextmanager
    async def use(self, name: object) -> AsyncIterator[Served]:
        """A loaded model, which stays loaded meanwhile.

        Raises:
            HttpError: there is no such model (404), or no memory for it (503).
            FinesightError: it cannot be loaded.
        """
        offer = self.offer(name)
        offer.num_users += 1
        try:
            async with offer.lock:
                if offer.loaded is None:
                    async with self._making_room:
                        await self._make_room(offer)
                        offer.loaded = await asyncio.to_thread(offer.load)
            yield offer.loaded
        finally:
            offer.num_users -= 1
            offer.used_at = time.monotonic()

    async def _make_room(self, offer: Offer) -> None:
        """Unload idle models, those unused the longest first, until a model fits."""
        needed = int(_SPARE * offer.num_bytes)
        while 0 < (free := self._free_bytes()) < needed:  # 0 is unknown
            idle = [each for each in self.offers.values() if each.loaded and not each.num_users]
            if idle:
                await asyncio.to_thread(unload, min(idle, key=lambda each: each.used_at))
                continue
            busy = [each.name for each in self.offers.values() if each.loaded]
            raise HttpError(
                503,
                f"{offer.name} needs {needed / _BYTES_PER_GB:.1f} GB of memory, {free / _BYTES_PER_GB:.1f} GB are free",
                hint=f"{', '.join(busy)} answer requests now; try again later" if busy else "",
                code="no_memory",
                retry_after=_RETRY_SECONDS,
            )

    def loaded(self) -> list[Served]:
        """The models that are loaded now."""
        return [offer.loaded for offer in self.offers.values() if offer.loaded is not None]

    def close(self) -> None:
        """Unload all models; unfinished requests end with an error."""
        for offer in self.offers.values():
            unload(offer)


def unload(offer: Offer) -> None:
    """Drop a model and free its memory; waits until its engine has ended its step."""
    if offer.loaded is not None:
        served, offer.loaded = offer.loaded, None
        served.engine.close()
        del served
        gc.collect()
