# SPDX-License-Identifier: Apache-2.0
"""Encodes a conversation with pictures and videos as model input.

Training, serving and evaluation call the same `encode`. Its steps:
resize and patchify the media (`prepare`), render the conversation (`text.chat_template`), number the tokens
(`numbering`, `mrope`).

Legend: L tokens of the sample, M visual tokens, N patches.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from finesight.batch import EncodedSample, VisionInput
from finesight.config.model import ModelConfig
from finesight.config.processor import ProcessorConfig
from finesight.conversation import Conversation, ImagePart, MediaRecord, VideoPart
from finesight.errors import ConfigError, PromptTooLong, about_item
from finesight.media.fetch import FetchPolicy
from finesight.processor.from_hf import read_json, read_processor_config, read_trained_pixels
from finesight.processor.mrope import VisionSpan
from finesight.processor.numbering import TokenRow, number_tokens
from finesight.processor.patchify import Grid
from finesight.processor.plan import SamplePlan, fit_into
from finesight.processor.prepare import (
    grid_of_record,
    measure_image,
    measure_video,
    position_seconds_of,
    prepare_image,
    prepare_video,
    tokens_at_hand,
)
from finesight.processor.resize import image_budget
from finesight.text import chat_template
from finesight.text import special_tokens as names
from finesight.text.chat_template import Segment
from finesight.text.tokenizer import Tokenizer


class Processor:
    """Turns conversations into `EncodedSample`s.

    Args:
        tokenizer: the checkpoint's vocabulary.
        model_config: patch, merge and window sizes, and the ids of the control tokens.
        processor_config: pixel and frame budgets; None takes the published ones.
        fetch_policy: limits for media from an address.

    Raises:
        ConfigError: tokenizer and model disagree about a control token.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        model_config: ModelConfig,
        processor_config: ProcessorConfig | None = None,
        *,
        fetch_policy: FetchPolicy | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model_config = model_config
        self.config = processor_config or ProcessorConfig()
        self._policy = fetch_policy
        self.trained_pixels: tuple[int, int] | None = None
        self._noted: set[str] = set()
        check_special_ids(tokenizer, model_config)

    @classmethod
    def from_folder(cls, path: str | Path, *, fetch_policy: FetchPolicy | None = None) -> Processor:
        """Read a checkpoint folder: `tokenizer.json`, `config.json`, `preprocessor_config.json`.

        Args:
            path: the folder.
            fetch_policy: limits for media from an address.

        Raises:
            ConfigError: a file is missing or broken, or two of them disagree.
        """
        folder = Path(path)
        model_config = ModelConfig.from_hf(read_json(folder / "config.json"))
        found = cls(
            Tokenizer.from_folder(folder),
            model_config,
            read_processor_config(folder, model_config.vision),
            fetch_policy=fetch_policy,
        )
        found.trained_pixels = read_trained_pixels(folder)
        return found

    def encode(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = True,
        add_vision_id: bool = False,
        streams_videos: bool = False,
        max_tokens: int | None = None,
    ) -> EncodedSample:
        """Encode one conversation.

        Args:
            conversation: messages with their media, and tools.
            add_generation_prompt: end with the start of an assistant turn; False for training.
            add_vision_id: write "Picture 1: " or "Video 1: " before each picture and video.
            streams_videos: leave the frames of long videos to be decoded when their patches are read.
            max_tokens: largest number of visual tokens. More are refused before a picture is decoded if the headers of
                the files show it, else before the next one is read. None sets no limit.

        Returns:
            Tokens, labels (assistant turns that are targets), positions and media.

        Raises:
            PromptTooLong: pictures and videos take more than `max_tokens`.
            FinesightError: a message or a media item cannot be used; the message names it.
        """
        segments = chat_template.render(
            conversation, add_generation_prompt=add_generation_prompt, add_vision_id=add_vision_id
        )
        media = list(conversation.media())
        vision = self._prepared(media, streams=streams_videos, max_tokens=max_tokens)
        return self.assemble(segments, vision)

    def _prepared(
        self, parts: Sequence[ImagePart | VideoPart], *, streams: bool, max_tokens: int | None
    ) -> list[VisionInput]:
        """The media of a conversation; errors name the number of the one that is at fault."""
        if max_tokens is not None and len(parts) > 1:  # a single one is soon decoded
            self._check_headers(parts, max_tokens)
        vision: list[VisionInput] = []
        num_tokens = 0
        for number, part in enumerate(parts):
            with about_item(number):
                vision.append(self.prepare(part, streams=streams))
            num_tokens += vision[-1].num_visual_tokens
            if max_tokens is not None and num_tokens > max_tokens:
                shown = f"the first {number + 1} of {len(parts)} pictures and videos"
                raise _too_many(shown, num_tokens, max_tokens)
        return vision

    def _check_headers(self, parts: Sequence[ImagePart | VideoPart], max_tokens: int) -> None:
        """Raise `PromptTooLong` if pictures take too many tokens by the headers of their files."""
        num_tokens = 0
        for number, part in enumerate(parts):
            with about_item(number):
                part.check()
                num_tokens += tokens_at_hand(part, self.model_config.vision, self.config)
        if num_tokens > max_tokens:
            raise _too_many(f"the {len(parts)} pictures and videos", num_tokens, max_tokens)

    def prepare(self, part: ImagePart | VideoPart, *, streams: bool = False) -> VisionInput:
        """Resize and patchify one picture or video; `streams` is that of `prepare_video`."""
        part.check()
        self.note_budget(part, self.trained_pixels, "the model")
        vision, config = self.model_config.vision, self.config
        if isinstance(part, ImagePart):
            return prepare_image(part, vision, config, policy=self._policy)
        return prepare_video(part, vision, config, policy=self._policy, streams=streams)

    def note_budget(
        self, part: ImagePart | VideoPart, trained: tuple[int, int] | None, what: str
    ) -> None:
        """Warn, once, if a picture gets another pixel budget than in training; boxes then tend to be shifted.

        Args:
            part: the picture; a video is not compared.
            trained: least and largest area in training; None if they are unknown.
            what: what was trained, for the warning.
        """
        if trained is None or not isinstance(part, ImagePart) or what in self._noted:
            return
        given = image_budget(part, self.config)
        if given != trained:
            self._noted.add(what)
            warnings.warn(
                f"pictures have {given[0]} to {given[1]} pixels, but {what} was trained with {trained[0]} to "
                f"{trained[1]}: answers may be worse, above all coordinates; give min_pixels={trained[0]} and "
                f"max_pixels={trained[1]}",
                stacklevel=3,
            )

    def assemble(self, segments: Sequence[Segment], vision: Sequence[VisionInput]) -> EncodedSample:
        """Combine prepared media with a rendered conversation.

        Args:
            segments: from `chat_template.render`.
            vision: one entry per vision slot, in order; may come from a cache.

        Raises:
            LayoutError: the number of slots is not that of the media.
        """
        spans = [self._span(item.grid_thw, item.position_seconds) for item in vision]
        row = self._number(segments, spans)
        return EncodedSample(
            input_ids=row.input_ids,
            labels=row.labels,
            position_ids=row.position_ids,
            rope_delta=row.rope_delta,
            visual_index=row.visual_index,
            vision=tuple(vision),
        )

    def measure(self, part: ImagePart | VideoPart) -> MediaRecord:
        """The record of `prepare`, without pixels."""
        part.check()
        if isinstance(part, ImagePart):
            return measure_image(part, self.model_config.vision, self.config, policy=self._policy)
        return measure_video(part, self.model_config.vision, self.config, policy=self._policy)

    def plan_media(self, conversation: Conversation) -> tuple[MediaRecord, ...]:
        """Sizes, clocks and visual tokens of all pictures and videos, in order of appearance."""
        return tuple(self.measure(part) for part in conversation.media())

    def plan(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = True,
        add_vision_id: bool = False,
    ) -> SamplePlan:
        """Length and media of `encode` with the same arguments."""
        media = self.plan_media(conversation)
        segments = chat_template.render(
            conversation, add_generation_prompt=add_generation_prompt, add_vision_id=add_vision_id
        )
        vision = self.model_config.vision
        spans = [
            self._span(grid_of_record(record, vision), position_seconds_of(record, vision))
            for record in media
        ]
        row = self._number(segments, spans)
        return SamplePlan(num_tokens=row.input_ids.numel(), media=media)

    def fit_into(
        self, conversation: Conversation, max_tokens: int, *, add_vision_id: bool = False
    ) -> Conversation:
        """Lower the pixel budgets of a conversation until its prompt has at most `max_tokens`.

        Raises:
            ConfigError: it does not fit even with every picture at its smallest.
        """
        plan = self.plan(conversation, add_vision_id=add_vision_id)
        return fit_into(conversation, plan, max_tokens, self.model_config.vision, self.config)

    def _span(self, grid: Grid, position_seconds: tuple[float, ...]) -> VisionSpan:
        pairs, rows, columns = grid
        merge = self.model_config.vision.spatial_merge_size
        return VisionSpan((pairs, rows // merge, columns // merge), position_seconds)

    def _number(self, segments: Sequence[Segment], spans: Sequence[VisionSpan]) -> TokenRow:
        config = self.model_config
        return number_tokens(
            segments,
            spans,
            self.tokenizer,
            tokens_per_second=config.vision.tokens_per_second,
            raster=config.text.raster_positions,
        )


def _too_many(shown: str, num_tokens: int, max_tokens: int) -> PromptTooLong:
    return PromptTooLong(
        f"{shown} take at least {num_tokens:,} tokens; the context has room for {max_tokens:,}",
        hint="show fewer of them, or give them fewer tokens with max_pixels, fps or nframes",
    )


def check_special_ids(tokenizer: Tokenizer, model_config: ModelConfig) -> None:
    """Compare the control tokens of a vocabulary with the ids in the model's configuration.

    Raises:
        ConfigError: one of them differs; names the token and both ids.
    """
    ids = model_config.special_tokens
    expected = {
        names.IMAGE_PAD: ids.image_pad,
        names.VIDEO_PAD: ids.video_pad,
        names.VISION_START: ids.vision_start,
        names.VISION_END: ids.vision_end,
    }
    for name, wanted in expected.items():
        found = tokenizer.special_id(name)
        if found != wanted:
            raise ConfigError(
                f"{tokenizer.source}: {name} has id {found}, but config.json says {wanted}",
                hint="tokenizer.json and config.json must come from the same checkpoint",
            )
