# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of media: memory of an hour of video, and brief events missed by `fps="auto"`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Literal

from benchmarks.comparison import Comparison, in_process, resident_bytes

_LIMIT_BYTES = 1_000_000_000
_NUM_CLIPS = 6
_BURSTS_PER_CLIP = 6
_FRAME_BUDGET = 16


def bench_long_video(*, seconds: int = 3600, width: int = 1920, height: int = 1080) -> Comparison:
    """Peak memory of preparing 64 frames of an hour of video, above the idle process, in a separate process."""
    from benchmarks.clips import write_long_video

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        path = Path(folder) / "long.mp4"
        write_long_video(path, seconds=seconds, width=width, height=height)
        found = in_process("benchmarks.media", "prepare_long_video", str(path))
    name = f"peak bytes of 64 frames from {seconds:,} s of {width} x {height} against 1 GB"
    note = f"{found['pairs']:.0f} frame pairs, last at {found['last']:.2f} s"
    return Comparison(name, found["extra"], _LIMIT_BYTES, 1.0, at_least=False, note=note)


def prepare_long_video(path: str) -> None:
    """Prepare 64 frames of a file; prints bytes above the idle process, frame pairs and times as JSON."""
    from finesight.config.processor import ProcessorConfig
    from finesight.config.sizes import named_config
    from finesight.conversation import VideoPart
    from finesight.processor.prepare import prepare_video

    idle = resident_bytes("VmRSS")
    part = VideoPart(source=path, nframes=64)
    item = prepare_video(part, named_config("3b").vision, ProcessorConfig())
    clock = item.record.clock
    assert clock is not None, "a video has a clock"
    times = clock.source_seconds
    extra = resident_bytes("VmHWM") - idle
    json.dump(
        {"extra": extra, "pairs": item.grid_thw[0], "first": times[0], "last": times[-1]},
        sys.stdout,
    )


def bench_auto_frames(*, clips: int = _NUM_CLIPS, seconds: int = 40) -> Comparison:
    """Share of brief bursts in still clips that get no frame, with the frame budget of even sampling."""
    from benchmarks.clips import BurstClip, write_burst_clip
    from finesight.config.processor import ProcessorConfig
    from finesight.conversation import VideoPart
    from finesight.media.video import open_video

    def hits(clip: BurstClip, fps: Literal["auto"] | None) -> int:
        part = VideoPart(source=clip.path, fps=fps, max_frames=_FRAME_BUDGET)
        return clip.hits(open_video(part, ProcessorConfig()).clock.source_seconds)

    found = even = total = 0
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        for seed in range(clips):
            clip = write_burst_clip(
                Path(folder) / "burst.mp4",
                seconds=seconds,
                num_bursts=_BURSTS_PER_CLIP,
                seed=seed,
                fps=15,
                noise=3.0 * (seed % 2),
            )
            found, even = found + hits(clip, "auto"), even + hits(clip, None)
            total += len(clip.bursts)
    return Comparison(
        f'share of {total} bursts without a frame, fps="auto" with {_FRAME_BUDGET} frames',
        1 - found / total,
        1.0,
        0.1,
        at_least=False,
        note=f"even sampling misses {1 - even / total:.2f}",
    )
