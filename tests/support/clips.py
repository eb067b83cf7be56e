# SPDX-License-Identifier: Apache-2.0
"""Small video files for tests: every frame carries its own number,

The number is drawn as black and white blocks, so that it survives compression, scaling and rotation back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
BITS = 16


def numbered_frame(number: int, width: int = 128, height: int = 72) -> Frame:
    """A gray frame whose top half spells `number` in binary, least significant bit first; the rest is a gradient."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = (np.arange(width, dtype=np.int64) * 200 // width + 20).astype(np.uint8)[
        None, :, None
    ]
    edges = np.linspace(0, width, BITS + 1).astype(int)
    for bit in range(BITS):
        frame[: height // 2, edges[bit] : edges[bit + 1]] = 235 if number >> bit & 1 else 20
    return frame


def read_number(frame: Frame) -> int:
    """The number that `numbered_frame` drew, read back from a decoded frame."""
    height, width = frame.shape[:2]
    edges = np.linspace(0, width, BITS + 1).astype(int)
    number = 0
    for bit in range(BITS):
        block = frame[height // 8 : height * 3 // 8, edges[bit] + 1 : edges[bit + 1] - 1]
        number |= int(block.mean() > 127) << bit
    return number


def numbered(count: int, width: int = 128, height: int = 72) -> Iterator[Frame]:
    """`count` numbered frames."""
    return (numbered_frame(index, width, height) for index in range(count))


def write_clip(
    path: Path,
    frames: Iterable[Frame],
    *,
    fps: Fraction | int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: Sequence[Fraction] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: float | None = None,
    color_range: int | None = None,
) -> Path:
    """Encode frames into `path`; the container follows from its suffix.

    Args:
        path: file to write.
        frames: `uint8[H, W, 3]` (RGB) or `uint8[H, W, 4]` (RGBA) each.
        fps: nominal rate; frame i is shown at i / fps unless `times` says otherwise.
        codec: encoder name.
        pix_fmt: pixel format in the file.
        options: encoder options; x264 gets an ultrafast preset by default.
        times: presentation time of each frame in seconds, for a variable rate.
        container_options: muxer options.
        rotation: display rotation in degrees, counter-clockwise.
        color_range: 1 for limited, 2 for full range.
    """
    rate = Fraction(fps)
    base = Fraction(1, 90_000) if times is not None else 1 / rate
    if options is None:
        options = {"preset": "ultrafast", "crf": "18"} if codec == "libx264" else {}
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = None
        for index, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.time_base = base
                if color_range is not None:
                    stream.codec_context.color_range = color_range
                if rotation is not None:
                    stream.set_display_rotation(rotation)
            picture = av.VideoFrame.from_ndarray(
                frame, format="rgba" if frame.shape[2] == 4 else "rgb24"
            )
            picture = picture.reformat(format=pix_fmt, dst_color_range=color_range)
            picture.pts = index if times is None else round(times[index] / base)
            picture.time_base = base
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode(None))
    return path
