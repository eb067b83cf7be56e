# SPDX-License-Identifier: Apache-2.0
"""Encode a record as a training sample: choose questions, augment the pictures, tokenise, make dense targets.

Each epoch augments the stored pictures differently. The processor is the one used for inference
(`finesight.processor`). The truth of a picture is mapped to the resized picture by the `Resize` of its media record.
So are the places of a record, whose numbers are written into its texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field, field_validator

from finesight.batch import EncodedSample, VisionInput
from finesight.config.settings import Settings
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.answers import num_rows
from finesight.data.augment import enlarge, jitter, squeeze
from finesight.data.dense import DenseTargets, DenseVocabulary, dense_targets
from finesight.data.places import Place, written
from finesight.data.record import Record, Truth
from finesight.data.spelling import SPELLED, is_transcription, spelled
from finesight.errors import FinesightError, RecordInvalid
from finesight.processor.processor import Processor
from finesight.text.chat_template import render

__all__ = ["EncoderConfig", "TrainSample", "TrainingEncoder", "some_turns"]

_MAX_FRAME_PAIRS = 3
_VIDEO_FPS = (0.5, 1.0, 2.0, 4.0)
_ONE_TOKEN_PIXELS = 28 * 28


class EncoderConfig(Settings):
    """Augmentation and targets of training samples."""

    max_turns: int = Field(
        4, ge=1, description="most questions of a sample, for records with independent questions"
    )
    jitter: float = Field(1.0, ge=0, le=1, description="strength of the colour jitter; 0 is off")
    squeeze: float = Field(
        0.0,
        ge=0,
        le=1,
        description="strength of shrinking and moving, for pictures whose answers have no coordinates; 0 is off",
    )
    letter_pixels: tuple[float, float] | None = Field(
        None,
        description="range of the distance between letters, in pixels, to which pictures of smaller text are "
        "enlarged, if their answers have no coordinates",
    )
    video_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of single pictures shown as a video of two to six equal frames",
    )
    spelled_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of plain transcriptions with one token per character: a small model then learns to copy "
        "letters, without the spelling of every token",
    )
    characters: str = Field("", description="character classes of dense supervision")
    objects: tuple[str, ...] = Field((), description="object classes of dense supervision")
    pairs: bool = Field(
        False,
        description="whether each record is a preference pair, whose two answers are encoded; kind = dpo sets it",
    )

    @field_validator("letter_pixels")
    @classmethod
    def _check_letter_pixels(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] <= value[1]:
            raise ValueError(
                f"the least distance must be above 0 and at most the greatest, not {value[0]} and {value[1]}"
            )
        return value


@dataclass(frozen=True, slots=True)
class TrainSample:
    """One sample with the dense targets of its visual tokens.

    Attributes:
        sample: the conversation.
        dense: targets of its visual tokens.
        rejected: the same conversation with the worse answer, of a preference pair.
    """

    sample: EncodedSample
    dense: DenseTargets
    rejected: EncodedSample | None = None

    @property
    def num_tokens(self) -> int:
        """Rows of the sample in a pack, text and visual."""
        if self.rejected is None:
            return self.sample.input_ids.numel()
        return num_rows((self.sample, self.rejected))


@dataclass(frozen=True, slots=True)
class _Shown:
    """An augmented picture or video, and its truth."""

    part: ImagePart | VideoPart
    truth: Truth


class TrainingEncoder:
    """Encodes records as training samples.

    Args:
        config: augmentation, and the classes of dense supervision.
        processor: processor of the model.
    """

    def __init__(self, config: EncoderConfig, processor: Processor) -> None:
        self._config = config
        self._processor = processor
        self._vocabulary = DenseVocabulary.build(config.characters, config.objects)

    def encode(self, record: Record, random: np.random.Generator) -> TrainSample:
        """Encode a record once.

        Args:
            record: a record that was checked when it was stored.
            random: generator of the choice of questions and the augmentation.

        Raises:
            RecordInvalid: the record cannot be encoded.
        """
        conversation, worse = record.conversation, None
        if self._config.pairs:
            conversation, worse = _compared(record)
        elif record.any_order:
            conversation = some_turns(conversation, random, self._config.max_turns)
        media = list(conversation.media())
        truth = record.truth or (Truth(),) * len(media)
        shown = [
            self._shown(record, part, known, random, is_alone=len(media) == 1)
            for part, known in zip(media, truth, strict=True)
        ]
        is_spelled = random.random() < self._config.spelled_share
        conversation = _with_media(conversation, [one.part for one in shown])
        try:
            vision = [self._processor.prepare(part) for part in conversation.media()]
            sample = self._assemble(conversation, record.places, vision)
            if worse is not None:
                rejected = self._assemble(worse, record.places, vision)
                return TrainSample(sample, DenseTargets.join([]), rejected)
        except FinesightError as error:
            raise RecordInvalid(
                f"record {record.id!r}: {error.message}", hint=error.hint
            ) from error
        is_spelled = (
            is_spelled and len(shown) == 1 and is_transcription(conversation, shown[0].truth)
        )
        if is_spelled or record.meta.get(SPELLED):
            sample = spelled(sample, self._processor.tokenizer)
        return TrainSample(sample, self._dense(sample, [one.truth for one in shown]))

    def _assemble(
        self, conversation: Conversation, places: Sequence[Place], vision: Sequence[VisionInput]
    ) -> EncodedSample:
        """The sample of a conversation, with the places written for the resize of each picture."""
        resizes = [item.record.resize for item in vision]
        messages = written(conversation.messages, places, resizes)
        segments = render(replace(conversation, messages=messages), add_generation_prompt=False)
        return self._processor.assemble(segments, vision)

    def _shown(
        self,
        record: Record,
        part: ImagePart | VideoPart,
        truth: Truth,
        random: np.random.Generator,
        *,
        is_alone: bool,
    ) -> _Shown:
        """The augmented picture, in some cases as a video of equal frames; a video is unchanged."""
        if not isinstance(part, ImagePart) or not isinstance(part.source, np.ndarray):
            return _Shown(part, truth)
        pixels = part.source
        if "move" in record.allows:
            if self._config.letter_pixels:
                pixels, truth = enlarge(pixels, truth, random, self._config.letter_pixels)
            if self._config.squeeze:
                pixels, truth = squeeze(pixels, truth, random, self._config.squeeze)
        num_frames = 1
        if is_alone and random.random() < self._config.video_share:
            num_frames = 2 * int(random.integers(1, _MAX_FRAME_PAIRS + 1))
        may_invert = "invert" in record.allows
        frames = tuple(
            jitter(pixels, random, self._config.jitter, may_invert=may_invert)
            for _ in range(num_frames)
        )
        if num_frames == 1:
            return _Shown(replace(part, source=frames[0]), truth)
        # The default minimum of 128 tokens for a video would enlarge a small picture many times.
        fps = float(random.choice(_VIDEO_FPS))
        return _Shown(VideoPart(source=frames, sample_fps=fps, min_pixels=_ONE_TOKEN_PIXELS), truth)

    def _dense(self, sample: EncodedSample, truth: Sequence[Truth]) -> DenseTargets:
        """Targets of all visual tokens; those of a picture are repeated for each frame pair."""
        merge = self._processor.model_config.vision.spatial_merge_size
        parts: list[DenseTargets] = []
        for item, known in zip(sample.vision, truth, strict=True):
            pairs, height, width = item.grid_thw
            resize = item.record.resize
            targets = dense_targets(
                known, self._vocabulary, resize, rows=height // merge, columns=width // merge
            )
            parts += [targets] * pairs
        return DenseTargets.join(parts)


def some_turns(conversation: Conversation, random: np.random.Generator, most: int) -> Conversation:
    """Some questions with their answers, in random order; the media are in the first question."""
    messages = conversation.messages
    first = 1 if messages[0].role == "system" else 0
    chosen = random.permutation((len(messages) - first) // 2)[:most].tolist()
    media = tuple(conversation.media())
    turns: list[Message] = list(messages[:first])
    for place, index in enumerate(chosen):
        question, answer = messages[first + 2 * index : first + 2 * index + 2]
        text = tuple(part for part in question.parts if isinstance(part, TextPart))
        turns += [replace(question, parts=(*(() if place else media), *text)), answer]
    return replace(conversation, messages=tuple(turns))


def _compared(record: Record) -> tuple[Conversation, Conversation]:
    """The conversation with the better answer, and with the worse; only what differs is a target."""
    worse = record.with_rejected.conversation
    return _answer_alone(record.conversation), _answer_alone(worse)


def _answer_alone(conversation: Conversation) -> Conversation:
    """The conversation with no target before its last user message."""
    messages = conversation.messages
    asked = max(index for index, message in enumerate(messages) if message.role == "user")
    earlier = tuple(replace(message, is_target=False) for message in messages[:asked])
    return replace(conversation, messages=(*earlier, *messages[asked:]))


def _with_media(conversation: Conversation, media: Sequence[ImagePart | VideoPart]) -> Conversation:
    """The conversation with its media replaced."""
    left: Iterator[ImagePart | VideoPart] = iter(media)
    messages = tuple(
        replace(
            message,
            parts=tuple(
                part if isinstance(part, TextPart) else next(left) for part in message.parts
            ),
        )
        for message in conversation.messages
    )
    return replace(conversation, messages=messages)
