# SPDX-License-Identifier: Apache-2.0
"""Replies made by hand, for tests of reading answers and of showing them."""

from __future__ import annotations

from finesight.conversation import MediaRecord, Reply, Usage
from finesight.geometry import Clock, Resize, Size


def picture_record(source="a.png", *, original=(1000, 500), resized=(504, 252), page=None):
    return MediaRecord(
        kind="image",
        source=source,
        page=page,
        resize=Resize(Size(*original), Size(*resized)),
        visual_tokens=resized[0] * resized[1] // 784,
    )


def video_record(
    source="clip.mp4", *, model=(0.0, 0.5, 1.0, 1.5), true=(10.0, 10.4, 11.5, 12.0), clock=True
):
    """A clip that starts at second 10 of its source and is sampled unevenly."""
    return MediaRecord(
        kind="video",
        source=source,
        resize=Resize(Size(640, 480), Size(308, 224)),
        visual_tokens=176,
        clock=Clock(model, true) if clock else None,
        sample_fps=2.0,
    )


def reply(text, *media, finish_reason="stop"):
    return Reply(
        text=text,
        token_ids=(1, 2, 3),
        finish_reason=finish_reason,
        usage=Usage(prompt_tokens=200, visual_tokens=162, completion_tokens=3),
        media=media,
    )
