# SPDX-License-Identifier: Apache-2.0
"""`process_vision_info` and its two helpers, for programs written for qwen-vl-utils.

Arguments and results are the same: pictures as resized Pillow images, videos as float32[F, 3, H, W] tensors
of whole numbers, and the rates the reference processor needs. Our own `Processor` does not use this
module; it keeps the records that map answers back to the original.

Three differences are intentional: pictures are turned upright by their EXIF orientation, a
video that cannot be read is an error instead of a try with another reader, and `fps` beside a list
of frames is its rate (qwen-vl-utils 0.0.14 ignores it).

Source: qwen-vl-utils 0.0.14; parity: tests/parity/test_vision_info.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.errors import ConfigError
from finesight.geometry import Size
from finesight.media.image import load_image
from finesight.media.pdf import load_page
from finesight.media.video import open_video
from finesight.processor.patchify import resize_frames, resize_image
from finesight.processor.resize import fit_image, fit_video
from finesight.text.messages import read_part

Part = Mapping[str, Any]

_MERGE_SIZE = 2
_MEDIA_KEYS = ("image", "image_url", "video", "video_url")


def process_vision_info(
    conversations: Sequence[Part] | Sequence[Sequence[Part]],
    return_video_kwargs: bool = False,
    return_video_metadata: bool = False,
    image_patch_size: int = 14,
) -> tuple[Any, ...]:
    """Load every picture and video of one or several conversations.

    Args:
        conversations: messages as dictionaries, or a list of such lists.
        return_video_kwargs: also return the keyword arguments of the reference processor.
        return_video_metadata: each video comes as `(tensor, metadata)`.
        image_patch_size: pixels per patch side.

    Returns:
        Pictures or None, videos or None, and the keyword arguments if requested.

    Raises:
        FinesightError: a part is not understood, or its media cannot be used.
    """
    images: list[Image.Image] = []
    videos: list[Any] = []
    rates: list[float] = []
    for part in extract_vision_info(conversations):
        if "image" in part or "image_url" in part:
            images.append(fetch_image(part, image_patch_size))
            continue
        video, rate = fetch_video(part, image_patch_size, True, return_video_metadata)
        videos.append(video)
        rates.append(rate)
    loaded = (images or None, videos or None)
    if not return_video_kwargs:
        return loaded
    rate_option = {} if return_video_metadata else {"fps": rates}
    return (*loaded, {"do_sample_frames": False} | rate_option)


def extract_vision_info(
    conversations: Sequence[Part] | Sequence[Sequence[Part]],
) -> list[Part]:
    """The picture and video parts of one or several conversations, in order."""
    return list(_media_parts(conversations))


def _media_parts(conversations: Sequence[Any]) -> Iterator[Part]:
    for entry in conversations:
        if not isinstance(entry, Mapping):
            yield from _media_parts(entry)
            continue
        content = entry.get("content")
        for part in content if isinstance(content, (list, tuple)) else ():
            if isinstance(part, Mapping) and any(key in part for key in _MEDIA_KEYS):
                yield part


def fetch_image(ele: Part, image_patch_size: int = 14) -> Image.Image:
    """Load one picture and resize it to its grid.

    Args:
        ele: a picture part, as in a message.
        image_patch_size: pixels per patch side.
    """
    part = read_part(ele)
    if not isinstance(part, ImagePart):
        raise ConfigError(f"the part with keys {sorted(ele)} is no picture")
    image = load_image(part.source) if part.page is None else load_page(part.source, part.page)
    factor = image_patch_size * _MERGE_SIZE
    resize = fit_image(Size(*image.size), part, _config(factor), factor=factor)
    return Image.fromarray(resize_image(image, resize.resized))


def fetch_video(
    ele: Part,
    image_patch_size: int = 14,
    return_video_sample_fps: bool = False,
    return_video_metadata: bool = False,
) -> Any:
    """Load one video and resize its frames to their grid.

    Args:
        ele: a video part, as in a message.
        image_patch_size: pixels per patch side.
        return_video_sample_fps: also return the rate of the sampled frames.
        return_video_metadata: return `(frames, metadata)` instead of the frames alone.

    Returns:
        float32[F, 3, H, W] with values 0..255; with the options, tuples as qwen-vl-utils nests them.
    """
    part = read_part(ele)
    if not isinstance(part, VideoPart):
        raise ConfigError(f"the part with keys {sorted(ele)} is no video")
    factor = image_patch_size * _MERGE_SIZE
    config = _config(factor)
    clip = open_video(part, config)
    metadata: dict[str, Any] = {
        "fps": clip.source_fps,
        "frames_indices": list(clip.indices),
        "total_num_frames": clip.total_frames,
        "video_backend": "pyav",
    }
    frames = list(clip.frames())
    if part.is_frame_list:
        frames = [_first_resize(frame, part, factor) for frame in frames]
        metadata = _list_metadata(len(frames), clip.sample_fps, ele.get("raw_fps"))
    stacked = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    size = Size(width=stacked.shape[3], height=stacked.shape[2])
    resize = fit_video(size, len(frames), part, config, factor=factor)
    video: Tensor = resize_frames(stacked, resize.resized).float()
    result = (video, metadata) if return_video_metadata else video
    return (result, clip.sample_fps) if return_video_sample_fps else result


def _config(factor: int) -> ProcessorConfig:
    """The published budgets, which are in grid cells, for cells of another size."""
    published = ProcessorConfig()
    budgets = {
        name: getattr(published, name) // 28**2 * factor**2
        for name in ("min_pixels", "max_pixels", "video_min_pixels", "video_max_pixels")
    }
    total = int(published.video_total_pixels / 28**2 * factor**2)
    return published.model_copy(update=budgets | {"video_total_pixels": total})


def _first_resize(frame: np.ndarray, part: VideoPart, factor: int) -> np.ndarray:
    """The first resize that qwen-vl-utils applies to each frame of a list.

    It loads frames as pictures and takes the grid step for the patch side, so the grid is twice as coarse.
    """
    options = replace(
        ImagePart(source=""),
        min_pixels=part.min_pixels,
        max_pixels=part.max_pixels,
        resized_height=part.resized_height,
        resized_width=part.resized_width,
    )
    doubled = factor * _MERGE_SIZE
    image = Image.fromarray(frame)
    resize = fit_image(Size(*image.size), options, _config(doubled), factor=doubled)
    return resize_image(image, resize.resized)


def _list_metadata(num_frames: int, sample_fps: float, raw_fps: float | None) -> dict[str, Any]:
    rate = sample_fps if raw_fps is None else raw_fps
    return {
        "fps": rate,
        "frames_indices": list(range(num_frames)),
        "total_num_frames": num_frames / sample_fps * rate,
    }
