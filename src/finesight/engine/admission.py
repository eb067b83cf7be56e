# SPDX-License-Identifier: Apache-2.0
"""Limit of the memory of pictures and videos that wait or are being answered.

A picture of 16,000 visual tokens has 300 MB of patches, so a queue of them would fill the memory long before the queue
is full. A caller waits before it encodes its media, until those of others leave room; then no queue is ever too large.
"""

from __future__ import annotations

import threading

from torch import Tensor

from finesight.batch import EncodedSample
from finesight.errors import MediaTooLarge

_BYTES_PER_MB = 10**6


class MediaMemory:
    """Counts the bytes of patches that are in use.

    Args:
        max_mb: limit, in MB.
    """

    def __init__(self, max_mb: float) -> None:
        self._limit = int(max_mb * _BYTES_PER_MB)
        self._condition = threading.Condition()
        self.used = 0

    def wait(self) -> None:
        """Wait until less than the limit is in use."""
        with self._condition:
            self._condition.wait_for(lambda: self.used < self._limit)

    def take(self, sample: EncodedSample) -> int:
        """Count a sample's patches; those of a streamed video are not held.

        Returns:
            Their bytes, for `give_back`.

        Raises:
            MediaTooLarge: they alone exceed the limit.
        """
        held = [item.patches for item in sample.vision if isinstance(item.patches, Tensor)]
        size = sum(patches.numel() * patches.element_size() for patches in held)
        if size > self._limit:
            raise MediaTooLarge(
                f"the pictures and videos take {size / _BYTES_PER_MB:,.0f} MB as patches "
                f"({sample.visual_index.numel():,} visual tokens); media_memory_mb is "
                f"{self._limit / _BYTES_PER_MB:,.0f}",
                hint="lower max_pixels, fps or nframes, or raise media_memory_mb",
            )
        with self._condition:
            self.used += size
        return size

    def give_back(self, size: int) -> None:
        """Free what `take` counted."""
        with self._condition:
            self.used -= size
            self._condition.notify_all()
