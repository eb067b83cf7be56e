# SPDX-License-Identifier: Apache-2.0
"""Processor configuration: pixel and frame budgets, normalisation."""

from __future__ import annotations

from pydantic import ConfigDict, Field, PositiveInt, model_validator

from finesight.config.settings import Settings


class ProcessorConfig(Settings):
    """Pixel budgets, frame budgets and normalisation.

    Defaults are those of qwen-vl-utils and of the released `preprocessor_config.json`. A visual token is 28 x 28
    pixels.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    min_pixels: PositiveInt = Field(
        4 * 28 * 28, description="least area of a resized picture, in pixels"
    )
    max_pixels: PositiveInt = Field(
        16_384 * 28 * 28, description="largest area of a resized picture, in pixels"
    )
    max_side_ratio: PositiveInt = Field(
        200, description="largest ratio of longest to shortest side"
    )
    image_mean: tuple[float, float, float] = Field(
        (0.48145466, 0.4578275, 0.40821073), description="mean per channel, of values in 0..1"
    )
    image_std: tuple[float, float, float] = Field(
        (0.26862954, 0.26130258, 0.27577711),
        description="standard deviation per channel, of values in 0..1",
    )
    fps: float = Field(2.0, gt=0, description="sampled video frames per second by default")
    frame_factor: PositiveInt = Field(2, description="the number of frames is a multiple of this")
    min_frames: PositiveInt = Field(4, description="least number of frames sampled by fps")
    max_frames: PositiveInt = Field(768, description="largest number of frames sampled by fps")
    video_min_pixels: PositiveInt = Field(
        128 * 28 * 28, description="least area of a resized frame, in pixels"
    )
    video_max_pixels: PositiveInt = Field(
        768 * 28 * 28, description="largest area of a resized frame, in pixels"
    )
    video_total_pixels: PositiveInt = Field(
        int(128_000 * 28 * 28 * 0.9),
        description="largest area of all resized frames together, in pixels",
    )

    @model_validator(mode="after")
    def _in_order(self) -> ProcessorConfig:
        for least, most in (
            ("min_pixels", "max_pixels"),
            ("min_frames", "max_frames"),
            ("video_min_pixels", "video_max_pixels"),
        ):
            low, high = getattr(self, least), getattr(self, most)
            if low > high:
                raise ValueError(f"{least} {low} exceeds {most} {high}")
        if not all(value > 0 for value in self.image_std):
            raise ValueError(
                f"image_std {self.image_std} must be above 0: colours are divided by it"
            )
        return self
