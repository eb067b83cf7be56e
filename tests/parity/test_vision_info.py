# SPDX-License-Identifier: Apache-2.0
"""`process_vision_info` against that of qwen-vl-utils 0.0.14: pictures and frames equal to the last value."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from PIL import Image

from finesight.errors import ConfigError
from finesight.processor import vision_info

pytestmark = pytest.mark.parity


def drawn(height: int, width: int, seed: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def utils(monkeypatch):
    """qwen-vl-utils with a reader that works here: its own readers need packages that are gone."""
    from qwen_vl_utils import vision_process

    def read(part):
        with av.open(part["video"]) as container:
            frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
            source_fps = float(container.streams.video[0].average_rate)
        first, last, total = vision_process.calculate_video_frame_range(
            part, len(frames), source_fps
        )
        count = vision_process.smart_nframes(part, total, source_fps)
        indices = torch.linspace(first, last, count).round().long()
        metadata = {
            "fps": source_fps,
            "frames_indices": indices.tolist(),
            "total_num_frames": total,
            "video_backend": "pyav",
        }
        chosen = torch.from_numpy(frames)[indices].permute(0, 3, 1, 2)
        return chosen, metadata, count / max(total, 1e-6) * source_fps

    monkeypatch.setattr(vision_process, "VIDEO_READER_BACKENDS", {"torchvision": read})
    monkeypatch.setattr(vision_process, "get_video_reader_backend", lambda: "torchvision")
    return vision_process


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_pixels": 50_176, "max_pixels": 100_352},
        {"resized_height": 100, "resized_width": 333},
    ],
)
@pytest.mark.parametrize("size", [(28, 28), (61, 333), (300, 200)])
def test_pictures(utils, patch, options, size):
    part = {"type": "image", "image": drawn(*size, seed=1), **options}
    ours, theirs = vision_info.fetch_image(part, patch), utils.fetch_image(part, patch)
    assert ours.mode == theirs.mode == "RGB"
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize(
    "options",
    [
        {"fps": 4},
        {"nframes": 6, "resized_height": 60, "resized_width": 90},
        {"video_start": 0.5, "video_end": 1.5, "min_pixels": 3136, "total_pixels": 100_000},
    ],
)
def test_video_file(utils, video_file, options):
    part = {"type": "video", "video": str(video_file), **options}
    (ours, our_data), our_fps = vision_info.fetch_video(part, 14, True, True)
    (theirs, their_data), their_fps = utils.fetch_video(part, 14, True, True)
    assert ours.dtype == theirs.dtype == torch.float32
    assert ours.shape == theirs.shape
    assert our_fps == their_fps
    assert our_data == their_data
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_fps": 1.5, "raw_fps": 24},
        {"min_pixels": 16 * 28 * 28, "max_pixels": 30_000},
        {"resized_height": 84, "resized_width": 140},
    ],
)
def test_frame_list(utils, count, options):
    frames = [drawn(70, 101, seed) for seed in range(count)]
    part = {"type": "video", "video": frames, **options}
    (ours, our_data), our_fps = vision_info.fetch_video(part, 14, True, True)
    (theirs, their_data), their_fps = utils.fetch_video(part, 14, True, True)
    assert torch.equal(ours, theirs)
    assert our_data == their_data
    assert our_fps == their_fps


@pytest.mark.parametrize("with_metadata", [False, True])
def test_whole_conversations(utils, with_metadata):
    image, frames = drawn(40, 50, 0), [drawn(60, 60, seed) for seed in range(4)]
    messages = [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "image", "image": image},
                {"type": "video", "video": frames},
                {"image": image},
            ],
        },
    ]
    for conversations in (messages, [messages, messages], messages[:1]):
        ours = vision_info.process_vision_info(conversations, True, with_metadata)
        theirs = utils.process_vision_info(conversations, True, with_metadata)
        assert ours[2] == theirs[2]
        for mine, other in zip(ours[0] or [], theirs[0] or [], strict=True):
            assert mine.tobytes() == other.tobytes()
        for mine, other in zip(ours[1] or [], theirs[1] or [], strict=True):
            assert torch.equal(mine[0], other[0]) if with_metadata else torch.equal(mine, other)
        assert [item is None for item in ours[:2]] == [item is None for item in theirs[:2]]
        assert len(vision_info.process_vision_info(conversations)) == 2


def test_wrong_kind_of_part():
    with pytest.raises(ConfigError, match="is no picture"):
        vision_info.fetch_image({"type": "text", "text": "x"})
    with pytest.raises(ConfigError, match="is no video"):
        vision_info.fetch_video({"type": "image", "image": drawn(28, 28, 0)})


def test_frame_lists_are_resized_once_by_our_processor(utils):
    """A known fault: qwen-vl-utils resizes lists of frames twice, first to a grid of 56 pixels.

    `fetch_video` repeats it, to be equal; `Processor` gives a list the size it gives a file.
    """
    from finesight.config.processor import ProcessorConfig
    from finesight.conversation import VideoPart
    from finesight.geometry import Size
    from finesight.processor.resize import fit_video

    frames = [drawn(87, 187, seed) for seed in range(2)]
    part = {"type": "video", "video": frames, "min_pixels": 3136, "max_pixels": 40_000}
    listed = utils.fetch_video(part).shape[-2:]
    assert vision_info.fetch_video(part).shape[-2:] == listed
    options = VideoPart(source=tuple(frames), min_pixels=3136, max_pixels=40_000)
    once = fit_video(Size(187, 87), 2, options, ProcessorConfig()).resized
    assert (once.height, once.width) == utils.smart_resize(87, 187, 28, 3136, 40_000)
    assert tuple(listed) != (once.height, once.width)
