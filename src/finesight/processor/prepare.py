# SPDX-License-Identifier: Apache-2.0
"""One picture or video, from its source to a `VisionInput`.

This is where the two records that bring answers home are made, once: the resize, and the clock. It
is also the place that says what a user should know about the media (colliding time positions, a
squeezed budget), as notes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from finesight.batch import VisionInput
from finesight.config.model import VisionConfig
from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, MediaRecord
from finesight.errors import UnsupportedMedia
from finesight.geometry import Size
from finesight.processor import patchify
from finesight.processor.resize import fit_image
from finesight.processor.windows import patch_positions, window_order


def prepare_image(part: ImagePart, vision: VisionConfig, config: ProcessorConfig) -> VisionInput:
    """Load, resize and cut one picture or PDF page.

    Args:
        part: the picture; its source may also be a uint8[H, W, 3] array.
        vision: patch, merge and window sizes.
        config: budgets and normalisation.

    Raises:
        MediaError: the picture cannot be used; the message names the source.
    """
    image, name = _open(part)
    size = Size(*image.size)
    try:
        resize = fit_image(size, part, config, factor=vision.resize_factor)
    except UnsupportedMedia as error:
        raise UnsupportedMedia(f"{name}: {error.message}", hint=error.hint) from error
    pixels = patchify.resize_image(image, resize.resized)
    patches, grid = patchify.patchify_image(pixels, vision, config)
    record = MediaRecord(
        kind="image",
        source=name,
        page=part.page,
        resize=resize,
        visual_tokens=patches.shape[0] // vision.merge_area,
    )
    return _vision_input(patches, grid, (), record, vision)


def _vision_input(
    patches: Tensor,
    grid: patchify.Grid,
    position_seconds: tuple[float, ...],
    record: MediaRecord,
    vision: VisionConfig,
) -> VisionInput:
    order, lengths = window_order(grid, vision)
    return VisionInput(
        patches=patches,
        grid_thw=grid,
        position_hw=patch_positions(grid, vision.spatial_merge_size),
        window_order=order,
        window_lengths=lengths,
        position_seconds=position_seconds,
        record=record,
    )


def _open(part: ImagePart) -> tuple[Image.Image, str]:
    if isinstance(part.source, np.ndarray):
        return _from_array(part.source), "array"
    if isinstance(part.source, Image.Image) and part.source.mode == "RGB":
        return part.source, "picture"
    raise UnsupportedMedia("only arrays and RGB pictures")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise UnsupportedMedia(
            f"an array of {array.dtype}{list(array.shape)} is no picture",
            hint="give uint8[height, width, 3] in RGB",
        )
    return Image.fromarray(array)
