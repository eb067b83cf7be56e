# SPDX-License-Identifier: Apache-2.0
"""The models of a server: loaded at their first use, unloaded when another one needs the memory."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from finesight.conversation import Sampling
from finesight.engine.engine import Engine
from finesight.errors import ConfigError
from finesight.inputs import shown, shown_bytes
from finesight.server.errors import HttpError
from finesight.threads import memory_bytes

_SPARE = 1.1
"""Memory that a model needs, in sizes of its files: activations and caches come on top of its weights."""
_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model.

    Attributes:
        name: its name in requests.
        engine: answers them.
        defaults: sampling, for values that a request leaves out.
        adapter: name of the adapter that answers; None is the model alone.
    """

    name: str
    engine: Engine
    defaults: Sampling
    adapter: str | None = None

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
        keep_seconds: time after which it is unloaded if it is not used, in seconds.
        expiry: unloads it after that time.
        base: the model to which an adapter of this name belongs, which is loaded in its place; None for a model.
    """

    name: str
    load: Callable[[], Served]
    num_bytes: int
    details: dict[str, object] = field(default_factory=dict)
    base: Offer | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    loaded: Served | None = None
    num_users: int = 0
    used_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keep_seconds: float = math.inf
    expiry: asyncio.Task[None] | None = None


class Models:
    """The models of a server.

    Args:
        offers: the first one answers requests that name no model.
        free_bytes: gives the free memory.

    Raises:
        ConfigError: two models have one name.
    """

    def __init__(
        self, offers: Sequence[Offer], free_bytes: Callable[[], int] = lambda: memory_bytes()[1]
    ) -> None:
        self.offers = {offer.name: offer for offer in offers}
        if len(self.offers) < len(offers):
            names = ", ".join(offer.name for offer in offers)
            raise ConfigError(f"two models have one name: {names}", hint="give --model NAME=MODEL")
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
                param="model",
            )
        return found

    @asynccontextmanager
    async def use(self, name: object) -> AsyncIterator[Served]:
        """A loaded model, which stays loaded meanwhile.

        Raises:
            HttpError: there is no such model (404), or no memory for it (503).
            FinesightError: it cannot be loaded.
        """
        asked = self.offer(name)
        offer = asked.base or asked
        offer.num_users += 1
        try:
            async with offer.lock:
                if offer.loaded is None:
                    async with self._making_room:
                        await self._make_room(offer)
                        offer.loaded = await asyncio.to_thread(offer.load)
            if asked is offer:
                yield offer.loaded
            else:
                yield replace(offer.loaded, name=asked.name, adapter=asked.name)
        finally:
            offer.num_users -= 1
            offer.used_at = time.monotonic()

    async def _make_room(self, offer: Offer) -> None:
        """Unload idle models, those unused the longest first, until a model fits."""
        needed = int(_SPARE * offer.num_bytes)
        while 0 < (free := self._free_bytes()) < needed:  # 0 is unknown
            idle = [each for each in self.offers.values() if each.loaded and not each.num_users]
            if idle:
                # Taken here, on the event loop: a request that comes meanwhile loads it again.
                await asyncio.to_thread(close, taken(min(idle, key=lambda each: each.used_at)))
                continue
            busy = [each.name for each in self.offers.values() if each.loaded]
            raise HttpError(
                503,
                f"{offer.name} needs {shown_bytes(needed)} of memory, {shown_bytes(free)} are free",
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
            close(taken(offer))


def adapter_offers(base: Offer, names: Iterable[str]) -> list[Offer]:
    """The adapters of a model, each under its own name."""
    details: dict[str, object] = {"parent": base.name}
    return [Offer(name, base.load, num_bytes=0, details=dict(details), base=base) for name in names]


def taken(offer: Offer) -> list[Served]:
    """What is loaded of a model, in a list, which `close` empties; the model is then not loaded any more."""
    held = [] if offer.loaded is None else [offer.loaded]
    offer.loaded = None
    return held


def close(held: list[Served]) -> None:
    """Close the engine of what was taken, after its step, and free its memory."""
    while held:
        held.pop().engine.close()
        gc.collect()
