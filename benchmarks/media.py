# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of media: memory of an hour of video with and without a network, and brief events missed."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from benchmarks.comparison import Comparison, in_process, resident_bytes

if TYPE_CHECKING:
    from finesight.config.model import ModelConfig
    from finesight.model.vl import VisionLanguageModel

_HOUR_FRAMES = 768
_HOUR_LAYERS, _HOUR_BLOCKS = 1, 2
"""Of the language model and of the tower, of which one block has windows and the other sees whole frame pairs. Without
the KV cache, the peak above the weights does not depend on them. A layer takes six minutes of processor time."""

_HOUR_LIMIT_BYTES = 2_000_000_000

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


def bench_hour(*, seconds: int = 3600, width: int = 1920, height: int = 1080) -> Comparison:
    """Peak memory of a question about 768 frames of a long video, above the weights, in a separate process."""
    from benchmarks.clips import write_long_video

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        path = Path(folder) / "long.mp4"
        write_long_video(path, seconds=seconds, width=width, height=height)
        found = in_process("benchmarks.media", "ask_about_long_video", str(path))
    name = f"peak bytes above the weights of a question about {_HOUR_FRAMES} frames from {seconds:,} s of "
    return Comparison(
        f"{name}{width} x {height}, 3B shape with {_HOUR_LAYERS} layer and {_HOUR_BLOCKS} blocks, against 2 GB",
        found["extra"],
        _HOUR_LIMIT_BYTES,
        1.0,
        at_least=False,
        note=f"{found['tokens']:,.0f} tokens of prompt, {found['seconds']:.0f} s",
    )


def ask_about_long_video(path: str) -> None:
    """Ask a random model about 768 frames of a file; prints bytes above the weights, tokens and seconds as JSON.

    A question about a small picture comes first, so that what every question needs is not counted.
    """
    from finesight.api.checkpoints import GenerationDefaults, find_checkpoint
    from finesight.api.model import Model
    from finesight.doctor.estimate import release_processor

    processor = release_processor("3b", find_checkpoint("tiny"))
    model = Model(
        "random", partial(_random_network, processor.model_config), processor, GenerationDefaults()
    )
    small: dict[str, object] = {"type": "image", "image": Image.new("RGB", (112, 84))}
    words = {"type": "text", "text": "What happens?"}
    model.answer([{"role": "user", "content": [small, words]}], max_new_tokens=2)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    idle, start = resident_bytes("VmRSS"), time.perf_counter()
    video: dict[str, object] = {"type": "video", "video": path, "nframes": _HOUR_FRAMES}
    answer = model.answer([{"role": "user", "content": [video, words]}], max_new_tokens=2)
    found = {
        "extra": resident_bytes("VmHWM") - idle,
        "tokens": answer.usage.prompt_tokens,
        "seconds": time.perf_counter() - start,
    }
    json.dump(found, sys.stdout)


def _random_network(config: ModelConfig) -> VisionLanguageModel:
    """The shape of a release with few layers, and random weights in bfloat16."""
    import torch

    from finesight.model.vl import VisionLanguageModel

    vision = config.vision.model_copy(
        update={"depth": _HOUR_BLOCKS, "full_attention_layers": (_HOUR_BLOCKS - 1,)}
    )
    text = config.text.model_copy(update={"num_hidden_layers": _HOUR_LAYERS})
    with torch.device("meta"):
        model = VisionLanguageModel(config.model_copy(update={"vision": vision, "text": text}))
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    return model.eval()


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
