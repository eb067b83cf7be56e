# SPDX-License-Identifier: Apache-2.0
"""Token counts of a conversation before encoding, and pixel budgets that make it fit.

Sizes come from file headers and frame counts; no picture is resized. The results equal those of encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from finesight.config.model import VisionConfig
from finesight.config.processor import ProcessorConfig
from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Message,
    TextPart,
    VideoPart,
)
from finesight.errors import ConfigError
from finesight.processor.resize import fit_image, fit_video

_STEPS = 40
"""Bisection steps of the search for a budget; the result is exact to far below one pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """Length and media of an encoded conversation.

    Attributes:
        num_tokens: length of the token row, visual tokens included.
        media: one record per picture or video, in order of appearance.
    """

    num_tokens: int
    media: tuple[MediaRecord, ...]

    @property
    def visual_tokens(self) -> int:
        """Tokens of all pictures and videos."""
        return sum(record.visual_tokens for record in self.media)

    @property
    def text_tokens(self) -> int:
        """Tokens that are not visual."""
        return self.num_tokens - self.visual_tokens


def fit_into(
    conversation: Conversation,
    plan: SamplePlan,
    max_tokens: int,
    vision: VisionConfig,
    config: ProcessorConfig,
) -> Conversation:
    """Lower the pixel budgets until a conversation fits.

    The areas of all pictures and videos shrink by the same factor.
    The number of video frames stays.

    Args:
        conversation: the one of `plan`.
        plan: its plan.
        max_tokens: maximum length of the token row.
        vision: grid sizes.
        config: the processor's budgets.

    Returns:
        The conversation with `min_pixels`, `max_pixels` and `total_pixels` of media that were
        shrunk; the same object if it already fits.

    Raises:
        ConfigError: it does not fit even with every picture at its smallest.
    """
    if plan.num_tokens <= max_tokens:
        return conversation
    allowed = max_tokens - plan.text_tokens
    parts = list(conversation.media())

    def shrunk(share: float) -> list[ImagePart | VideoPart]:
        return [
            _shrink(part, record, share, vision)
            for part, record in zip(parts, plan.media, strict=True)
        ]

    def tokens(share: float) -> int:
        return sum(
            _visual_tokens(part, record, vision, config)
            for part, record in zip(shrunk(share), plan.media, strict=True)
        )

    if tokens(0.0) > allowed:
        raise ConfigError(
            f"{plan.text_tokens} text tokens and at least {tokens(0.0)} visual tokens do not fit "
            f"into {max_tokens}",
            hint="leave out media, or sample fewer video frames",
        )
    return _with_media(conversation, shrunk(_largest(lambda share: tokens(share) <= allowed)))


def _largest(fits: Callable[[float], bool]) -> float:
    """Largest fraction in 0..1 that fits, by bisection; 0 fits."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _shrink(
    part: ImagePart | VideoPart, record: MediaRecord, share: float, vision: VisionConfig
) -> ImagePart | VideoPart:
    """The part with `share` of its area as budget."""
    cell = vision.resize_factor**2
    area = max(cell, int(record.resize.resized.area * share))
    plain = replace(part, resized_height=None, resized_width=None)
    if isinstance(plain, ImagePart):
        plain = replace(plain, detail=None)
    return replace(plain, min_pixels=min(area, cell), max_pixels=area)


def _visual_tokens(
    part: ImagePart | VideoPart,
    record: MediaRecord,
    vision: VisionConfig,
    config: ProcessorConfig,
) -> int:
    size, factor = record.resize.original, vision.resize_factor
    if isinstance(part, ImagePart):
        return fit_image(size, part, config, factor=factor).resized.area // factor**2
    frames = len(record.clock.model_seconds) if record.clock else 1
    resized = fit_video(size, frames, part, config, factor=factor).resized
    return -(-frames // vision.temporal_patch_size) * resized.area // factor**2


def _with_media(conversation: Conversation, media: Sequence[ImagePart | VideoPart]) -> Conversation:
    remaining = iter(media)

    def message(old: Message) -> Message:
        parts = (part if isinstance(part, TextPart) else next(remaining) for part in old.parts)
        return replace(old, parts=tuple(parts))

    return replace(conversation, messages=tuple(map(message, conversation.messages)))
