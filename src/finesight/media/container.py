# SPDX-License-Identifier: Apache-2.0
"""Opens video files with FFmpeg, with strict error handling and a fixed list of containers.

The decoder reports broken data instead of concealing errors. Playlists are not opened,
because FFmpeg would open the files and addresses that they contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from finesight.errors import DecodeError, MediaTooLarge, UnsupportedMedia
from finesight.media.source import LocalSource, how_to_give, kind_of

MAX_FRAME_PIXELS = 67_108_864
"""Largest frame that is decoded, in pixels: 8,192 x 8,192."""

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,gif,ogg,mxf,nut,ivf,"
    "apng,rm,dv,h264,hevc,m4v,obu"
)

# Start code, type of unit, and its content up to the next start code.
_SEQUENCE_HEADERS = {
    "mpeg1video": re.compile(rb"\x00\x00\x01\xb3(.{3})", re.DOTALL),
    "mpeg2video": re.compile(rb"\x00\x00\x01\xb3(.{3})", re.DOTALL),
    "mpeg4": re.compile(rb"\x00\x00\x01[\x20-\x2f](.+?)\x00\x00\x01", re.DOTALL),
    "h264": re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67](.+?)\x00\x00\x01", re.DOTALL),
    "hevc": re.compile(rb"\x00\x00\x01\x42\x01(.+?)\x00\x00\x01", re.DOTALL),
}
_HEADER_BYTES = 4096


def sequence_header(packet: Packet[Any], codec: str) -> bytes:
    """The encoded sequence header in the packet of a key frame, which has the frame size; empty if there is none.

    Source: ISO 13818-2, 6.2.2.1 (sequence header); ISO 14496-2 (video object layer); ITU-T H.264 and H.265, 7.3.2
    (sequence parameter set).
    """
    pattern = _SEQUENCE_HEADERS.get(codec)
    if pattern is None or not packet.is_keyframe:
        return b""
    found = pattern.search(bytes(packet)[:_HEADER_BYTES])
    return found[1] if found else b""


@contextmanager
def open_container(
    local: LocalSource, *, is_thumbnail: bool = False, has_threads: bool = True
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and its first video stream.

    Args:
        local: the file.
        is_thumbnail: decode faster and less exactly, for frames that are only compared.
        has_threads: decode several frames at once; errors are then reported some packets later.

    Raises:
        UnsupportedMedia: no video stream, or another container.
        DecodeError: the file cannot be opened.
        MediaTooLarge: frames of more than `MAX_FRAME_PIXELS`.
    """
    container = _open(local)
    try:
        stream = _video_stream(container, local.name)
        stream.thread_type = "AUTO" if has_threads else "SLICE"
        options = {"err_detect": "explode", "max_pixels": str(MAX_FRAME_PIXELS)}
        if is_thumbnail:
            options["skip_loop_filter"] = "all"
        stream.codec_context.options = options
        yield container, stream
    finally:
        container.close()


def _open(local: LocalSource) -> InputContainer:
    file = local.data if not isinstance(local.data, bytes) else local.open()
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    try:
        # Metadata may be in any encoding and is not used here.
        return av.open(file, "r", options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        kind = kind_of(local.head())
        if "video" in kind:
            raise DecodeError(
                f"{local.name} is a broken {kind}: {error.strerror}",
                hint="was it saved completely? ffmpeg can often rebuild it: "
                "ffmpeg -i broken.mp4 -c copy whole.mp4",
            ) from error
        hint = how_to_give(kind) or "convert it to MP4"
        raise UnsupportedMedia(f"{local.name} is no video but a {kind}", hint=hint) from error


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise UnsupportedMedia(f"{name}: its video codec is not known to FFmpeg")
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_FRAME_PIXELS:
            raise MediaTooLarge(
                f"{name} has frames of {width} x {height} pixels; at most {MAX_FRAME_PIXELS:,}",
                hint="scale the video down first",
            )
        return stream
    kinds = {"a cover picture" if each.type == "video" else each.type for each in container.streams}
    has = f"only {' and '.join(sorted(kinds))}" if kinds else "no stream at all"
    raise UnsupportedMedia(f"{name} has no video stream: {has}")
