# SPDX-License-Identifier: Apache-2.0
"""The numbers that say how pictures and videos are fitted and cut."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ProcessorConfig(BaseModel):
    """Pixel budgets, frame budgets and normalisation.

    Defaults are those of qwen-vl-utils and of the released `preprocessor_config.json`; a "visual token" is
    28 x 28 pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_pixels: int = Field(4 * 28 * 28, description="least area of a resized picture, in pixels")
    max_pixels: int = Field(
        16_384 * 28 * 28, description="largest area of a resized picture, in pixels"
    )
    max_side_ratio: int = Field(
        200, description="longest side over shortest side that is still taken"
    )
    image_mean: tuple[float, float, float] = Field(
        (0.48145466, 0.4578275, 0.40821073), description="mean per channel, of values in 0..1"
    )
    image_std: tuple[float, float, float] = Field(
        (0.26862954, 0.26130258, 0.27577711),
        description="standard deviation per channel, of values in 0..1",
    )
    fps: float = Field(2.0, description="video frames per second when nothing is asked")
    frame_factor: int = Field(2, description="the number of frames is a multiple of this")
    min_frames: int = Field(4, description="least number of frames when fps decides")
    max_frames: int = Field(768, description="largest number of frames when fps decides")
    video_min_pixels: int = Field(
        128 * 28 * 28, description="least area of a resized frame, in pixels"
    )
    video_max_pixels: int = Field(
        768 * 28 * 28, description="largest area of a resized frame, in pixels"
    )
    video_total_pixels: int = Field(
        int(128_000 * 28 * 28 * 0.9),
        description="largest area of all resized frames together, in pixels",
    )
