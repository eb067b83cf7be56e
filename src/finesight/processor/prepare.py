# SPDX-License-Identifier: Apache-2.0
"""Converts one picture or video from its source to a `VisionInput`.

The records that map answers back to the original (resize and clock) are made only here, and so are
the notes for the user, such as colliding time positions or the first of several pages.

`measure_*` makes the record without pixels, for `finesight plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from finesight.batch import MERGE_AREA, StreamedPatches, VisionInput
from finesight.config.model import VisionConfig
from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, MediaRecord, VideoPart
from finesight.errors import FinesightError
from finesight.geometry import Resize, Size
from finesight.media.fetch import FetchPolicy
from finesight.media.image import image_size, load_image, picture_notes
from finesight.media.pdf import load_page, page_size
from finesight.media.source import LocalSource, at_hand, scheme_of, source_name
from finesight.processor.mrope import colliding_pairs
from finesight.processor.patchify import (
    Grid,
    grid_of,
    patchify_image,
    patchify_video,
    resize_image,
    stream_video,
)
from finesight.processor.resize import fit_image, fit_video, frame_budget, image_budget
from finesight.processor.windows import patch_positions, window_order

if TYPE_CHECKING:
    from finesight.conversation import MediaSource
    from finesight.media.video import VideoClip

STREAMED_ABOVE_PATCHES = 2**14
"""Patches of a video above which they are streamed if the caller takes streams; up to it they fill 77 MB."""

READABLE_SHRINK = 4
"""Ratio of original to resized area above which a note is made: both sides are then less than half, and letters of
12 to 16 pixels are below the about 7 pixels that reading needs."""


def prepare_image(
    part: ImagePart,
    vision: VisionConfig,
    config: ProcessorConfig,
    *,
    policy: FetchPolicy | None = None,
) -> VisionInput:
    """Load, resize and cut one picture or PDF page.

    Args:
        part: the picture.
        vision: patch, merge and window sizes.
        config: budgets and normalisation.
        policy: limits for addresses.

    Raises:
        MediaError: the picture cannot be used; the message names the source.
    """
    source = at_hand(part.source, policy=policy)
    image = load_image(source) if part.page is None else load_page(source, part.page)
    record = _image_record(part, source, Size(*image.size), vision, config)
    patches, _ = patchify_image(resize_image(image, record.resize.resized), vision, config)
    return vision_input(patches, record, vision)


def prepare_video(
    part: VideoPart,
    vision: VisionConfig,
    config: ProcessorConfig,
    *,
    policy: FetchPolicy | None = None,
    streams: bool = False,
) -> VisionInput:
    """Sample, resize and cut one video; frames are decoded and dropped a few at a time.

    Args:
        part: the video file or list of frames, and how to sample it.
        vision: patch, merge and window sizes.
        config: budgets and normalisation.
        policy: limits for addresses.
        streams: leave the patches of a long video to be decoded when they are read.

    Raises:
        MediaError: the video cannot be used; the message names the source. Frames of a streamed video are checked
            when they are read.
    """
    # PyAV is slow to import, and pictures do not need it.
    from finesight.media.video import open_video

    clip = open_video(part, config, policy=policy)
    record = _video_record(part, clip, vision, config)
    resized = record.resize.resized
    num_patches = record.visual_tokens * MERGE_AREA
    if not streams or num_patches <= STREAMED_ABOVE_PATCHES:
        patches, _ = patchify_video(clip.frames(), clip.num_frames, resized, vision, config)
        return vision_input(patches, record, vision)
    streamed = StreamedPatches(
        (num_patches, vision.patch_values),
        lambda: stream_video(clip.frames(), clip.num_frames, resized, vision, config),
    )
    return vision_input(streamed, record, vision)


def measure_image(
    part: ImagePart,
    vision: VisionConfig,
    config: ProcessorConfig,
    *,
    policy: FetchPolicy | None = None,
) -> MediaRecord:
    """The record `prepare_image` would make."""
    source = at_hand(part.source, policy=policy)
    size = image_size(source) if part.page is None else page_size(source, part.page)
    return _image_record(part, source, size, vision, config)


def measure_video(
    part: VideoPart,
    vision: VisionConfig,
    config: ProcessorConfig,
    *,
    policy: FetchPolicy | None = None,
) -> MediaRecord:
    """The record `prepare_video` would make."""
    from finesight.media.video import open_video

    return _video_record(part, open_video(part, config, policy=policy), vision, config)


def tokens_at_hand(
    part: ImagePart | VideoPart, vision: VisionConfig, config: ProcessorConfig
) -> int:
    """Visual tokens of a picture, by the header of its file; 0 for a video and for a picture that has to be fetched.

    Errors as in `prepare_image`, as far as the header shows them.
    """
    if isinstance(part, VideoPart):
        return 0
    source = part.source
    if isinstance(source, str) and scheme_of(source) in ("http", "https"):
        return 0
    size = image_size(source) if part.page is None else page_size(source, part.page)
    resize = _named(
        source_name(source), lambda: fit_image(size, part, config, factor=vision.resize_factor)
    )
    return _tokens(resize, 1, vision)


def grid_of_record(record: MediaRecord, vision: VisionConfig) -> Grid:
    """Frame pairs, patch rows and patch columns of a prepared or measured item."""
    frames = len(record.clock.model_seconds) if record.clock else 1
    return grid_of(record.resize.resized, -(-frames // vision.temporal_patch_size), vision)


def position_seconds_of(record: MediaRecord, vision: VisionConfig) -> tuple[float, ...]:
    """Second of each frame pair on the clock of the position ids: that of its first frame.

    Empty for a picture.
    """
    return record.clock.model_seconds[:: vision.temporal_patch_size] if record.clock else ()


def _image_record(
    part: ImagePart,
    source: MediaSource | LocalSource,
    size: Size,
    vision: VisionConfig,
    config: ProcessorConfig,
) -> MediaRecord:
    name = source_name(source)
    resize = _named(name, lambda: fit_image(size, part, config, factor=vision.resize_factor))
    return MediaRecord(
        kind="image",
        source=name,
        page=part.page,
        resize=resize,
        visual_tokens=_tokens(resize, 1, vision),
        notes=(*picture_notes(source, page=part.page), *_shrink_notes(resize, part, config)),
    )


def _video_record(
    part: VideoPart, clip: VideoClip, vision: VisionConfig, config: ProcessorConfig
) -> MediaRecord:
    name = source_name(part.source)
    resize = _named(
        name,
        lambda: fit_video(clip.size, clip.num_frames, part, config, factor=vision.resize_factor),
    )
    seconds = clip.clock.model_seconds[:: vision.temporal_patch_size]
    return MediaRecord(
        kind="video",
        source=name,
        resize=resize,
        visual_tokens=_tokens(resize, len(seconds), vision),
        clock=clip.clock,
        sample_fps=clip.sample_fps,
        notes=(
            *clip.notes,
            *_collision_notes(seconds, clip.sample_fps, vision),
            *_shrink_notes(resize, part, config, num_frames=clip.num_frames),
        ),
    )


def _collision_notes(
    seconds: tuple[float, ...], sample_fps: float, vision: VisionConfig
) -> tuple[str, ...]:
    colliding = colliding_pairs(seconds, vision.tokens_per_second)
    if not colliding:
        return ()
    limit = vision.tokens_per_second * vision.temporal_patch_size
    return (
        f"{colliding} of {len(seconds)} frame pairs share their time position with the pair "
        f"before: {sample_fps:g} frames per second are sampled and {limit} can be told apart",
    )


def _shrink_notes(
    resize: Resize, part: ImagePart | VideoPart, config: ProcessorConfig, *, num_frames: int = 1
) -> tuple[str, ...]:
    """A note that text may be unreadable, if the pixel budget has shrunk a picture or video too much."""
    ratio = resize.original.area / resize.resized.area
    if ratio <= READABLE_SHRINK or part.resized_height is not None:  # no note for a requested size
        return ()
    if isinstance(part, VideoPart):
        most = frame_budget(num_frames, part, config)[1]
        what, more = "each frame", "sample fewer frames or cut the picture"
    else:
        most = image_budget(part, config)[1]
        what, more = "it", "crop it"
    is_low = isinstance(part, ImagePart) and part.detail == "low"
    lever = 'leave out detail "low"' if is_low else "raise max_pixels (--max-pixels)"
    before, after = resize.original, resize.resized
    return (
        f"{what} was shrunk from {before.width} x {before.height} to {after.width} x {after.height}, "
        f"to 1/{ratio:.0f} of its pixels, because at most {most:,.0f} are taken: small text is lost; "
        f"{lever}, or {more}",
    )


def _tokens(resize: Resize, pairs: int, vision: VisionConfig) -> int:
    return pairs * resize.resized.area // vision.resize_factor**2


def vision_input(
    patches: Tensor | StreamedPatches, record: MediaRecord, vision: VisionConfig
) -> VisionInput:
    """A `VisionInput` of patches and their record."""
    grid = grid_of_record(record, vision)
    order, lengths = window_order(grid, vision)
    return VisionInput(
        patches=patches,
        grid_thw=grid,
        position_hw=patch_positions(grid, vision.spatial_merge_size),
        window_order=order,
        window_lengths=lengths,
        position_seconds=position_seconds_of(record, vision),
        record=record,
    )


def _named(name: str, fit: Callable[[], Resize]) -> Resize:
    """Call `fit`; errors get the name of the media in front."""
    try:
        return fit()
    except FinesightError as error:
        raise type(error)(f"{name}: {error.message}", hint=error.hint) from error
