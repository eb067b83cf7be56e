# SPDX-License-Identifier: Apache-2.0
"""An hour of 1080p video is prepared in bounded memory.

The hour is one encoded minute whose packets are written again and again, with their times moved on:
a demuxer and a decoder cannot tell it from a long recording, and it is made in seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

RATE = 25
LIMIT_BYTES = 1_000_000_000
MEASURE = """
import json, sys
from pathlib import Path
from finesight.config.processor import ProcessorConfig
from finesight.config.sizes import named_config
from finesight.conversation import VideoPart
from finesight.processor.prepare import prepare_video

def resident(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key + ":")).split()[1])

idle = resident("VmRSS")
part = VideoPart(source=sys.argv[1], nframes=64)
item = prepare_video(part, named_config("3b").vision, ProcessorConfig())
clock = item.record.clock
print(json.dumps({"extra": resident("VmHWM") - idle, "pairs": item.grid_thw[0],
                  "first": clock.source_seconds[0], "last": clock.source_seconds[-1]}))
"""


def write_long_video(path, *, seconds, width=1920, height=1080):
    """A moving bar for a minute (or less), repeated until `seconds` are full."""
    minute = path.with_name("minute.mp4")
    taken = min(seconds, 60)
    with av.open(str(minute), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        pixels = np.full((height, width, 3), 200, dtype=np.uint8)
        for index in range(taken * RATE):
            left = index * 7 % (width - 16)
            pixels[:] = 200
            pixels[:, left : left + 16] = (index % 256, 40, 90)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(minute)) as source, av.open(str(path), "w") as target:
        inner = source.streams.video[0]
        outer = target.add_stream_from_template(inner)
        packets = [
            (packet.pts, packet.dts, packet) for packet in source.demux(inner) if packet.size
        ]
        for round_number in range(-(-seconds // taken)):
            moved = int(round_number * taken / inner.time_base)
            for pts, dts, packet in packets:
                packet.pts, packet.dts = pts + moved, dts + moved
                packet.time_base = Fraction(inner.time_base)
                packet.stream = outer
                target.mux(packet)


def measure(path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    return json.loads(done.stdout)


def test_repeated_packets_are_one_long_video(tmp_path):
    path = tmp_path / "long.mp4"
    write_long_video(path, seconds=120, width=64, height=48)
    found = measure(path)
    assert found["pairs"] == 32
    assert found["first"] == 0.0
    assert found["last"] == pytest.approx(120 - 1 / RATE, abs=1e-3)


@pytest.mark.bench
def test_an_hour_of_video_fits_into_bounded_memory(tmp_path, capsys):
    path = tmp_path / "hour.mp4"
    write_long_video(path, seconds=3600)
    found = measure(path)
    with capsys.disabled():
        sys.stdout.write(
            f"\nan hour of 1080p, 64 frames: {found['extra'] / 1e6:.0f} MB above the idle process "
            f"(bar {LIMIT_BYTES / 1e6:.0f})\n"
        )
    assert found["pairs"] == 32
    assert found["last"] == pytest.approx(3600 - 1 / RATE, abs=1e-3)
    assert found["extra"] <= LIMIT_BYTES
