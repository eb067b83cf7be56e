# SPDX-License-Identifier: Apache-2.0
"""Presentation times of a video's frames, read from its packets without decoding.

Reading the packets goes through the file once and costs some microseconds and 32 bytes of memory
per packet. The result is the number of frames, the time and key frame of each,
whether the rate is constant, and whether the file is truncated.

Transport and program streams may be concatenated. Their clock then
restarts; the times of the later recording are shifted to follow those of the earlier.

There are two orders. All indices count in *presentation order*; packets are stored in *decode
order*, which differs if B-frames are used.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from finesight.errors import DecodeError, UnsupportedMedia
from finesight.media.container import open_container, sequence_header
from finesight.media.source import LocalSource

_OFF_BEAT = 0.25
"""Maximum deviation of a frame from a regular clock, in frame steps, at a constant rate."""

_MISSING_END_SECONDS = 0.5
_KNOWS_ITS_LENGTH = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # by header, not by first bytes

_MAY_START_ANEW = ("mpegts", "mpeg")
_WRAP = 2**32
"""FFmpeg treats a large step back of the clock as an overflow of 33 bits, and adds 2^33."""

_KEY, _HIDDEN = 1, 2


@dataclass(frozen=True)
class Timeline:
    """Presentation times of a video.

    Attributes:
        pts: `int64[F]` presentation time of each shown frame, in units of `time_base`, increasing.
        num_bytes: `int64[F]` size of the packet of each shown frame.
        key_pts: `int64[K]` presentation time of each key frame, increasing; also of hidden ones.
        key_dts: `int64[K]` decode time of the same.
        time_base: seconds per unit.
        origin: start of the source's clock, in units of `time_base`.
        header_fps: rate in the container; 0 if none.
        is_counted: whether frames can only be found by counting from the start of the file: timestamps
            are in decode order, or the clock restarts.
        missing_from_seconds: end of a truncated file; else None.
        stored_pts: `int64[F]` the unshifted times of a file whose clock restarts; else None.
        restarts: `int64[R]` times of the restarts, in units of `time_base`.
        changes: possible changes of the frame size: index of the packet, from 0 in decode
            order, and its presentation time. Only for streams that may be concatenated.
    """

    pts: NDArray[np.int64]
    num_bytes: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    time_base: Fraction
    origin: int
    header_fps: float
    is_counted: bool
    missing_from_seconds: float | None
    stored_pts: NDArray[np.int64] | None = None
    restarts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    changes: tuple[tuple[int, int], ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of shown frames."""
        return len(self.pts)

    def times(self) -> NDArray[np.float64]:
        """`float64[F]` time of each frame, in seconds from the source's start."""
        return self.seconds(self.pts)

    def seconds(self, pts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Convert times of the file's clock to seconds from the source's start."""
        base = self.time_base
        return (pts - self.origin).astype(np.float64) * base.numerator / base.denominator

    def key_before(self, pts: int) -> int:
        """Index of the last key frame at or before `pts`."""
        return max(0, int(np.searchsorted(self.key_pts, pts, side="right")) - 1)

    @property
    def step_seconds(self) -> float:
        """Mean time between frames; for a single frame, that of the container."""
        if self.num_frames > 1:
            span = int(self.pts[-1] - self.pts[0])
            return float(span * self.time_base) / (self.num_frames - 1)
        return 1.0 / self.header_fps if self.header_fps else 1.0

    @property
    def is_constant(self) -> bool:
        """Whether all frames are close to a regular clock."""
        regular = np.linspace(float(self.pts[0]), float(self.pts[-1]), self.num_frames)
        step = self.step_seconds / float(self.time_base)
        # One unit more for clocks that round to whole milliseconds.
        return float(np.abs(self.pts - regular).max()) <= _OFF_BEAT * step + 1.0

    @property
    def fps(self) -> float:
        """Frames per second: that of the container if the frames agree with it, else measured."""
        measured = 1.0 / self.step_seconds
        rounding = 2 * float(self.time_base) / (self.step_seconds * max(self.num_frames - 1, 1))
        agrees = self.header_fps and abs(measured / self.header_fps - 1.0) < 0.01 + rounding
        return self.header_fps if agrees else measured


def read_timeline(local: LocalSource) -> Timeline:
    """Read the packets of a video file.

    Raises:
        UnsupportedMedia: no video stream, or packets without timestamps.
        DecodeError: the file cannot be opened, or has no frame.
    """
    with open_container(local) as (container, stream):
        packets = _Packets(stream, may_change=container.format.name in _MAY_START_ANEW)
        try:
            for packet in container.demux():  # all streams: the last packet determines the length
                packets.add(packet)
        except av.FFmpegError as error:
            raise DecodeError(
                f"{local.name} cannot be read beyond {packets.end_seconds:.2f} s: {error.strerror}"
            ) from error
        if not packets.pts:
            raise _no_frames(local.name, packets)
        return _timeline(local.name, container, stream, packets)


@dataclass
class _Packets:
    """Data of the packets, in decode order."""

    stream: VideoStream
    may_change: bool
    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: array[int] = field(default_factory=lambda: array("q"))
    num_bytes: array[int] = field(default_factory=lambda: array("q"))
    flags: array[int] = field(default_factory=lambda: array("b"))  # _KEY, _HIDDEN
    num_untimed: int = 0
    end_seconds: float = 0.0
    header: bytes = b""
    changes: list[int] = field(default_factory=list)

    def add(self, packet: Packet[Any]) -> None:
        """Add one packet; of other streams only its end."""
        if packet.size == 0:
            return  # marks the end of a stream
        if packet.pts is not None and packet.time_base is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.end_seconds = max(self.end_seconds, end)
        if packet.stream_index != self.stream.index:
            return
        if packet.pts is None:  # the second field of a frame, or a file without any times
            self.num_untimed += 1
            return
        if self.may_change:
            self._note_header(packet)
        is_hidden = packet.is_discard or self._is_hidden_vp8(packet)
        self.pts.append(packet.pts)
        self.dts.append(packet.pts if packet.dts is None else packet.dts)
        self.num_bytes.append(packet.size)
        self.flags.append(_KEY * packet.is_keyframe + _HIDDEN * is_hidden)

    def _note_header(self, packet: Packet[Any]) -> None:
        """Record a packet whose sequence header differs from the previous one."""
        header = sequence_header(packet, self.stream.codec_context.name) or self.header
        if self.header not in (b"", header):
            self.changes.append(len(self.pts))
        self.header = header

    def _is_hidden_vp8(self, packet: Packet[Any]) -> bool:
        """VP8 stores reference pictures that are never shown as packets of their own (RFC 6386, 9.1)."""
        return self.stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10


def _no_frames(name: str, packets: _Packets) -> Exception:
    if packets.num_untimed:
        return UnsupportedMedia(
            f"{name} has {packets.num_untimed} video packets without any time",
            hint="put it into a container: ffmpeg -r 30 -i in.h264 -c copy out.mp4",
        )
    return DecodeError(f"{name} has a video stream without a single frame")


def _timeline(
    name: str, container: InputContainer, stream: VideoStream, packets: _Packets
) -> Timeline:
    stored = np.frombuffer(packets.pts, np.int64)
    flags = np.frombuffer(packets.flags, np.int8)
    base = stream.time_base or Fraction(1, 1_000)
    may_start_anew = container.format.name in _MAY_START_ANEW
    part = _recordings(packets, flags, base) if may_start_anew else np.zeros(len(stored), np.int64)
    shift = _shifts(stored, part, round(1 / (stream.average_rate or 1) / base))
    pts = stored + shift[part]
    keys = np.flatnonzero(flags & _KEY)
    if len(keys) == 0:  # some old codecs mark none: everything is decoded from the start
        keys = np.zeros(1, np.int64)
    keys = keys[np.argsort(pts[keys], kind="stable")]
    # Frames before the first key frame cannot be decoded: the recording began in the
    # middle, or the leading pictures of a group were cut off.
    is_shown = (flags & _HIDDEN == 0) & (pts >= pts[keys[0]])
    shown, where = np.unique(pts[is_shown], return_index=True)
    if len(shown) == 0:
        raise _no_frames(name, packets)
    starts_anew = len(shift) > 1
    return Timeline(
        pts=shown,
        num_bytes=np.frombuffer(packets.num_bytes, np.int64)[is_shown][where],
        key_pts=pts[keys],
        key_dts=(np.frombuffer(packets.dts, np.int64) + shift[part])[keys],
        time_base=base,
        origin=_origin(container, base, int(shown[0])),
        header_fps=float(stream.average_rate or 0),
        is_counted=starts_anew or _is_counted(container, stream),
        missing_from_seconds=_missing_from(container, packets, shown, base),
        stored_pts=stored[is_shown][where] if starts_anew else None,
        restarts=np.array([pts[part == number].min() for number in range(1, len(shift))], np.int64),
        changes=tuple((number, int(pts[number])) for number in packets.changes),
    )


def _recordings(packets: _Packets, flags: NDArray[np.int8], base: Fraction) -> NDArray[np.int64]:
    """Index of the recording of each packet, from 0, in concatenated files.

    Within a recording decode times increase. A packet without one counts with its presentation
    time, which may decrease a little at frames that are not key frames.
    """
    steps = np.diff(np.frombuffer(packets.dts, np.int64))
    is_key = flags[1:] & _KEY != 0
    falls_back = (steps < 0) & (is_key | (steps < -round(1 / base)))
    return np.concatenate([[0], np.cumsum(falls_back | (steps > _WRAP))]).astype(np.int64)


def _shifts(pts: NDArray[np.int64], part: NDArray[np.int64], usual_step: int) -> NDArray[np.int64]:
    """`int64[R + 1]` offset of the times of each recording, so that it begins at the end of the previous one."""
    shifts = [0]
    for number in range(1, int(part[-1]) + 1):
        before = np.unique(pts[part == number - 1])
        step = int(np.median(np.diff(before))) if len(before) > 1 else usual_step
        end = int(before[-1]) + shifts[-1] + step
        shifts.append(end - int(pts[part == number].min()))
    return np.array(shifts, np.int64)


def _origin(container: InputContainer, base: Fraction, first: int) -> int:
    """The start of the file's clock: the time that a player shows as 0:00."""
    start = container.start_time
    if container.format.name == "avi":  # counts from 0, but calls the first picture 1 or 2
        return first
    # FFmpeg rounds it to microseconds; no frame is before it.
    return first if start is None else min(first, round(Fraction(start, av.time_base) / base))


def _is_counted(container: InputContainer, stream: VideoStream) -> bool:
    """AVI numbers packets, and H.264 and H.265 packets contain no times."""
    codec = stream.codec_context
    return container.format.name == "avi" and codec.name in ("h264", "hevc") and codec.has_b_frames


def _missing_from(
    container: InputContainer, packets: _Packets, shown: NDArray[np.int64], base: Fraction
) -> float | None:
    """End of a truncated file, if its header states a clearly longer duration."""
    if container.format.name not in _KNOWS_ITS_LENGTH or container.duration is None:
        return None
    declared = container.duration / av.time_base
    longest_step = float(int(np.diff(shown).max(initial=0)) * base)
    is_short = packets.end_seconds + longest_step + _MISSING_END_SECONDS < declared
    return packets.end_seconds if is_short else None
