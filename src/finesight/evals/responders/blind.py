# SPDX-License-Identifier: Apache-2.0
"""Replace pictures and videos by blank ones, for the blank-picture baseline."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import Conversation, ImagePart, Part, VideoPart
from finesight.geometry import Size
from finesight.media.image import image_size
from finesight.media.pdf import page_size
from finesight.media.video import open_video

BLANK_COLOUR = (200, 200, 200)
"""Grey of the blank pictures."""


def blank(size: Size) -> Image.Image:
    """One blank picture."""
    return Image.new("RGB", (size.width, size.height), BLANK_COLOUR)


def blanked(conversation: Conversation) -> Conversation:
    """A conversation with blank pictures and videos of the same sizes, times and limits.

    Raises:
        MediaError: a picture or video does not exist.
    """
    messages = tuple(
        replace(message, parts=tuple(_blank_part(part) for part in message.parts))
        for message in conversation.messages
    )
    return replace(conversation, messages=messages)


def _blank_part(part: Part) -> Part:
    if isinstance(part, ImagePart):
        return _blank_image(part)
    return _blank_video(part) if isinstance(part, VideoPart) else part


def _blank_image(part: ImagePart) -> ImagePart:
    if part.page is None:
        return replace(part, source=blank(image_size(part.source)))
    return replace(part, source=blank(page_size(part.source, part.page)), page=None)


def _blank_video(part: VideoPart) -> VideoPart:
    """The same number of blank frames at the same times; a file is sampled as for the model."""
    if isinstance(part.source, tuple):
        return replace(part, source=tuple(blank(image_size(frame)) for frame in part.source))
    clip = open_video(part, ProcessorConfig())
    return replace(
        part,
        source=(blank(clip.size),) * clip.num_frames,
        timestamps=clip.clock.source_seconds,
        fps=None,
        nframes=None,
        min_frames=None,
        max_frames=None,
        start_seconds=None,
        end_seconds=None,
    )
