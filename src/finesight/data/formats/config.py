# SPDX-License-Identifier: Apache-2.0
"""Settings of an import, and the names of the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, PositiveInt, model_validator

from finesight.config.processor import ProcessorConfig
from finesight.config.settings import Settings

__all__ = ["FORMATS", "FRAMES", "FormatName", "Frame", "ImportConfig"]

FormatName = Literal[
    "qwen", "llama-factory", "alpaca", "swift", "trl", "openai", "captions", "coco", "yolo"
]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

Frame = Literal["original", "resized", "norm1000", "norm1"]
"""What coordinates count: pixels of the original, pixels of the resized picture, thousandths or shares of its sides."""
FRAMES: tuple[Frame, ...] = get_args(Frame)

_PUBLISHED = ProcessorConfig()


class ImportConfig(Settings):
    """How a file of training data is read."""

    format: FormatName | None = Field(
        None, description="format of the file; recognised from its content if not given"
    )
    media: tuple[Path, ...] = Field(
        (), description="folders of the media, tried in order; the folder of the file if not given"
    )
    coordinates: Literal["original", "resized", "norm1000", "norm1", "none"] | None = Field(
        None,
        description="what the boxes and points in texts count; none leaves the texts as they are; if not given, "
        "resized for the format qwen and original for all others",
    )
    label_min_pixels: PositiveInt = Field(
        _PUBLISHED.min_pixels,
        description="with resized coordinates: least area of the resized pictures of the labels, in pixels",
    )
    label_max_pixels: PositiveInt = Field(
        _PUBLISHED.max_pixels,
        description="with resized coordinates: largest area of the resized pictures of the labels, in pixels",
    )
    bad_rows: Literal["stop", "skip"] = Field(
        "stop", description="what happens when rows cannot be used: stop, or leave them out"
    )
    fetch: bool = Field(False, description="fetch media from http and https addresses")
    question: str = Field(
        "Describe this image.", min_length=1, description="question of pictures that have a caption"
    )

    @model_validator(mode="after")
    def _in_order(self) -> ImportConfig:
        if self.label_min_pixels > self.label_max_pixels:
            raise ValueError(
                f"label_min_pixels {self.label_min_pixels} exceeds label_max_pixels {self.label_max_pixels}"
            )
        return self
