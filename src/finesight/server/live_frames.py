# SPDX-License-Identifier: Apache-2.0
"""Frames of a live video as they arrive: checked, decoded once, dropped and counted where they cannot be kept."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from finesight.conversation import MediaRecord, VideoPart
from finesight.errors import ConfigError, FinesightError
from finesight.geometry import Size
from finesight.inputs import Limits, shown
from finesight.media.image import load_image
from finesight.processor.processor import Processor
from finesight.server.live_ring import Frame, FrameRing

MOST_FRAME_BYTES = 2_000_000
MOST_FRAMES_PER_SECOND = 30
_MOST_FRAME_PIXELS = 3840 * 2160
_MOST_RING_BYTES = 64_000_000
_HEADER = struct.Struct(">d")
_JPEG = b"\xff\xd8\xff"

Reason = Literal["rate", "no_frame", "too_large", "broken", "time", "size", "budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """What a client chooses for its connection.

    Attributes:
        max_visual_tokens: most visual tokens of the frames that are kept.
        max_pixels: largest area of a frame after resizing, in pixels.
        window_seconds: age at which frames are removed, in seconds.
    """

    max_visual_tokens: int = 2048
    max_pixels: int = 128 * 28 * 28
    window_seconds: float = 600.0

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> LiveOptions:
        """Read the fields of a start message.

        Raises:
            ConfigError: a field is unknown, or its value is out of range.
        """
        known = {each.name for each in fields(cls)}
        if unknown := [name for name in given if name not in known]:
            raise ConfigError(
                f"unknown field {shown(unknown[0])}", hint=f"known: {', '.join(sorted(known))}"
            )
        chosen = {}
        for name, value in given.items():
            if value is not None:
                chosen[name] = _LIMITS[name].settled(value)
                _LIMITS[name].check(name, chosen[name])
        return cls(**chosen)


_LIMITS = {
    "max_visual_tokens": Limits(least=1, most=8192, is_whole=True),
    "max_pixels": Limits(least=28 * 28, most=_MOST_FRAME_PIXELS, is_whole=True),
    "window_seconds": Limits(least=1, most=86_400),
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a frame is not kept."""

    reason: Reason
    message: str


class FrameIntake:
    """Receives the frames of one connection.

    Args:
        processor: of the model.
        options: budgets.
        now: clock of this machine, in seconds.

    Attributes:
        dropped: dropped frames by reason.
    """

    def __init__(
        self,
        processor: Processor,
        options: LiveOptions,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processor, self._options, self._now = processor, options, now
        self._arrivals: deque[float] = deque(maxlen=MOST_FRAMES_PER_SECOND)
        self._ring: FrameRing | None = None
        self._original = self._resized = Size(1, 1)
        self._last_seconds = -math.inf
        self.num_received = 0
        self.dropped: Counter[Reason] = Counter()

    def limits(self) -> dict[str, Any]:
        """What a client has to keep, and the options it chose."""
        return {
            "max_frame_bytes": MOST_FRAME_BYTES,
            "max_frames_per_second": MOST_FRAMES_PER_SECOND,
            "max_visual_tokens": self._options.max_visual_tokens,
            "max_pixels": self._options.max_pixels,
            "window_seconds": self._options.window_seconds,
        }

    async def add(self, message: bytes) -> Dropped | None:
        """Keep a frame; or say why it is dropped."""
        self.num_received += 1
        dropped = await self._add(message)
        if dropped is not None:
            self.dropped[dropped.reason] += 1
        return dropped

    def frames(self) -> tuple[Frame, ...]:
        """The frames that are kept now."""
        return () if self._ring is None else self._ring.frames()

    def part(self, frames: tuple[Frame, ...]) -> VideoPart:
        """Kept frames as a video; its times are the client's."""
        return VideoPart(
            source=tuple(frame.jpeg for frame in frames),
            timestamps=tuple(frame.seconds for frame in frames),
            resized_height=self._resized.height,
            resized_width=self._resized.width,
        )

    def report(self, frames: tuple[Frame, ...]) -> dict[str, Any]:
        """What became of all frames so far, and the times of `frames`, which are those that are kept."""
        ring = self._ring
        return {
            "received": self.num_received,
            "kept": len(frames),
            "thinned": 0 if ring is None else ring.num_thinned,
            "expired": 0 if ring is None else ring.num_expired,
            "dropped": dict(self.dropped),
            "kept_seconds": [frame.seconds for frame in frames],
            "visual_tokens": 0 if ring is None else ring.num_tokens,
        }

    async def _add(self, message: bytes) -> Dropped | None:
        now = self._now()
        if len(self._arrivals) == MOST_FRAMES_PER_SECOND and now - self._arrivals[0] < 1:
            return Dropped("rate", f"at most {MOST_FRAMES_PER_SECOND} frames a second are taken")
        self._arrivals.append(now)
        if len(message) > MOST_FRAME_BYTES:
            return Dropped(
                "too_large",
                f"the frame has {len(message):,} bytes; at most {MOST_FRAME_BYTES:,} are taken",
            )
        jpeg = message[_HEADER.size :]
        if not jpeg.startswith(_JPEG):
            return Dropped("no_frame", "a frame is a float64 (big-endian, seconds) and a JPEG file")
        (seconds,) = _HEADER.unpack_from(message)
        if not (math.isfinite(seconds) and seconds >= self._last_seconds):
            last = self._last_seconds
            before = f"; the one before is of {last:g} s" if math.isfinite(last) else ""
            return Dropped("time", f"the frame is of {seconds:g} s{before}")
        try:
            size = await asyncio.to_thread(_decoded_size, jpeg)
        except FinesightError as error:
            return Dropped("broken", str(error))
        if self._ring is None and (dropped := self._start(jpeg, seconds)) is not None:
            return dropped
        if size != self._original:
            first = self._original
            return Dropped(
                "size",
                f"the frame has {size.width} x {size.height} pixels, the first one "
                f"{first.width} x {first.height}; open a new connection for another size",
            )
        assert self._ring is not None
        self._last_seconds = seconds
        self._ring.add(Frame(seconds, jpeg))
        return None

    def _start(self, jpeg: bytes, seconds: float) -> Dropped | None:
        """Settle the size of all frames by the first one."""
        record = self._measured(jpeg, seconds)
        most = self._options.max_visual_tokens
        if record.visual_tokens > most:
            return Dropped(
                "budget",
                f"a pair of frames takes {record.visual_tokens} visual tokens; max_visual_tokens is {most}",
            )
        self._original, self._resized = record.resize.original, record.resize.resized
        self._ring = FrameRing(
            pair_tokens=record.visual_tokens,
            max_tokens=most,
            max_bytes=_MOST_RING_BYTES,
            window_seconds=self._options.window_seconds,
        )
        return None

    def _measured(self, jpeg: bytes, seconds: float) -> MediaRecord:
        most = self._options.max_pixels
        least = self._processor.model_config.vision.resize_factor**2
        part = VideoPart(
            source=(jpeg,), timestamps=(seconds,), min_pixels=least, max_pixels=max(most, least)
        )
        return self._processor.measure(part)


def _decoded_size(jpeg: bytes) -> Size:
    """Size of a frame, all of which is decoded: a broken frame must not spoil the questions about others."""
    return Size(*load_image(jpeg, max_image_pixels=_MOST_FRAME_PIXELS).size)
