# SPDX-License-Identifier: Apache-2.0
"""Patch values against the reference's own pipeline: qwen-vl-utils, then transformers' processors.

Tolerance: both sides compute (value / 255 - mean) / std in float32 in another order of operations; results reach 2.7,
where one unit in the last place is 2.4e-7. A resize that differs by one gray level would show as 1.4e-2.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.config.sizes import named_config
from finesight.conversation import ImagePart, VideoPart
from finesight.geometry import Size
from finesight.processor.prepare import prepare_image, prepare_video
from tests.support.fake_media import FakeClip

pytestmark = pytest.mark.parity

VISION = named_config("3b").vision
CONFIG = ProcessorConfig()


def drawn(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise over a gradient: all values, sharp and smooth."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (height, width, 3))
    ramp = np.linspace(0, 255, width)[None, :, None] + np.zeros((height, 1, 3))
    half = np.arange(height)[:, None, None] < height // 2
    return np.where(half, noise, ramp).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (28, 28, {}),
        (84, 112, {}),
        (333, 517, {}),
        (29, 1999, {}),
        (1080, 1920, {"max_pixels": 400_000}),
        (31, 45, {"min_pixels": 100_352}),
        (10, 2000, {}),
        (600, 400, {"resized_height": 280, "resized_width": 420}),
    ],
)
def test_picture(height, width, options, reference):
    from qwen_vl_utils import fetch_image

    image = Image.fromarray(drawn(height, width))
    ours = prepare_image(ImagePart(source=image, **options), VISION, CONFIG)
    theirs = reference.images(
        images=[fetch_image({"image": image, **options})], return_tensors="pt"
    )
    assert [list(ours.grid_thw)] == theirs["image_grid_thw"].tolist()
    assert ours.patches.dtype == torch.float32
    assert (ours.patches - theirs["pixel_values"]).abs().max() < 1e-6


class DrawnClip(FakeClip):
    """Frames that differ from each other."""

    def frames(self):
        """Drawn frames."""
        for index in range(self.num_frames):
            yield drawn(self.size.height, self.size.width, seed=index)


@pytest.mark.parametrize(
    ("num_frames", "height", "width", "options"),
    [
        (2, 56, 56, {"min_pixels": 3136}),
        (4, 90, 161, {"min_pixels": 3136}),
        (10, 121, 75, {"min_pixels": 3136, "max_pixels": 20_000}),
        (22, 64, 48, {"min_pixels": 3136, "total_pixels": 200_000}),
        (4, 64, 48, {"resized_height": 84, "resized_width": 140}),
        (2, 100, 60, {}),
    ],
)
def test_video(num_frames, height, width, options, reference, monkeypatch):
    from qwen_vl_utils import vision_process

    clip = DrawnClip(Size(width, height), num_frames, 2.0)
    monkeypatch.setattr("finesight.media.video.open_video", lambda *_, **__: clip)
    ours = prepare_video(VideoPart(source="drawn", **options), VISION, CONFIG)

    frames = torch.from_numpy(np.stack(list(clip.frames()))).permute(0, 3, 1, 2)
    monkeypatch.setattr(
        vision_process, "VIDEO_READER_BACKENDS", {"torchvision": lambda part: (frames, {}, 2.0)}
    )
    monkeypatch.setattr(vision_process, "get_video_reader_backend", lambda: "torchvision")
    resized = vision_process.fetch_video({"video": "drawn", **options})
    theirs = reference.videos(videos=[resized], return_tensors="pt")
    assert [list(ours.grid_thw)] == theirs["video_grid_thw"].tolist()
    assert (ours.patches - theirs["pixel_values_videos"]).abs().max() < 1e-5


def test_whole_processor(reference, monkeypatch, official_file):
    """One conversation with two pictures and a video through both programs, ids and patches."""
    from finesight.processor.processor import Processor
    from finesight.text.messages import conversation_from
    from finesight.text.tokenizer import Tokenizer

    clip = DrawnClip(Size(56, 84), 6, 2.0)
    monkeypatch.setattr("finesight.media.video.open_video", lambda *_, **__: clip)
    pictures = [Image.fromarray(drawn(90, 57)), Image.fromarray(drawn(28, 141))]
    content = [
        {"type": "text", "text": "Was ist das? "},
        {"type": "image", "image": pictures[0]},
        {"type": "video", "video": "drawn", "min_pixels": 3136},
        {"type": "image", "image": pictures[1]},
        {"type": "text", "text": " 这是什么？"},
    ]
    messages = [{"role": "user", "content": content}]
    processor = Processor(Tokenizer.from_file(official_file), named_config("3b"))
    ours = processor.encode(conversation_from(messages))

    frames = torch.from_numpy(np.stack(list(clip.frames()))).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        frames.float(), (84, 56), mode="bicubic", antialias=True
    )
    theirs = reference.processor(
        text=[reference.text(messages, add_generation_prompt=True)],
        images=pictures,
        videos=[resized.round().clamp(0, 255)],
        return_tensors="pt",
    )
    assert torch.equal(ours.input_ids, theirs["input_ids"][0])
    by_kind = {
        kind: [i for i in ours.vision if i.record.kind == kind] for kind in ("image", "video")
    }
    for kind, key in (("image", "pixel_values"), ("video", "pixel_values_videos")):
        patches = torch.cat([item.patches for item in by_kind[kind]])
        assert (patches - theirs[key]).abs().max() < 1e-5
