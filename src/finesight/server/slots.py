# SPDX-License-Identifier: Apache-2.0
"""How much work runs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Slots:
    """Places for work that is done on threads.

    A thread cannot be stopped from outside. Work of a caller that was cancelled therefore keeps its place until its
    thread is free: else clients that come and go would start any number of threads.

    Args:
        number: work that runs at a time.
    """

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)

    async def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of some work, which begins as soon as a place is free."""
        await self._free.acquire()
        task = asyncio.create_task(work())
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._free.release()
        if not task.cancelled():
            task.exception()  # of a cancelled caller nobody asks for it, which asyncio would log
