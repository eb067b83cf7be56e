# SPDX-License-Identifier: Apache-2.0
"""Decodes selected frames of a video.

For each wanted frame the decoder starts at the key frame before it; frames of the same group are
decoded together. Non-reference frames (most B-frames) are skipped inside the decoder
unless they are wanted. One frame is in memory at a time, whatever the length of the video.

The result is the frame with the requested presentation time, or an error with file and
time. A group whose frames refer to the previous group (an open GOP) cannot be decoded alone, so
the decoder then starts one or two key frames earlier, and ignores errors before the nearest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from finesight.errors import DecodeError
from finesight.geometry import Size
from finesight.media.container import open_container, sequence_header
from finesight.media.source import LocalSource
from finesight.media.timeline import Timeline

_KEYS_BACK = 2
_SKIPS_EXACTLY = frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "vp9"})
"""Decoders that accept a skip setting per packet; others decode all."""

_LOSES_ITS_LAST = frozenset({"mpeg1video", "mpeg2video"})
"""Decoders that lose a buffered frame when the size changes, unless they are flushed before."""

_WORTH_A_SEEK = 8
"""Distance of two wanted frames above which seeking is faster than decoding all frames between."""

_SEEK_BACK_SECONDS = (0.0, 2.0, 20.0)


class _FrameMissing(Exception):
    """The decoder passed a wanted frame without returning it intact."""


def decode_frames(
    local: LocalSource,
    timeline: Timeline,
    indices: Sequence[int],
    *,
    is_thumbnail: bool = False,
) -> Iterator[VideoFrame]:
    """Decode frames of a video.

    Args:
        local: the video file.
        timeline: its timeline.
        indices: wanted frames in presentation order, increasing.
        is_thumbnail: decode faster and less exactly, for frames that are only compared.

    Yields:
        One frame per index.

    Raises:
        DecodeError: a wanted frame is broken or missing; the message has file and time.
    """
    with ExitStack() as stack:
        reader = _Reader(local, timeline, stack, is_thumbnail=is_thumbnail)
        if timeline.is_counted:
            yield from reader.count_through(indices)
            return
        for run in _runs(timeline, indices):
            yield from reader.decode_run(run)


def changed_sizes(local: LocalSource, timeline: Timeline) -> list[tuple[int, Size]]:
    """Times at which the frame size of a video changes, and the new size, as stored.

    Only the frames at `timeline.changes` are decoded. One that cannot be decoded is reported by `decode_frames`.

    Returns:
        Presentation times in the unit of the timeline, with the size from there on.
    """
    starts = dict(timeline.changes)
    found: list[tuple[int, Size]] = []
    if not starts:
        return found
    with open_container(local, is_thumbnail=True, has_threads=False) as (container, stream):
        codec, timed = stream.codec_context, -1
        for packet in container.demux(stream):
            timed += packet.pts is not None
            if packet.pts is None or timed not in starts:
                continue
            with suppress(av.FFmpegError):
                frames = [*codec.decode(packet), *codec.decode(None)]
                found += [(starts[timed], Size(each.width, each.height)) for each in frames[:1]]
            codec.flush_buffers()
            if timed == max(starts):
                break
    return found


def _runs(timeline: Timeline, indices: Sequence[int]) -> Iterator[list[int]]:
    """Groups of wanted presentation times that are decoded together."""
    run: list[int] = []
    before = 0
    for index in indices:
        pts = int(timeline.pts[index])
        key_pts = timeline.key_pts[timeline.key_before(pts)]
        if run and int(timeline.pts.searchsorted(key_pts)) - before > _WORTH_A_SEEK:
            yield run
            run = []
        run.append(pts)
        before = index
    if run:
        yield run


class _Reader:
    """One open video file.

    Attributes:
        lead: key frames to start before the nearest one; set at the first group that
            needs it.
    """

    def __init__(
        self, local: LocalSource, timeline: Timeline, stack: ExitStack, *, is_thumbnail: bool
    ) -> None:
        self._local = local
        self._timeline = timeline
        self._stack = stack
        self._is_thumbnail = is_thumbnail
        self._open(has_threads=True)
        self.lead = 0
        self._header = b""

    def _open(self, *, has_threads: bool) -> None:
        self._stack.close()
        self._has_threads = has_threads
        self._container, self._stream = self._stack.enter_context(
            open_container(self._local, is_thumbnail=self._is_thumbnail, has_threads=has_threads)
        )
        # A transport stream marks packets after a gap in its counters, also where two intact
        # recordings were joined. Real gaps in a picture are found by the decoder.
        self._is_transport = self._container.format.name == "mpegts"

    def decode_run(self, wanted: Sequence[int]) -> Iterator[VideoFrame]:
        """Frames of increasing presentation times, one after the other."""
        left = deque(wanted)
        failures = 0
        while left:
            nearest = self._timeline.key_before(left[0])
            lead = min(self.lead + failures, nearest)
            try:
                for frame in self._decode_from(nearest - lead, nearest, tuple(left)):
                    left.popleft()
                    yield frame
                self.lead = lead if failures else self.lead
            except (av.FFmpegError, _FrameMissing) as error:
                is_elsewhere = self._timeline.key_before(left[0]) > nearest
                failures = 0 if is_elsewhere else failures + 1
                if failures > _KEYS_BACK or (failures > 1 and lead == nearest):
                    raise self._broken(left[0]) from error
                if failures == 1:  # with several threads it is not clear which packet failed
                    self._open(has_threads=False)

    def count_through(self, indices: Sequence[int]) -> Iterator[VideoFrame]:
        """Frames by index, for files whose timestamps are not unique.

        If a clock restarts, the times at least identify frames that do not count.
        """
        wanted = deque(indices)
        stored = self._timeline.stored_pts
        number = 0
        try:
            for frame in self._frames_in_order():
                if stored is not None and number < len(stored) and frame.pts != stored[number]:
                    continue
                if wanted and number == wanted[0]:
                    wanted.popleft()
                    yield frame
                if not wanted:
                    return
                number += 1
        except av.FFmpegError as error:
            raise self._broken(int(self._timeline.pts[wanted[0]])) from error
        raise self._broken(int(self._timeline.pts[wanted[0]]))

    def _frames_in_order(self) -> Iterator[VideoFrame]:
        for packet in self._container.demux(self._stream):
            yield from self._decode(packet)

    def _decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        """The frames that a packet completes; before a change of size, also those still in the decoder."""
        codec, held = self._stream.codec_context, []
        if codec.name in _LOSES_ITS_LAST and (header := sequence_header(packet, codec.name)):
            if self._header not in (b"", header):
                held = codec.decode(None)
                codec.flush_buffers()
            self._header = header
        return held + codec.decode(packet)

    def _broken(self, pts: int) -> DecodeError:
        seconds = float((pts - self._timeline.origin) * self._timeline.time_base)
        return DecodeError(
            f"{self._local.name} is broken: the frame at {seconds:.2f} s cannot be decoded",
            hint=f"use the part before it (end_seconds below {seconds:.2f}) or after it, or repair "
            "the file: ffmpeg -i broken.mp4 whole.mp4",
        )

    def _decode_from(self, key: int, nearest: int, wanted: Sequence[int]) -> Iterator[VideoFrame]:
        """Decode from a key frame on, and select the wanted presentation times.

        Args:
            key: key frame to start at.
            nearest: key frame before the first wanted frame; errors before it are ignored.
            wanted: presentation times, increasing.
        """
        left = deque(wanted)
        for frame in self._all_frames(key, nearest, frozenset(wanted)):
            if frame.pts is None or frame.pts < left[0]:
                continue
            is_broken = frame.is_corrupt and not self._is_transport
            if frame.pts > left[0] or is_broken:
                break
            left.popleft()
            yield frame
            if not left:
                return
        raise _FrameMissing

    def _all_frames(self, key: int, nearest: int, wanted: frozenset[int]) -> Iterator[VideoFrame]:
        """All frames of the decoder; before an error, also those still in it."""
        codec = self._stream.codec_context
        can_skip = codec.name in _SKIPS_EXACTLY
        nearest_pts = int(self._timeline.key_pts[nearest])
        is_near = False
        for packet in self._packets_from(key):
            is_near = is_near or packet.pts == nearest_pts
            if can_skip and packet.pts is not None:
                codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            try:
                if packet.is_corrupt and not self._is_transport:
                    raise _FrameMissing
                frames = self._decode(packet)
            except (av.FFmpegError, _FrameMissing):
                if not is_near:
                    continue
                if not self._has_threads:
                    # Frames still in the decoder are intact, except the one that failed.
                    yield from (frame for frame in codec.decode(None) if frame.pts != packet.pts)
                raise
            yield from frames

    def _packets_from(self, key: int) -> Iterator[Packet[Any]]:
        """Packets from a key frame on, even if the container seeks inexactly."""
        key_pts = int(self._timeline.key_pts[key])
        key_dts = int(self._timeline.key_dts[key])
        for back in _SEEK_BACK_SECONDS:
            offset = min(key_pts, key_dts) - round(back / self._timeline.time_base)
            self._container.seek(offset, stream=self._stream)
            is_there = False
            for packet in self._container.demux(self._stream):
                if not is_there and packet.pts is not None:
                    is_there = packet.pts == key_pts
                    decode_time = packet.pts if packet.dts is None else packet.dts
                    if not is_there and decode_time > max(key_dts, key_pts):
                        break
                if is_there:
                    yield packet
            if is_there:
                return
        raise _FrameMissing
