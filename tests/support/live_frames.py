# SPDX-License-Identifier: Apache-2.0
"""Frames of a live video as a client sends them."""

from __future__ import annotations

import io
import struct

from PIL import Image, ImageDraw


def jpeg(number: int = 0, size: tuple[int, int] = (112, 84)) -> bytes:
    """A picture that differs by `number`."""
    picture = Image.new("RGB", size, "white")
    left = 4 * (number % 20)
    ImageDraw.Draw(picture).rectangle((left, 20, left + 24, 60), fill=(200, 30, 9 * (number % 25)))
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


def message(seconds: float, content: bytes) -> bytes:
    """A frame's message."""
    return struct.pack(">d", seconds) + content
